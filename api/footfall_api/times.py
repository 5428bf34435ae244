"""Read the times people write into a question: with an offset, or as the local clock shows them, or just a date.

A time without offset is local to the zone of the answer. Of the two readings that a time has in the doubled hour of
October, the earlier counts; a time in the hour that is left out in March does not exist and is refused. A date is the
first instant of that local day.
"""

import re
from datetime import UTC, date, datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from footfall_api.intervals import day_start

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Nothing is counted outside of these: a year typed wrong is better refused than answered with emptiness."""

_TIME: Final = re.compile(
    r"""(?P<day>\d{4}-\d\d-\d\d)
        (?:[Tt ](?P<clock>\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)
           (?P<offset>[Zz]|[-+ ]\d\d(?::?\d\d)?)?)?""",
    re.VERBOSE | re.ASCII,
)
"""A space before an offset is the '+' that a URL turned into one."""


class TimeRefusedError(ValueError):
    """A time or zone that cannot be read; the message says why and what would be right."""


def parse_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name such as ``Europe/Berlin``.

    Raises:
        TimeRefusedError: there is no such zone.
    """
    if name not in _zone_names():  # also keeps names that are paths away from the zone files
        raise TimeRefusedError(
            f"'{name}' is not a time zone; write it as in the IANA database, for example Europe/Berlin or UTC"
        )
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise TimeRefusedError(f"the time zone '{name}' cannot be read on this server") from error


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def parse_time(text: str, zone: ZoneInfo) -> datetime:
    """The instant (aware, UTC) that `text` means; local to `zone` unless it has an offset.

    Raises:
        TimeRefusedError: not a time, a local time that does not exist, or one outside the years 2000 to 2099.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise TimeRefusedError(
            f"'{text}' is not a time; write 2026-03-01, 2026-03-01T12:00 or 2026-03-01T12:00:00+01:00"
        )
    instant = _instant(match["day"], match["clock"], match["offset"], zone, text)
    if not EARLIEST <= instant <= LATEST:
        raise TimeRefusedError(f"'{text}' is not between the years {EARLIEST.year} and {LATEST.year - 1}")
    return instant


def _instant(day: str, clock: str | None, offset: str | None, zone: ZoneInfo, text: str) -> datetime:
    try:
        if clock is None:
            return datetime.fromtimestamp(day_start(date.fromisoformat(day), zone), UTC)
        written = datetime.fromisoformat(f"{day}T{clock.replace(',', '.')}{(offset or '').upper().replace(' ', '+')}")
        if written.tzinfo is not None:
            return written.astimezone(UTC)
        return _local(written, zone, text)
    except TimeRefusedError:
        raise
    except (ValueError, OverflowError) as error:
        raise TimeRefusedError(f"'{text}' is not a time that a calendar or clock shows") from error


def _local(written: datetime, zone: ZoneInfo, text: str) -> datetime:
    instant = written.replace(tzinfo=zone).astimezone(UTC)  # fold=0: the earlier one of two
    if instant.astimezone(zone).replace(tzinfo=None) != written:
        raise TimeRefusedError(
            f"'{text}' does not exist in {zone.key}: clocks go forward over it; give another, or an offset"
        )
    return instant
