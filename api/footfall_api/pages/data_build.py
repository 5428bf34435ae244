"""The form that builds an address of the API: what was chosen, what is wrong with it, and the address.

Whether the API would answer is asked of the API's own rules (`footfall_api.question`), and what is wrong is said in its
words: so that the form refuses what the API refuses and nothing else. Pure: the moment is a parameter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from footfall_api.intervals import Resolution
from footfall_api.publication import Publication
from footfall_api.question import (
    Dimension,
    Format,
    Question,
    QuestionError,
    RemarksIn,
    check_known,
    check_size,
    parse_range,
    parse_split,
    parse_timezone,
)

PARAMETERS: Final = ("station", "area", "from", "to", "resolution", "split", "format", "remarks")
"""What the form sends; named as the API names it."""

_CSV: Final = frozenset({Format.CSV, Format.CSV_DE})


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody chose in the form, as it was sent."""

    stations: tuple[str, ...] = ()
    """None and no areas: all stations."""
    areas: tuple[str, ...] = ()
    from_: str = ""
    to: str = ""
    resolution: str = Resolution.HOUR
    split: tuple[str, ...] = ()
    format: str = Format.CSV
    remarks: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """The time zones of the stations, and the stations of each area, by id."""

    zones: Mapping[str, str]
    areas: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What the API says against one of the parameters."""

    parameter: str
    said: str


@dataclass(frozen=True, slots=True)
class Built:
    """The address that a wish leads to, or why it leads nowhere."""

    path: str
    """From /api on; empty if there is a fault."""
    fault: Fault | None
    zone: str
    """In which the answer's days begin."""


def first_wish(stations: Sequence[str], today: date) -> Wish:
    """What the form shows to who has chosen nothing yet: the first station, this month so far by the hour."""
    return Wish(
        tuple(stations[:1]),
        from_=today.replace(day=1).isoformat(),
        to=(today + timedelta(days=1)).isoformat(),
        split=(Dimension.DIRECTION,),
    )


def wish_of(given: Mapping[str, Sequence[str]]) -> Wish:
    """The wish that a query tells; several values of a parameter in the order they were given in."""

    def last(name: str, default: str = "") -> str:
        return ([value for value in given.get(name, ()) if value] or [default])[-1].strip()

    def several(name: str) -> tuple[str, ...]:
        words = [word.strip() for value in given.get(name, ()) for word in value.split(",")]
        return tuple(dict.fromkeys(word for word in words if word))

    return Wish(
        several("station"),
        several("area"),
        last("from"),
        last("to"),
        last("resolution", Resolution.HOUR),
        several("split"),
        last("format", Format.CSV),
        last("remarks") == RemarksIn.COLUMN,
    )


def build(wish: Wish, places: Places, now: datetime, *, rules: Publication) -> Built:
    """The address, if the API would answer it to somebody for whom these rules of publication hold."""
    concerned = _concerned(wish, places)
    zones = sorted({places.zones[name] for name in concerned})
    zone = zones[0] if zones else "UTC"
    try:
        _check(wish, places, ZoneInfo(zone), now, rules=rules)
    except QuestionError as error:
        return Built("", Fault(error.parameter, str(error)), zone)
    return Built(path_of(wish, zone if len(zones) > 1 else None), None, zone)


def _concerned(wish: Wish, places: Places) -> list[str]:
    inside = [name for area in wish.areas for name in places.areas.get(area, ())]
    asked = [*wish.stations, *inside] if wish.stations or wish.areas else list(places.zones)
    return [name for name in asked if name in places.zones]


def _check(wish: Wish, places: Places, zone: ZoneInfo, now: datetime, *, rules: Publication) -> None:
    check_known("station", wish.stations, places.zones)
    check_known("area", wish.areas, places.areas)
    resolution = Resolution(_word("resolution", wish.resolution, [*Resolution]))
    asked = Format(_word("format", wish.format, [*Format]))
    from_s, to_s = parse_range(wish.from_ or None, wish.to or None, resolution, zone, now)
    question = Question(
        wish.stations if wish.stations or wish.areas else tuple(places.zones),
        from_s,
        to_s,
        resolution,
        parse_split(wish.split),
        parse_timezone(None, [zone]),
        asked,
        areas=wish.areas,
    )
    check_size(question)
    rules.check(question, {ZoneInfo(places.zones[name]) for name in _concerned(wish, places)} or {zone}, now)


def _word(parameter: str, word: str, known: Sequence[str]) -> str:
    if word not in known:
        raise QuestionError(parameter, f"'{word}' is none of {', '.join(known)}")
    return word


def path_of(wish: Wish, zone: str | None = None) -> str:
    """The address of a wish without faults; `zone` only where it has to be said."""
    query: dict[str, Any] = {}
    if len(wish.stations) == 1 and not wish.areas:
        path = f"/api/v1/stations/{quote(wish.stations[0], safe='')}/counts"
    else:
        path = "/api/v1/counts"
        query |= {"station": ",".join(wish.stations), "area": ",".join(wish.areas)}
    query |= {
        "from": wish.from_,
        "to": wish.to,
        "resolution": wish.resolution,
        "split": ",".join(wish.split),
        "tz": zone or "",
        "format": wish.format,
        "remarks": RemarksIn.COLUMN if wish.remarks and wish.format in _CSV else "",
    }
    return path + "?" + urlencode({name: value for name, value in query.items() if value}, safe=",/")


def as_format(wish: Wish, wanted: Format, *, remarks: bool = False) -> Wish:
    """The same in another format."""
    return replace(wish, format=wanted, remarks=remarks)
