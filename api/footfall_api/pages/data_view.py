"""What the page of the data shows, as ready text: downloads, the form, examples, and the words of the answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from footfall_api.answers import Reason, State
from footfall_api.counts import CLASS_WORDS
from footfall_api.describe import Counts, Value
from footfall_api.dump.plan import table_of
from footfall_api.intervals import Resolution
from footfall_api.messages import Catalogue
from footfall_api.pages import data_recipes
from footfall_api.pages.data_build import Built, Wish, as_format, path_of
from footfall_api.pages.places import Feature, zones_of
from footfall_api.question import (
    MAX_FEATURES,
    MAX_INTERVALS,
    MAX_SERIES,
    PAGE_INTERVALS,
    Dimension,
    Format,
)
from footfall_api.settings import ApiSettings
from footfall_api.stations import DIRECTION_WORDS
from footfall_api.writing import REMARKS_HEADER

Address = Callable[..., str]
"""Makes an address of the API: `Here.data_url`."""

EARLIEST: Final = date(2000, 1, 1)
"""The API answers nothing before it."""

_CSV_NAMES: Final = {"start": "interval_start", "end": "interval_end"}

_FORMATS: Final = (
    ("csv", {"format": Format.CSV}),
    ("excel", {"format": Format.CSV_DE, "remarks": "column"}),
    ("parquet", {"format": Format.PARQUET}),
)


@dataclass(frozen=True, slots=True)
class Link:
    """A download: its short name, what it is called where it stands alone, and its address."""

    name: str
    label: str
    address: str


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time with its downloads. None where nothing was there to be measured."""

    title: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """The downloads of one station, or of all of them together. No periods: no sensor ever hung there."""

    name: str
    periods: tuple[Period, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several things to choose."""

    value: str
    text: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Form:
    """The form as it was sent."""

    stations: tuple[Choice, ...]
    areas: tuple[Choice, ...]
    from_: str
    to: str
    resolutions: tuple[Choice, ...]
    splits: tuple[Choice, ...]
    formats: tuple[Choice, ...]
    remarks: bool
    faulty: str
    """The parameter at fault; empty: none."""
    said: str
    """What the API says of it, in English."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A piece of program: its heading, the text to copy, its language."""

    key: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Meaning:
    """A word of the answers and what it means; `also` is its name in CSV, if it has another."""

    word: str
    text: str
    also: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """What can stand in an answer."""

    fields: tuple[Meaning, ...]
    around: tuple[Meaning, ...]
    states: tuple[Meaning, ...]
    reasons: tuple[Meaning, ...]
    directions: tuple[Meaning, ...]
    classes: tuple[Meaning, ...]


def shelves(stations: Sequence[Feature], today: date, t: Catalogue, address: Address) -> tuple[Shelf, ...]:
    """First all stations together, then each by itself."""
    if not stations:
        return ()
    zones = zones_of(stations)
    begins = [begin for begin in (_begin(station, today) for station in stations) if begin]
    together = Shelf(
        t("open_data.together"),
        _periods(
            t("open_data.together"),
            min(begins, default=None),
            today,
            t,
            lambda **query: address("counts", tz=zones[0] if len(zones) > 1 else None, **query),
        ),
    )
    return (
        together,
        *(
            Shelf(
                name := str(station["properties"]["name"]),
                _periods(name, _begin(station, today), today, t, _counts_of(station, address)),
            )
            for station in stations
        ),
    )


def _counts_of(station: Feature, address: Address) -> Callable[..., str]:
    return lambda **query: address(f"stations/{station['id']}/counts", **query)


def _begin(station: Feature, today: date) -> date | None:
    """The day on which the first sensor came; None if none has been there yet."""
    starts = [sensor["from"] for sensor in station["properties"]["sensors"]]
    if not starts:
        return None
    begin = EARLIEST if None in starts else max(EARLIEST, min(date.fromisoformat(start[:10]) for start in starts))
    return begin if begin <= today else None


def _periods(
    name: str, begin: date | None, today: date, t: Catalogue, counts: Callable[..., str]
) -> tuple[Period, ...]:
    if begin is None:
        return ()
    tomorrow, this_year = today + timedelta(days=1), today.replace(month=1, day=1)
    last_year = this_year.replace(year=this_year.year - 1)
    spans = (
        (t("open_data.today"), today, tomorrow, Resolution.QUARTER_HOUR),
        (t("open_data.month", month=t.month(today)), today.replace(day=1), tomorrow, Resolution.HOUR),
        (t("open_data.year", year=last_year.year), last_year, this_year, Resolution.HOUR),
        (t("open_data.all", begin=t.date(begin)), begin, tomorrow, Resolution.DAY),
    )
    return tuple(
        Period(
            title,
            tuple(
                Link(
                    t(f"data_format.{key}"),
                    t("open_data.label", format=t(f"data_format.{key}"), name=name, period=title),
                    counts(from_=start, to=end, resolution=resolution, split=Dimension.DIRECTION, **form),
                )
                for key, form in _FORMATS
                if begin < end
            ),
        )
        for title, start, end, resolution in spans
    )


def form_of(wish: Wish, built: Built, stations: Sequence[Feature], areas: Sequence[Feature], t: Catalogue) -> Form:
    """The form with what was chosen."""

    def places(features: Sequence[Feature], chosen: Sequence[str]) -> tuple[Choice, ...]:
        return tuple(
            Choice(str(found["id"]), str(found["properties"]["name"]), found["id"] in chosen) for found in features
        )

    return Form(
        places(stations, wish.stations),
        places(areas, wish.areas),
        wish.from_,
        wish.to,
        tuple(Choice(word, t(f"step.{word.name.lower()}"), word == wish.resolution) for word in Resolution),
        tuple(Choice(word, t(f"split_by.{word.name.lower()}"), word in wish.split) for word in Dimension),
        tuple(Choice(word, t(f"written_as.{word.name.lower()}"), word == wish.format) for word in Format),
        wish.remarks,
        built.fault.parameter if built.fault else "",
        built.fault.said if built.fault else "",
    )


def recipes(wish: Wish, built: Built, host: str, t: Catalogue) -> tuple[Recipe, ...]:
    """Programs that read what was chosen; `host` is the address of the API without a slash at its end."""

    def address(wanted: Format, *, remarks: bool = False) -> str:
        several = "tz=" in built.path
        return host + path_of(as_format(wish, wanted, remarks=remarks), built.zone if several else None)

    csv = address(Format.CSV)
    gap = t("recipe.gap")
    return (
        Recipe("curl", "curl", data_recipes.curl(host + built.path, saves=wish.format != Format.JSON)),
        Recipe("python", "Python", data_recipes.python(csv, gap, (t("recipe.out_of"), t("recipe.printed")))),
        Recipe("pandas", "Python + pandas", data_recipes.pandas(csv, built.zone, gap)),
        Recipe("r", "R", data_recipes.r(csv, built.zone, gap)),
        Recipe("excel", "Excel", address(Format.CSV_DE, remarks=True)),
    )


def words_of(t: Catalogue) -> Words:
    """Every field of a value and of what stands around it, every state, reason, direction and class."""
    fields = [info.alias or name for name, info in Value.model_fields.items()]
    around = [info.alias or name for name, info in Counts.model_fields.items() if name != "values"]
    return Words(
        (
            *(Meaning(name, t(f"field_means.{name}"), _CSV_NAMES.get(name, name)) for name in fields),
            Meaning("", t("field_means.remarks"), REMARKS_HEADER),
        ),
        tuple(Meaning(name, t(f"around_means.{name}")) for name in around),
        tuple(Meaning(state, t(f"state_means.{state}")) for state in State),
        tuple(Meaning(reason, t(f"reason_means.{reason}")) for reason in Reason),
        tuple(Meaning(word, t(f"direction_means.{word}")) for word in (*DIRECTION_WORDS.values(), "all")),
        tuple(Meaning(word, t(f"class_means.{word}")) for word in (*CLASS_WORDS.values(), "all")),
    )


@dataclass(frozen=True, slots=True)
class Door:
    """Another way to the same numbers; without a `link` its address is nothing that a browser opens."""

    title: str
    text: str
    address: str
    link: str


def doors_of(host: str, settings: ApiSettings, t: Catalogue) -> tuple[Door, ...]:
    """The interfaces for platforms and maps, of those that are there only if they are switched on those that are."""
    paths = {"things": "/sta/v1.1", "catalogue": "/catalog", "entities": "/api/v1/ngsi-ld"}
    if settings.files.folder:
        paths["files"] = "/files/"
    found = [Door(t(f"doors.{key}"), t(f"doors.{key}_text"), host + path, host + path) for key, path in paths.items()]
    mqtt = settings.publish_mqtt
    if mqtt.enabled:
        address = f"{mqtt.host}:{mqtt.port}  {mqtt.prefix}/+/+"
        found.append(Door(t("doors.mqtt"), t("doors.mqtt_text"), address, ""))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class FileShelf:
    """The files of counts of one resolution: of each month or year its name, and the links by format."""

    title: str
    periods: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def file_shelves(names: Sequence[str], address: str, t: Catalogue) -> tuple[FileShelf, ...]:
    """All files of counts by resolution, the newest first; none where there are no files."""
    found: dict[Resolution, dict[str, list[tuple[str, str]]]] = {}
    for name in names:
        table = table_of(name)
        if table is not None:
            file_format = t("data_format.parquet" if name.endswith(".parquet") else "data_format.csv")
            periods = found.setdefault(table.resolution, {})
            periods.setdefault(str(table.period), []).append((file_format, address + name))
    return tuple(
        FileShelf(
            t(f"doors.by.{resolution}"),
            tuple((period, tuple(sorted(links))) for period, links in sorted(periods.items(), reverse=True)),
        )
        for resolution, periods in sorted(found.items(), key=lambda item: item[0].longest_s)
    )


def limits_of(t: Catalogue) -> Mapping[str, Any]:
    """The numbers in the sentences about limits, as people write them."""
    return {
        "page": t.number(PAGE_INTERVALS),
        "series": t.number(MAX_SERIES),
        "intervals": t.number(MAX_INTERVALS),
        "features": t.number(MAX_FEATURES),
    }
