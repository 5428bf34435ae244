"""Times on the command line: ISO 8601 with an offset, whole seconds, or ``now``."""

import argparse
from datetime import UTC, datetime


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
