"""What somebody who is counted may know: what hangs where, what leaves it, where that goes, how long it stays.

Pure. The fields of the messages are those of the contract's own schemas, the sensors those of the database, the rules
those that are in force, so that the notice cannot promise anything else. What the API cannot know, such as how long a
box on site keeps what is stored, is said as the default that it is.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from footfall_api.messages import Catalogue, catalogue
from footfall_api.publication import HeldBack, Publication, Words
from footfall_api.publication_words import sentences
from footfall_api.ranges import FAR_S
from footfall_api.settings import CitySettings
from footfall_api.stations import Station
from footfall_contract import schemas

OUTBOX_DAYS: Final = 14
"""For so long a box on site keeps what is stored, unless its own settings say otherwise (`keep_committed_days`)."""

MESSAGES: Final = ("report", "sensor-health", "node-status")
"""What boxes on site send, by the names of its schemas."""

_LANGUAGES: Final = {language: catalogue(language) for language in ("de", "en")}

_SIGNS: Final = {
    "radar": r"radar|mmwave|ld2450|iwr\d|\b(24|60) ?ghz",
    "light_barrier": r"licht(schranke|gitter|vorhang)|light (barrier|curtain|gate)|break[- ]beam",
    "thermal": r"thermal|thermisch|thermopile|wärme|passiv[- ]?infrarot|\bpir\b",
    "camera": r"kamera|camera|video|stereo|optisch|optical",
    "turnstile": r"drehkreuz|drehsperre|turnstile|türkontakt|door contact",
    "laser": r"laser|lidar|time[- ]of[- ]flight|\btof\b",
}
"""By which words in the description of a sensor it is known what it senses."""


def sensed_by(kind: str | None) -> str | None:
    """What a sensor of this kind senses, as a key of the texts; None: it cannot be told from the words.

    A kind that names two of them, such as a radar with a camera, is not guessed at.
    """
    found = {key for key, sign in _SIGNS.items() if re.search(sign, (kind or "").casefold())}
    if "thermal" in found:
        found.discard("camera")  # a Wärmebildkamera is one
    return found.pop() if len(found) == 1 else None


def notice(
    city: CitySettings, stations: Sequence[Station], rules: Publication, minutes_from_s: int | None
) -> dict[str, Any]:
    """The notice, without licence and attribution; `minutes_from_s`: the store has no minutes before it."""
    return {
        "unit": "passages",
        "statement": _said(lambda t: t("privacy.statement")),
        "identifiers": _said(lambda t: t("privacy.identifiers")),
        "sensors": _sensors(stations),
        "messages": [_message(name) for name in MESSAGES],
        "steps": _steps(),
        "kept": _kept(minutes_from_s),
        "published": _published(rules, stations),
        "responsible": {
            "name": city.office or city.name,
            "city": city.name,
            "contact": city.contact or None,
            "privacy": city.privacy or None,
            "imprint": city.imprint or None,
        },
    }


def _said(words: Callable[[Catalogue], str]) -> dict[str, str]:
    return {language: words(t) for language, t in _LANGUAGES.items()}


def _sensors(stations: Sequence[Station]) -> list[dict[str, Any]]:
    """Each sensor with the places where it hung, the sensors by id and the places by their beginning."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for station in stations:
        described = station.as_feature()["properties"]["sensors"]
        for installation, told in zip(station.installations, described, strict=True):
            senses = sensed_by(installation.type)
            place = {
                "station": station.id,
                "station_name": station.name,
                **{name: told[name] for name in ("from", "to", "role", "type", "mounting", "field_of_view")},
                "senses": None if senses is None else _senses(senses),
            }
            begin_s = -FAR_S if installation.from_s is None else installation.from_s
            found.setdefault(installation.sensor, []).append((begin_s, place))
    return [
        {"id": sensor, "installations": [place for _, place in sorted(found[sensor], key=lambda place: place[0])]}
        for sensor in sorted(found)
    ]


def _senses(key: str) -> dict[str, str]:
    return _said(lambda t: t(f"privacy.senses.{key}"))


def _message(name: str) -> dict[str, Any]:
    schema = schemas.load(name)
    fields: Mapping[str, Mapping[str, Any]] = schema["properties"]
    return {
        "name": name,
        "schema": schema["$id"],
        "about": _said(lambda t: _about(name, t)),
        "fields": [
            {"name": field, "text": _explained(name, field), "description": described.get("description")}
            for field, described in fields.items()
        ],
    }


def _about(message: str, t: Catalogue) -> str:
    return t(f"privacy.message.{message.replace('-', '_')}")


def _explained(message: str, field: str) -> dict[str, str]:
    match message:
        case "report":
            return _said(lambda t: t(f"privacy.report.{field}"))
        case "sensor-health":
            return _said(lambda t: t(f"privacy.sensor_health.{field}"))
        case _:
            return _said(lambda t: t(f"privacy.node_status.{field}"))


def _steps() -> list[dict[str, str]]:
    lines = [t("privacy.steps").strip().splitlines() for t in _LANGUAGES.values()]
    return [dict(zip(_LANGUAGES, line, strict=True)) for line in zip(*lines, strict=True)]


def _kept(minutes_from_s: int | None) -> list[dict[str, Any]]:
    since = None if minutes_from_s is None else datetime.fromtimestamp(minutes_from_s, UTC)

    def minutes(t: Catalogue) -> str:
        return (
            t("privacy.kept.minutes_all") if since is None else t("privacy.kept.minutes_since", since=t.moment(since))
        )

    return [
        {"what": "outbox", "text": _said(lambda t: t("privacy.kept.outbox")), "days": OUTBOX_DAYS, "since": None},
        {
            "what": "minutes",
            "text": _said(minutes),
            "days": None,
            "since": None if since is None else since.isoformat(),
        },
        {"what": "hours", "text": _said(lambda t: t("privacy.kept.hours")), "days": None, "since": None},
        {"what": "unusable", "text": _said(lambda t: t("privacy.kept.unusable")), "days": None, "since": None},
        {"what": "states", "text": _said(lambda t: t("privacy.kept.states")), "days": None, "since": None},
    ]


def _published(rules: Publication, stations: Sequence[Station]) -> dict[str, Any]:
    names = {station.id: station.name for station in stations}
    recent = {"resolution": rules.recent, "hours": rules.recent_s // 3600} if rules.recent_s else None
    return {
        "finest": rules.finest,
        "finest_reason": _reason(rules.fineness_reason),
        "recent": recent,
        "delay_minutes": rules.delay_s // 60,
        "delay_reason": _reason(rules.delay_reason),
        "small_below": rules.small_below,
        "small_reason": _reason(rules.small_reason),
        "held_back": [_held_back(rule) for rule in rules.held_back],
        "sentences": {language: sentences(rules, t, names) for language, t in _LANGUAGES.items()},
    }


def _held_back(rule: HeldBack) -> dict[str, Any]:
    begin, end = (
        None if abs(bound) == FAR_S else datetime.fromtimestamp(bound, UTC).isoformat()
        for bound in (rule.from_s, rule.to_s)
    )
    return {"stations": list(rule.stations), "from": begin, "to": end, "reason": _reason(rule.reason)}


def _reason(words: Words) -> dict[str, str] | None:
    return {"de": words.de, "en": words.en} if words.de else None
