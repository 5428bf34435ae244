"""What several pages ask of the stations and areas as the API gives them (GeoJSON features)."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

Feature = Mapping[str, Any]


def first_id(features: Sequence[Feature]) -> str | None:
    """The id of the first; None if there is none."""
    return str(features[0]["id"]) if features else None


def zones_of(stations: Sequence[Feature]) -> list[str]:
    """The names of the time zones that the stations are in, each once."""
    return sorted({str(station["properties"]["timezone"]) for station in stations})


def today_of(stations: Sequence[Feature], now: datetime) -> date:
    """The day it is at the first station; in UTC if there is none."""
    zones = [str(station["properties"]["timezone"]) for station in stations]
    return now.astimezone(ZoneInfo(zones[0] if zones else "UTC")).date()
