"""Write an answer as JSON, CSV or GeoJSON, in pieces large enough to send. Parquet has a module of its own.

The fields and their names are a promise (docs/api.md). The rows are put together as text, not by a model for each: a
year of minutes has a million of them. Sending each row by itself would be slower still, so rows are gathered to
`PIECE_CHARS`.

What differs only between columns, and what differs only between intervals, is written once for a block; a row joins the
two around its count. Answers of the same object are written once as well: most intervals of a good sensor share theirs.
The rows of a column are made by one comprehension, for what is done for each row is nearly all there is to do.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import cycle, pairwise
from typing import Any, Final, Protocol

from footfall_api.answers import Answer
from footfall_api.counts import Block, Column
from footfall_api.intervals import local_texts
from footfall_api.question import Dimension, Format, Question, RemarksIn

PIECE_CHARS: Final = 65_536
"""Least length of a piece, the last one excepted."""

HEADER: Final = (
    "station", "interval_start", "interval_end", "direction", "class", "sensor",
    "count", "coverage", "state", "reason", "final",
)  # fmt: skip
"""The columns of CSV, in this order for ever."""

AREA_HEADER: Final = ("area", "carried_by")
"""The columns that follow where areas are asked for."""

REMARKS_HEADER: Final = "remarks"
"""The last column, for those who want the remarks in it."""

BOM: Final = "\ufeff"
"""Tells Excel that the file is UTF-8."""


@dataclass(frozen=True, slots=True)
class Note:
    """A remark in words on [from_s, to_s) (UTC unix seconds; None: until further notice)."""

    text: str
    from_s: int
    to_s: int | None

    def touches(self, start_s: int, end_s: int) -> bool:
        """Whether it is about any part of [start_s, end_s)."""
        return self.from_s < end_s and (self.to_s is None or self.to_s > start_s)


@dataclass(frozen=True, slots=True)
class Series:
    """What one group of sensors is in an answer; `area` is None for a station's own."""

    area: str | None = None
    geometry: Mapping[str, Any] | None = None
    """GeoJSON: where it is."""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that stands around the values of an answer."""

    question: Question
    series: Sequence[Series]
    """One for each group of sensors."""
    licence: str
    attribution: str
    remarks: Sequence[Mapping[str, Any]] = field(default=())
    """As JSON has them."""
    next: str | None = None
    """The address of the next page."""

    @property
    def has_areas(self) -> bool:
        """Whether values say which area they are of and which stations carried them."""
        return bool(self.question.areas)

    def head(self) -> dict[str, Any]:
        """What JSON says before the values."""
        return {
            "resolution": self.question.resolution,
            "timezone": self.question.zone.key,
            "unit": "passages",
            "licence": self.licence,
            "attribution": self.attribution,
            "remarks": self.remarks,
        }


class Writer(Protocol):
    """A format: the blocks of an answer, and what comes after. What comes before goes out with the first values."""

    def block(self, block: Block) -> Sequence[str | bytes]:
        """The values of a block, in pieces."""
        ...

    def end(self) -> str | bytes:
        """Everything after the last value."""
        ...


@dataclass(frozen=True, slots=True)
class CsvStyle:
    """How a flavour of CSV is written."""

    delimiter: str
    decimal: str
    line_end: str
    begin: str


CSV_STYLES: Final = {
    Format.CSV: CsvStyle(",", ".", "\n", ""),
    Format.CSV_DE: CsvStyle(";", ",", "\r\n", BOM),  # what German Excel opens with a double click
}


class CsvWriter:
    """CSV in one of its flavours."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._style = CSV_STYLES[sheet.question.format]
        self._has_notes = sheet.question.remarks is RemarksIn.COLUMN
        areas = AREA_HEADER if sheet.has_areas else ()
        remarks = (REMARKS_HEADER,) if self._has_notes else ()
        header = self._style.delimiter.join((*HEADER, *areas, *remarks))
        self._before = self._style.begin + header + self._style.line_end

    def block(self, block: Block) -> list[str]:
        """The lines of a block."""
        pieces = []
        for piece in _gathered(self._rows(block), ""):
            pieces.append(self._before + piece)
            self._before = ""
        return pieces

    def end(self) -> str:
        """Nothing follows."""
        return ""

    def _rows(self, block: Block) -> list[str]:
        d, end = self._style.delimiter, self._style.line_end
        times = local_texts(block.edges_s, self._sheet.question.zone)
        when = [f"{start}{d}{stop}" for start, stop in pairwise(times)]
        endings = self._has_notes or self._sheet.has_areas
        lines = []
        for column in block.columns:
            begin, middle = f"{csv_cell(column.station, d)}{d}", self._middle(column)
            counts, tails = _shown(column, block.answers_of(column), "", self._tail)
            if endings:
                tails = [f"{tail}{self._ending(block, column.group, i)}" for i, tail in enumerate(tails)]
            rows = zip(when, counts, tails, strict=True)
            lines.append([f"{begin}{time}{middle}{count}{tail}{end}" for time, count, tail in rows])
        return _in_turns(lines)

    def _middle(self, column: Column) -> str:
        d = self._style.delimiter
        return f"{d}{column.direction}{d}{column.class_}{d}{csv_cell(column.sensor, d)}{d}"

    def _tail(self, answer: Answer) -> str:
        d = self._style.delimiter
        coverage = "" if answer.coverage is None else str(answer.coverage).replace(".", self._style.decimal)
        return f"{d}{coverage}{d}{answer.state}{d}{answer.reason or ''}{d}{'true' if answer.final else 'false'}"

    def _ending(self, block: Block, group: int, i: int) -> str:
        """The columns after the promised ones."""
        d, series = self._style.delimiter, self._sheet.series[group]
        areas = (
            f"{d}{csv_cell(series.area or '', d)}{d}{' '.join(block.carried(group, i))}"
            if self._sheet.has_areas
            else ""
        )
        if not self._has_notes:
            return areas
        notes = [note.text for note in series.notes if note.touches(block.edges_s[i], block.edges_s[i + 1])]
        return f"{areas}{d}{csv_cell(' | '.join(notes), d)}"


def csv_cell(text: str, delimiter: str) -> str:
    """A text as a cell of CSV, in quotes where it must be."""
    if delimiter in text or any(character in '"\r\n' for character in text):
        return '"' + text.replace('"', '""') + '"'
    return text


class JsonWriter:
    """JSON: an object with a list of values."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._before = to_json(sheet.head())[:-1] + ',"values":['

    def block(self, block: Block) -> list[str]:
        """The values of a block."""
        pieces = []
        for piece in _gathered(_json_rows(block, self._sheet), ","):
            pieces.append(self._before + piece)
            self._before = ","
        return pieces

    def end(self) -> str:
        """Everything after the values."""
        return f'],"next":{json.dumps(self._sheet.next)}}}'


class GeoJsonWriter:
    """GeoJSON: a Feature for each value, where its station or area is."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._before = '{"type":"FeatureCollection",' + to_json(sheet.head())[1:-1] + ',"features":['
        self._places = [f'{{"type":"Feature","geometry":{to_json(s.geometry)},"properties":' for s in sheet.series]

    def block(self, block: Block) -> list[str]:
        """The values of a block."""
        pieces = []
        for piece in _gathered(self._features(block), ","):
            pieces.append(self._before + piece)
            self._before = ","
        return pieces

    def end(self) -> str:
        """Everything after the values."""
        return "]}"

    def _features(self, block: Block) -> list[str]:
        places = cycle([self._places[column.group] for column in block.columns])
        return [f"{place}{row}}}" for place, row in zip(places, _json_rows(block, self._sheet), strict=False)]


def _json_rows(block: Block, sheet: Sheet) -> list[str]:
    times = local_texts(block.edges_s, sheet.question.zone)
    when = [f'{start}","end":"{stop}' for start, stop in pairwise(times)]
    objects = []
    for column in block.columns:
        begin = f'{{"station":{json.dumps(column.station)},"start":"'
        sensor = json.dumps(column.sensor)
        middle = f'","direction":"{column.direction}","class":"{column.class_}","sensor":{sensor},"count":'
        counts, tails = _shown(column, block.answers_of(column), "null", _json_tail)
        if sheet.has_areas:
            tails = [f"{tail}{_json_area(block, sheet, column.group, i)}" for i, tail in enumerate(tails)]
        rows = zip(when, counts, tails, strict=True)
        objects.append([f"{begin}{time}{middle}{count}{tail}}}" for time, count, tail in rows])
    return _in_turns(objects)


def _json_area(block: Block, sheet: Sheet, group: int, i: int) -> str:
    area = sheet.series[group].area
    return f',"area":{json.dumps(area)},"carried_by":{to_json(None if area is None else block.carried(group, i))}'


def _json_tail(answer: Answer) -> str:
    reason = "null" if answer.reason is None else f'"{answer.reason}"'
    coverage = "null" if answer.coverage is None else answer.coverage
    return (
        f',"coverage":{coverage},"state":"{answer.state}","reason":{reason},'
        f'"final":{"true" if answer.final else "false"}'
    )


def to_json(content: Any) -> str:
    """JSON without blanks, in UTF-8's own characters."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def file_name(question: Question) -> str:
    """A name for the answer as a file; it says what is in it, and which of the flavours of CSV it is."""
    days = [
        datetime.fromtimestamp(instant_s, question.zone).date().isoformat()
        for instant_s in (question.from_s, question.to_s - 1)
    ]
    names = (*question.stations, *question.areas)
    what = names[0] if len(names) == 1 else f"{len(names)}-series"
    by = "_by-" + "-".join(d for d in Dimension if d in question.split) if question.split else ""
    return f"footfall_{what}_{question.resolution}{by}_{days[0]}_{days[1]}{_SUFFIXES[question.format]}"


_SUFFIXES: Final = {
    Format.JSON: ".json",
    Format.CSV: ".csv",
    Format.CSV_DE: ".excel-de.csv",
    Format.PARQUET: ".parquet",
    Format.GEOJSON: ".geojson",
}


def _shown(
    column: Column, answers: Sequence[Answer], nothing: str, write: Callable[[Answer], str]
) -> tuple[Sequence[int | str], list[str]]:
    """The counts of a column, `nothing` where they may not be given, and what is written after each.

    Answers are told apart by their identity, which is quicker than comparing them.
    """
    known = {id(answer): answer for answer in answers}
    written = {key: write(answer) for key, answer in known.items()}
    counts: Sequence[int | str] = column.counts
    hidden = {key for key, answer in known.items() if not answer.counted}
    if hidden:
        counts = [nothing if id(a) in hidden else n for n, a in zip(column.counts, answers, strict=True)]
    return counts, [written[id(answer)] for answer in answers]


def _in_turns(columns: Sequence[list[str]]) -> list[str]:
    """The rows of columns, interval by interval."""
    return columns[0] if len(columns) == 1 else [row for line in zip(*columns, strict=True) for row in line]


def _gathered(rows: Sequence[str], joint: str) -> list[str]:
    """Rows joined to pieces of at least `PIECE_CHARS` characters; between pieces stands no joint."""
    if not rows:
        return []
    number = -(-PIECE_CHARS // min(map(len, rows)))
    return [joint.join(rows[start : start + number]) for start in range(0, len(rows), number)]
