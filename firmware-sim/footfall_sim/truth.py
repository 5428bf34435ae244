"""The log of the truth: what really happened in front of a simulated sensor, to hold every other number against.

One file per sensor, one JSON object per line, only ever appended to, so that it survives the sudden death of the
process: ``{"utc": 1764000000.123, "direction": 0, "class": 0}`` for a passage (with ``"missed": true`` if a stuck
sensor did not see it, ``"phantom": true`` if there was nobody), ``{"closed": [boot, seq], ...}`` when an interval got
its number, ``{"boot": ..., "totals": ...}`` when the device started, with the totals that its memory held.

A counter without intervals writes ``{"closed": [boot], "of": direction, "count": n}`` when its first `n` open passages
of a direction are safe: in its non-volatile memory, or, if it has none, read by the host. The same with ``lost`` is
about passages nobody will hear of, because they were said once and nobody listened; ``{"off": ...}`` means that the
device was switched off, and forgot.

A passage is written before the device counts it. So what the memory holds at a boot can be compared with what was
written until then: the difference was open when the power failed. Nobody will ever report it.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from footfall_sim.protocol import Interval

Totals: TypeAlias = Mapping[tuple[int, int], int]
"""Passages by direction and class."""


@dataclass(frozen=True, slots=True)
class Told:
    """The first `count` open passages of a direction are settled: reported, or `lost` for good."""

    boot: int
    direction: int
    count: int
    lost: bool = False


Closed: TypeAlias = Interval | Told
"""What a device settles: an interval, or some passages of a direction."""


class TruthLog:
    """Writes the log of one sensor."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _ends_with_newline(path):
            os.write(self._fd, b"\n")  # a line that a power failure cut short stays alone

    def passages(self, seen: Iterable[tuple[float, int, int]], *, remark: str = "") -> None:
        """Passages at UTC seconds, direction, class. `remark`: ``missed``, ``phantom`` or nothing."""
        extra = {remark: True} if remark else {}
        self._write({"utc": round(utc, 3), "direction": d, "class": c, **extra} for utc, d, c in seen)

    def closed(self, settled: Iterable[Closed], utc: float) -> None:
        """The device settled intervals or passages and has in its memory what it keeps of them."""
        self._write(_settled(one, round(utc, 3)) for one in settled)

    def boot(self, device: int, boot: int, totals: Totals, utc: float) -> None:
        """The device started; `totals` is what its memory held."""
        cells = [[*pair, total] for pair, total in sorted(totals.items())]
        self._write([{"boot": boot, "utc": round(utc, 3), "device": device, "totals": cells}])

    def off(self, device: int, utc: float) -> None:
        """A device that keeps nothing was switched off: nobody will ever report what is open."""
        self._write([{"off": device, "utc": round(utc, 3)}])

    def remark(self, utc: float, **facts: object) -> None:
        """Something a reader of the log wants to know, e.g. a fault."""
        self._write([{"remark": facts, "utc": round(utc, 3)}])

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        data = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
        while data:
            data = data[os.write(self._fd, data) :]


def _settled(one: Closed, utc: float) -> dict[str, Any]:
    if isinstance(one, Told):
        return {"lost" if one.lost else "closed": [one.boot], "utc": utc, "of": one.direction, "count": one.count}
    return {
        "closed": [one.number.boot, one.number.seq],
        "utc": utc,
        "utc_start_ms": one.utc_start_ms,
        "length_ms": one.length_ms,
        "count": sum(count for _, _, count in one.counts),
    }


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


@dataclass(slots=True)
class Passage:
    """One passage that the device counted, really or for nothing."""

    utc_s: float
    direction: int
    class_: int
    phantom: bool = False
    lost: bool = False
    """Never reported to anybody: open when the power failed, or said when nobody listened."""


@dataclass(slots=True)
class Truth:
    """What a log says, or the part of it since some moment."""

    passages: list[Passage] = field(default_factory=list)
    missed: list[Passage] = field(default_factory=list)
    """Passages that a stuck sensor did not see. They are in none of the sums."""
    open: int = 0
    """Passages at the log's end that are not settled: in no closed interval yet, or not read by the host."""
    boots: int = 0
    damaged_lines: int = 0

    @property
    def totals(self) -> dict[int, int]:
        """Passages per direction that the device counted."""
        return _by_direction(self.passages)

    @property
    def never_reported(self) -> dict[int, int]:
        """Those of `totals` that were lost, as a rule in the open interval of a reboot, per direction."""
        return _by_direction(passage for passage in self.passages if passage.lost)

    @property
    def reported(self) -> dict[int, int]:
        """`totals` without `never_reported`: what must come out at the other end, once the last interval is closed."""
        return _by_direction(passage for passage in self.passages if not passage.lost)

    @property
    def cells(self) -> dict[tuple[int, int], int]:
        """`totals` by direction and class."""
        return _by_cell(self.passages)

    @property
    def never_reported_cells(self) -> dict[tuple[int, int], int]:
        """`never_reported` by direction and class."""
        return _by_cell(passage for passage in self.passages if passage.lost)

    @property
    def reported_cells(self) -> dict[tuple[int, int], int]:
        """`reported` by direction and class.

        A device that has seen more pairs of these than it has room for reports the later ones as class unknown.
        """
        return _by_cell(passage for passage in self.passages if not passage.lost)

    def since(self, moment: datetime) -> "Truth":
        """The same for passages at `moment` (aware) or later."""
        begin = moment.timestamp()
        return Truth(
            [passage for passage in self.passages if passage.utc_s >= begin],
            [passage for passage in self.missed if passage.utc_s >= begin],
            self.open,
            self.boots,
            self.damaged_lines,
        )


def read_truth(path: Path) -> Truth:
    """Read a sensor's log, also while it is being written. A log that does not exist yet is an empty one."""
    follower = TruthFollower(path)
    truth = follower.read()
    truth.damaged_lines += follower.cut_short
    return truth


class TruthFollower:
    """Reads a log that grows, each time only what is new in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = _Reader()
        self._begun = b""
        self._at = 0

    @property
    def cut_short(self) -> bool:
        """Whether the log ended in the middle of a line."""
        return bool(self._begun.strip())

    def read(self) -> Truth:
        """What the log says by now. The same object each time; a line that is not at its end yet is left for later."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read()
        except FileNotFoundError:
            new = b""
        self._at += len(new)
        *lines, self._begun = (self._begun + new).split(b"\n")
        for line in lines:
            self._reader.take(line)
        self._reader.truth.open = len(self._reader.open)
        return self._reader.truth


def _by_direction(passages: Iterable[Passage]) -> dict[int, int]:
    return dict(sorted(Counter(passage.direction for passage in passages).items()))


def _by_cell(passages: Iterable[Passage]) -> dict[tuple[int, int], int]:
    return dict(sorted(Counter((passage.direction, passage.class_) for passage in passages).items()))


class _Reader:
    def __init__(self) -> None:
        self.truth = Truth()
        self.open: list[Passage] = []
        self._device: int | None = None
        # Passages by direction and class that this device's memory should hold at its next boot, if none was lost.
        self._held: Counter[tuple[int, int]] = Counter()

    def take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            if "direction" in entry:
                self._passage(entry)
            elif "of" in entry:
                self._told(entry["of"], entry["count"], lost="lost" in entry)
            elif "off" in entry:
                self._off()
            elif "closed" in entry:
                # People who came after the cut may be written before it is: the interval has the first ones.
                del self.open[: entry["count"]]
            elif "boot" in entry:
                self._boot(entry)
        except (ValueError, KeyError, TypeError):
            # A line cut short, at the end of a log that is being written or where the power failed.
            self.truth.damaged_lines += bool(line.strip())

    def _passage(self, entry: dict[str, Any]) -> None:
        passage = Passage(entry["utc"], entry["direction"], entry["class"], entry.get("phantom", False))
        if entry.get("missed"):
            self.truth.missed.append(passage)
            return
        self.truth.passages.append(passage)
        self.open.append(passage)
        self._held[passage.direction, passage.class_] += 1

    def _told(self, direction: int, count: int, *, lost: bool) -> None:
        rest = []
        for passage in self.open:
            if passage.direction != direction or count <= 0:
                rest.append(passage)
                continue
            passage.lost = lost
            count -= 1
        self.open[:] = rest

    def _off(self) -> None:
        for passage in self.open:
            passage.lost = True
        self.open.clear()

    def _boot(self, entry: dict[str, Any]) -> None:
        self.truth.boots += 1
        memory: Counter[tuple[int, int]] = Counter()
        for direction, class_, total in entry["totals"]:
            memory[direction, class_] += total
        # A device with another number has a new memory: it holds nothing of what the old one had not closed.
        known = self._device == entry["device"]
        for direction in {direction for direction, _ in self._held}:
            lost = _of(direction, self._held) - _of(direction, memory) if known else len(self.open)
            self._lose(direction, lost, self._held - memory)
        self.open.clear()
        self._device = entry["device"]
        self._held = memory

    def _lose(self, direction: int, number: int, missing: Counter[tuple[int, int]]) -> None:
        """Mark the latest `number` open passages of a direction as lost, first of those classes that are `missing`.

        How many of a direction are gone is certain. Of a class it is not where the device had no room for another pair
        and counted it as unknown.
        """
        candidates = [passage for passage in reversed(self.open) if passage.direction == direction]
        for certain in (True, False):
            for passage in candidates:
                cell = direction, passage.class_
                if number <= 0 or passage.lost or (certain and missing[cell] <= 0):
                    continue
                passage.lost = True
                number -= 1
                missing[cell] -= 1


def _of(direction: int, cells: Totals) -> int:
    return sum(total for (known, _), total in cells.items() if known == direction)
