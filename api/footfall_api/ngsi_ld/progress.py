"""How far a push has come, so that a restart sends nothing twice without need and leaves nothing out.

Of each entity (a station and a length of interval) `Place` says up to when its intervals were taken by the broker,
which of these may still change, and which one the broker shows now. It is written to a file after each batch that was
taken, as a whole and down to the disk, so that it is never ahead of the broker: what was sent in the moment of a crash
is sent again, which changes nothing there.

A correction of an older interval puts the entity back to that interval. The newest one has to follow, also if the
process ends in between. So before a correction is sent the file says that it is not known what the broker shows.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from footfall_api.published import Published

_VERSION: Final = 1

Key = tuple[str, str]
"""A station and a resolution."""


class ProgressError(Exception):
    """The file cannot be used; the message says why and what would be right."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the push of one entity is. Times in UTC unix seconds."""

    until_s: int
    """The end of the newest interval that the broker has taken."""
    shown_s: int | None
    """The end of the interval that it was given last; None: not known."""
    open: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """By their start: intervals that were not final when they were taken, each with the digest of what was taken."""


def digest_of(published: Published) -> str:
    """What stands for all that may change about an interval."""
    answer = published.answer
    parts = [
        sorted(published.passages.items()) if answer.counted else None,
        answer.coverage,
        answer.state,
        answer.reason,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def wanted(place: Place | None, published: Sequence[Published], now_s: int) -> list[Published]:
    """Which intervals of one entity are to be sent, in this order, which is that of time.

    `published` are consecutive ones in order of time. They end with the newest that is over, or the rest comes later.
    One that reports may still be on their way for ends them.
    """
    found: list[Published] = []
    for one in published:
        if place is not None and one.end_s <= place.until_s:
            if _has_changed(place, one):
                found.append(one)
        elif one.is_due(now_s):
            found.append(one)
        else:
            break
    if place is None or (found and found[-1].end_s > place.until_s):
        return found
    if found or place.shown_s != place.until_s:
        newest = [one for one in published if one.end_s == place.until_s]
        return [*(one for one in found if one.end_s < place.until_s), *newest]
    return found


def _has_changed(place: Place, published: Published) -> bool:
    known = place.open.get(published.start_s)
    return known is not None and known != digest_of(published)


def is_correction(place: Place | None, published: Published) -> bool:
    """Whether the broker has taken a newer interval already, which it no longer shows after this one."""
    return place is not None and published.end_s < place.until_s


def taken(place: Place | None, published: Published, oldest_s: int) -> Place:
    """The place after the broker has taken an interval; intervals that ended before `oldest_s` are left as they are."""
    still = {} if place is None else {start: digest for start, digest in place.open.items() if start >= oldest_s}
    still.pop(published.start_s, None)
    if not published.answer.final and published.start_s >= oldest_s:
        still[published.start_s] = digest_of(published)
    until_s = published.end_s if place is None else max(place.until_s, published.end_s)
    return Place(until_s, published.end_s, still)


def settled(place: Place, published: Sequence[Published], oldest_s: int) -> Place:
    """The place without the intervals that are final by now as they were taken, or are too old to be corrected."""
    final = {one.start_s for one in published if one.answer.final and place.open.get(one.start_s) == digest_of(one)}
    return replace(
        place, open={start: digest for start, digest in place.open.items() if start not in final and start >= oldest_s}
    )


class Progress:
    """The places of all entities, in a file. `target` names the broker: a file is of one only."""

    def __init__(self, path: Path, target: Mapping[str, str]) -> None:
        """Read the file, if there is one.

        Raises:
            ProgressError: it cannot be read, or it is of another broker.
        """
        self._path = path
        self._target = dict(target)
        self._places: dict[Key, Place] = self._read()

    def get(self, key: Key) -> Place | None:
        """The place of an entity; None: nothing of it was taken yet."""
        return self._places.get(key)

    def update(self, places: Mapping[Key, Place]) -> None:
        """Note places and write the file, if anything is new.

        Raises:
            OSError: it cannot be written.
        """
        if all(self._places.get(key) == place for key, place in places.items()):
            return
        self._places |= places
        self._write()

    def _read(self) -> dict[Key, Place]:
        try:
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise ProgressError(f"{self._path}: cannot be read: {error}") from error
        try:
            content = json.loads(text)
            version, target = content["version"], content["target"]
            places = {(part["station"], part["resolution"]): _place(part) for part in content["places"]}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProgressError(
                f"{self._path}: not a file of a push ({error!r}); name another, or remove it to begin again"
            ) from error
        if version != _VERSION:
            raise ProgressError(f"{self._path}: of version {version}, which this program does not know")
        if target != self._target:
            raise ProgressError(
                f"{self._path}: is of another push ({_words(target)}, not {_words(self._target)}); "
                "give each push a file of its own"
            )
        return places

    def _write(self) -> None:
        content = {
            "version": _VERSION,
            "target": self._target,
            "places": [
                {
                    "station": station,
                    "resolution": resolution,
                    "until": _text(place.until_s),
                    "shown": None if place.shown_s is None else _text(place.shown_s),
                    "open": {_text(start): digest for start, digest in sorted(place.open.items())},
                }
                for (station, resolution), place in sorted(self._places.items())
            ],
        }
        fresh = self._path.with_name(f"{self._path.name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process that pushes with this file.

    Raises:
        ProgressError: another one does.
        OSError: the folder cannot be written to.
    """
    with path.with_name(f"{path.name}.lock").open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProgressError(f"{path}: another process pushes with this file") from error
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_UN)


def _place(part: Mapping[str, Any]) -> Place:
    return Place(
        _seconds(part["until"]),
        None if part["shown"] is None else _seconds(part["shown"]),
        {_seconds(start): str(digest) for start, digest in part["open"].items()},
    )


def _text(instant_s: int) -> str:
    return f"{datetime.fromtimestamp(instant_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _seconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return int(moment.timestamp())


def _words(target: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in target.items()) if isinstance(target, dict) else repr(target)
