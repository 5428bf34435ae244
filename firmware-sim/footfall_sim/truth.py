"""The log of the truth: what really happened in front of a simulated sensor, to hold every other number against.

One file per sensor, one JSON object per line, only ever appended to, so that it survives the sudden death of the
process: ``{"utc": 1764000000.123, "direction": 0, "class": 0}`` for a passage (with ``"missed": true`` if a stuck
sensor did not see it, ``"phantom": true`` if there was nobody), ``{"closed": [boot, seq], ...}`` when an interval got
its number, ``{"boot": ..., "totals": ...}`` when the device started, with the totals that its memory held.

A passage is written before the device is told of it. So what the memory holds at a boot can be compared with what was
written until then: the difference was in the open interval when the power failed. Nobody will ever report it.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from footfall_sim.protocol import Interval

Totals: TypeAlias = Mapping[tuple[int, int], int]


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

    def closed(self, intervals: Iterable[Interval], utc: float) -> None:
        """The device closed intervals and has them in its memory."""
        self._write(
            {
                "closed": [interval.number.boot, interval.number.seq],
                "utc": round(utc, 3),
                "utc_start_ms": interval.utc_start_ms,
                "length_ms": interval.length_ms,
                "count": sum(count for _, _, count in interval.counts),
            }
            for interval in intervals
        )

    def boot(self, device: int, boot: int, totals: Totals, utc: float) -> None:
        """The device started; `totals` is what its memory held."""
        cells = [[*pair, total] for pair, total in sorted(totals.items())]
        self._write([{"boot": boot, "utc": round(utc, 3), "device": device, "totals": cells}])

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
    """In the open interval when the power failed: never reported to anybody."""


@dataclass(slots=True)
class Truth:
    """What a log says, or the part of it since some moment."""

    passages: list[Passage] = field(default_factory=list)
    missed: list[Passage] = field(default_factory=list)
    """Passages that a stuck sensor did not see. They are in none of the sums."""
    open: int = 0
    """Passages at the log's end that are in no closed interval yet."""
    boots: int = 0
    damaged_lines: int = 0

    @property
    def totals(self) -> dict[int, int]:
        """Passages per direction that the device counted."""
        return _by_direction(self.passages)

    @property
    def never_reported(self) -> dict[int, int]:
        """Those of `totals` that were lost in the open interval of a reboot, per direction."""
        return _by_direction(passage for passage in self.passages if passage.lost)

    @property
    def reported(self) -> dict[int, int]:
        """`totals` without `never_reported`: what must come out at the other end, once the last interval is closed."""
        return _by_direction(passage for passage in self.passages if not passage.lost)

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
    reader = _Reader()
    for line in _lines(path):
        reader.take(line)
    reader.truth.open = len(reader.open)
    return reader.truth


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        return


def _by_direction(passages: Iterable[Passage]) -> dict[int, int]:
    return dict(sorted(Counter(passage.direction for passage in passages).items()))


class _Reader:
    def __init__(self) -> None:
        self.truth = Truth()
        self.open: list[Passage] = []
        self._device: int | None = None
        # Passages per direction that this device's memory should hold at its next boot, if none was lost.
        self._held: Counter[int] = Counter()

    def take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            if "direction" in entry:
                self._passage(entry)
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
        self._held[passage.direction] += 1

    def _boot(self, entry: dict[str, Any]) -> None:
        self.truth.boots += 1
        memory: Counter[int] = Counter()
        for direction, _, total in entry["totals"]:
            memory[direction] += total
        known = self._device == entry["device"]
        for direction in list(self._held):
            # A device with another number has a new memory: it holds nothing of what the old one had not closed.
            lost = self._held[direction] - memory[direction] if known else len(self.open)
            candidates = [passage for passage in reversed(self.open) if passage.direction == direction]
            for passage in candidates[: max(0, lost)]:
                passage.lost = True
        self.open.clear()
        self._device = entry["device"]
        self._held = memory
