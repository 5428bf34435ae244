"""What the page about the measurement shows of each station: its line, what its directions mean, its sensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from footfall_api.messages import Catalogue
from footfall_api.pages.line import length_m, turn_of
from footfall_api.pages.places import Feature, position_of, since_text

WORDS: Final = ("in", "out")
ABOUT: Final = ("type", "mounting", "field_of_view")


@dataclass(frozen=True, slots=True)
class LabelView:
    """What the directions mean from a moment on."""

    since: str
    words: tuple[tuple[str, str], ...]
    """``in`` or ``out``, and what it means there."""


@dataclass(frozen=True, slots=True)
class SensorView:
    """One sensor at the station; `until` is empty as long as it hangs there."""

    id: str
    role: str
    since: str
    until: str
    about: tuple[tuple[str, str], ...]
    """What it is, how it hangs and what it sees: the name of each that was said, and its words."""


@dataclass(frozen=True, slots=True)
class StationView:
    """One station. `turn`: degrees clockwise by which its line is turned from one that leads east; None: no line."""

    id: str
    name: str
    place: str
    zone: str
    turn: float | None
    line: str
    labels: tuple[LabelView, ...]
    sensors: tuple[SensorView, ...]

    def heading(self, word: str) -> float:
        """Degrees clockwise from north in which ``in`` or ``out`` crosses the line; without a line: right, left."""
        along = -90 if self.turn is None else self.turn
        return (along + (180 if word == "in" else 0)) % 360


def stations_view(stations: Sequence[Feature], t: Catalogue) -> tuple[StationView, ...]:
    """The stations in the order of the API."""
    return tuple(_station(station, t) for station in stations)


def _station(station: Feature, t: Catalogue) -> StationView:
    given: Mapping[str, Any] = station["properties"]
    line = given["line"]
    return StationView(
        str(station["id"]),
        str(given["name"]),
        t("about.place", None, **position_of(station, t)),
        str(given["timezone"]),
        None if line is None else turn_of(line),
        t("about.no_line") if line is None else t("about.line", metres=t.number(length_m(line))),
        tuple(
            LabelView(
                since_text(labels["from"], t), tuple((word, str(labels[word])) for word in WORDS if labels.get(word))
            )
            for labels in given["directions"]
        ),
        tuple(
            SensorView(
                str(sensor["id"]),
                t(f"sensor_role.{sensor['role']}"),
                since_text(sensor["from"], t),
                "" if sensor["to"] is None else t.date(datetime.fromisoformat(sensor["to"])),
                tuple((t(f"sensor_about.{name}"), str(sensor[name])) for name in ABOUT if sensor.get(name)),
            )
            for sensor in given["sensors"]
        ),
    )
