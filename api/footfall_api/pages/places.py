"""What several pages ask of the stations and areas as the API gives them (GeoJSON features)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from footfall_api.messages import Catalogue

Feature = Mapping[str, Any]
"""A station or an area of the API, as GeoJSON."""


def first_id(features: Sequence[Feature]) -> str | None:
    """The id of the first; None if there is none."""
    return str(features[0]["id"]) if features else None


def names_of(features: Sequence[Feature]) -> dict[str, str]:
    """The names of stations or areas, by id."""
    return {str(feature["id"]): str(feature["properties"]["name"]) for feature in features}


def position_of(station: Feature, t: Catalogue) -> dict[str, str]:
    """Its `latitude` and `longitude` in words: degrees (WGS 84), and on which half of the earth."""
    longitude, latitude = station["geometry"]["coordinates"][:2]
    return {
        "latitude": t("place.south" if latitude < 0 else "place.north", degrees=t.number(abs(latitude), 5)),
        "longitude": t("place.west" if longitude < 0 else "place.east", degrees=t.number(abs(longitude), 5)),
    }


def zones_of(stations: Sequence[Feature]) -> list[str]:
    """The names of the time zones that the stations are in, each once."""
    return sorted({str(station["properties"]["timezone"]) for station in stations})


def today_of(stations: Sequence[Feature], now: datetime) -> date:
    """The day it is at the first station; in UTC if there is none."""
    zones = [str(station["properties"]["timezone"]) for station in stations]
    return now.astimezone(ZoneInfo(zones[0] if zones else "UTC")).date()


def since_text(moment: str | None, t: Catalogue) -> str:
    """The day from which on something holds at a station; None: since ever."""
    return t("about.ever") if moment is None else t.date(datetime.fromisoformat(moment))


def direction_label(direction: str, labels: Mapping[str, str], t: Catalogue) -> str:
    """What a direction is called, if need be by a number; scripts say the same."""
    return labels.get(direction) or t(f"minutes.{direction}")
