"""Charts as data: what ``static/js/plot.js`` draws, and writes into the pictures that it offers.

A page makes a `Plot` of numbers and ready text, and puts `Plot.json` into its HTML beside a table of the same numbers.
Times are local, with their offset; values are per interval; None is "not measured", never 0.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["bars", "lines", "heat"]
Colour = Literal["in", "out", "both", "a", "b", "c", "quiet"]
"""What a series is, not how it looks: the style sheet says which colour a direction or the second of three has."""


@dataclass(frozen=True, slots=True)
class Band:
    """A band around a series, such as quartiles; as long as its values, None where there is none."""

    low: Sequence[float | None]
    high: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One row of numbers. `mirror`: drawn below the axis."""

    name: str
    colour: Colour
    values: Sequence[float | None]
    mirror: bool = False
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A remark on the intervals [from_, to); `text` is all that is said of it, its kind and its dates included."""

    from_: int
    to: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart. `x`: starts of the intervals (ISO 8601 with offset) or labels; of a heat map its columns.

    `words` are the sentences that the chart says itself: ``gap``, ``partial``, ``none`` (a dash), ``failed``; of a heat
    map ``less``, ``more`` and ``few``; with ``png`` and ``svg`` there are buttons that save the chart as a picture,
    under the name `file`.
    """

    kind: Kind
    title: str
    source: str
    unit: str
    x: Sequence[str]
    series: Sequence[Series]
    words: Mapping[str, str]
    zone: str = "UTC"
    xkind: Literal["time", "label"] = "time"
    resolution: str = ""
    y: Sequence[str] = ()
    partial: Sequence[int] = ()
    gaps: Sequence[tuple[int, int]] = ()
    remarks: Sequence[Mark] = ()
    file: str = "footfall"
    digits: int = field(default=0)
    """How many digits behind the point the numbers are told with."""
    top: float = 0
    """The axis of the numbers reaches at least so far."""

    @property
    def json(self) -> str:
        """The chart as JSON for a data block of HTML."""
        content: dict[str, Any] = {
            "kind": self.kind,
            "title": self.title,
            "source": self.source,
            "unit": self.unit,
            "zone": self.zone,
            "xkind": self.xkind,
            "resolution": self.resolution,
            "x": list(self.x),
            "y": list(self.y),
            "series": [_series(one) for one in self.series],
            "partial": list(self.partial),
            "gaps": [list(gap) for gap in self.gaps],
            "remarks": [
                {"from": mark.from_, "to": mark.to, "kind": mark.kind, "text": mark.text} for mark in self.remarks
            ],
            "words": dict(self.words),
            "file": self.file,
            "digits": self.digits,
            "top": self.top,
        }
        # A closing tag inside a text would end the data block.
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _series(one: Series) -> dict[str, Any]:
    band = None if one.band is None else {"low": list(one.band.low), "high": list(one.band.high)}
    return {
        "name": one.name,
        "colour": one.colour,
        "values": list(one.values),
        "mirror": one.mirror,
        "band": band,
    }


def runs(flags: Iterable[bool]) -> list[tuple[int, int]]:
    """Where `flags` are true, as index ranges [from, to): the gaps of a series, the time of a remark."""
    found: list[tuple[int, int]] = []
    for index, flag in enumerate(flags):
        if flag and found and found[-1][1] == index:
            found[-1] = (found[-1][0], index + 1)
        elif flag:
            found.append((index, index + 1))
    return found
