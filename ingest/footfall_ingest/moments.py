"""Times that people write: on the command line with an offset, or ``now``; about a place also by its own clock."""

import argparse
from datetime import UTC, date, datetime, tzinfo


def moment(text: str) -> datetime:
    """The UTC time that `text` means; for argparse.

    Raises:
        argparse.ArgumentTypeError: it is none, has no offset, or is finer than a second.
    """
    if text == "now":
        return datetime.now(UTC).replace(microsecond=0)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time like 2026-03-01T12:00:00+01:00 or 2026-03-01T11:00:00Z, nor `now`"
        ) from None
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} does not say its offset from UTC: write {text}Z if it is UTC, or {text}+01:00 and the like"
        )
    if found.microsecond:
        raise argparse.ArgumentTypeError(f"{text!r} is finer than a second")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise argparse.ArgumentTypeError(f"{text!r} is beyond the years that can be told") from None


def utc(when: datetime) -> str:
    """A time for people and for this command line, in UTC and whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_utc(value: str, zone: tzinfo) -> datetime:
    """The UTC time of a date (its midnight) or time in ISO 8601; without offset as the clocks of `zone` show it.

    Raises:
        ValueError: it is none, or the zone's clocks skip it.
        OverflowError: it is beyond the years that can be told.
    """
    try:
        day = date.fromisoformat(value)
    except ValueError:
        pass
    else:
        # Where the clocks skip midnight itself, this is the first moment of the day.
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no date or time") from error
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    local = moment.replace(tzinfo=zone)  # of a doubled hour the earlier one
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise ValueError(f"{value!r} does not exist at the station: the clocks were put forward over it")
    return local.astimezone(UTC)
