"""Counts → slots, and waiting slots → the reports that carry them. Pure: integers in, integers out.

A slot is a step of 10 s (or another divisor of a minute) aligned to UTC. A count that lies within one slot adds to
it. Any other count is a span: it keeps its own time and is never spread over slots, because nobody knows when in that
time the people came.

Times of devices come in milliseconds, those of reports in seconds. Both ends of an interval are rounded to the
nearest second, so that intervals that follow one another without a gap still do. This also settles the few
milliseconds by which a device's clock is set right between two intervals.

No second is stamped twice. A clock that is set back shows a time again that was stamped before; what is counted
meanwhile is a span with nothing measured over the time that is repeated (`fresh_ms`, `run_end`, `span_over`).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from footfall_contract.report import SlotReport
from footfall_contract.words import MAX_COUNT, MAX_SPAN_S, MAX_START, SLOT_LENGTHS_S
from footfall_edge.counts import Count, Passages, in_our_words

MAX_PACKED_SLOTS: Final = 360
"""Slots in one report when many wait: an hour of 10 s slots, some 40 KiB at the very most."""

MAX_SILENT_SLOTS: Final = 360
"""Silent slots noted at once. More means that the clock jumped or the machine slept: such time is not reported."""


CORRECTION_MS: Final = 1000
"""By so much more than there is a slot may have been measured before that is a repetition: a device measures time with
its own clock, and corrections of less than a second it makes within an interval."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one count adds to one slot or span."""

    start: int
    """UTC unix seconds."""
    length: int
    """Seconds."""
    measured_ms: int
    """Milliseconds in which the device is known to have counted."""
    passages: Passages

    @property
    def end(self) -> int:
        """UTC unix seconds."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Stamped:
    """A slot or span in which time was measured, reported or not."""

    start: int
    """UTC unix seconds."""
    length: int
    """Seconds."""
    measured_ms: int

    @property
    def end(self) -> int:
        """UTC unix seconds."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Waiting:
    """A slot or span that has something to report and no number yet."""

    start: int
    """UTC unix seconds."""
    length: int
    """Seconds."""
    observed: int
    """Measured seconds that no report has claimed yet."""
    passages: Passages

    @property
    def end(self) -> int:
        """UTC unix seconds."""
        return self.start + self.length

    @property
    def is_slot(self) -> bool:
        """Whether reports can carry it side by side with its neighbours; else it is a span and goes alone."""
        return is_slot(self.start, self.length)


def is_slot(start: int, length: int) -> bool:
    """Whether [start, start + length) has the shape of a slot."""
    return length in SLOT_LENGTHS_S and start % length == 0


def place(count: Count, slot_s: int) -> Piece:
    """The slot of `slot_s` seconds that `count` lies in, or a span of its own.

    A span is at most 31 days long, as in the contract: of a longer one the last 31 days are taken. What was not
    measured, a recovered sum, is a span however short it is; so is a count that is to keep its own time
    (`Count.whole`), unless that has the shape of a slot.
    """
    start, end = _to_seconds(count.start_ms), _to_seconds(count.end_ms)
    if count.measured_ms <= 0:
        return Piece(*span_over(start, end), 0, in_our_words(count.passages))
    if count.whole and end > start:
        return Piece(*_within_contract(start, end), count.measured_ms, in_our_words(count.passages))
    # A fragment that rounding leaves without length belongs to the slot that its middle is in.
    inside = start if end > start else (count.start_ms + count.end_ms) // 2000
    slot = inside // slot_s * slot_s
    if end <= slot + slot_s:
        start, end = slot, slot + slot_s
    return Piece(*_within_contract(start, end), count.measured_ms, in_our_words(count.passages))


def _within_contract(start: int, end: int) -> tuple[int, int]:
    """Start and length of the part of [start, end) that a report can carry, a second at least."""
    end = min(max(end, 1), MAX_START)
    start = min(max(start, end - MAX_SPAN_S, 0), end - 1)
    return start, end - start


def span_over(start: int, end: int) -> tuple[int, int]:
    """Start and length of a span over [start, end) (UTC unix seconds).

    Where that has the shape of a slot it begins a second earlier, or some: it must not add to a slot.
    """
    start, length = _within_contract(start, end)
    while is_slot(start, length) and start > 0:
        start, length = start - 1, length + 1
    # At the very beginning of 1970 there is no earlier second.
    while is_slot(start, length):
        length += 1
    return start, length


def fresh_ms(piece: Piece, stamped: Iterable[Stamped]) -> int | None:
    """How many milliseconds of `piece` were not stamped before; None if it repeats time that was.

    `stamped` has all that overlaps with it, directly or through one another, its own slot included. There must be a way
    to lay all measured seconds out in time with none of them twice, each within its slot or span.
    """
    others: list[Stamped] = []
    own_ms = 0
    for row in stamped:
        if (row.start, row.length) == (piece.start, piece.length):
            own_ms = row.measured_ms
        else:
            others.append(row)
    room_ms = _room_s(piece.start, piece.end, others) * 1000
    total_ms = own_ms + piece.measured_ms
    if total_ms > room_ms + CORRECTION_MS:
        return None
    # Alone in its time a slot is cut to its length when it is reported.
    return piece.measured_ms if not others else max(0, min(total_ms, room_ms) - own_ms)


def _room_s(start: int, end: int, others: Collection[Stamped]) -> int:
    """Seconds of [start, end) that `others`, which can be laid out without it, leave free for certain.

    Hall's theorem: it is what the fullest stretch of time around it has left.
    """
    room = end - start
    for first in {start, *(row.start for row in others if row.start < start)}:
        for last in {end, *(row.end for row in others if row.end > end)}:
            within = (row for row in others if first <= row.start and row.end <= last)
            room = min(room, last - first - sum(observed_seconds(row.measured_ms, row.length) for row in within))
    return max(0, room)


def run_end(since: int, stamped: Iterable[Stamped]) -> int:
    """Where the stamped time that goes on at `since` without a hole ends; both in UTC unix seconds."""
    end = since
    for row in sorted(stamped, key=lambda row: row.start):
        if row.start > end:
            break
        end = max(end, row.end)
    return end


def observed_seconds(measured_ms: int, length: int) -> int:
    """Whole seconds to report for `measured_ms` in a slot or span of `length` seconds; never more than its length.

    50 ms are forgiven: a device's interval between two settings of its clock is that much shorter than the time it
    covers.
    """
    return min((measured_ms + 50) // 1000, length)


def silent_slots(since: int, now_s: int, slot_s: int, grace_s: int) -> range:
    """Starts of the slots from `since` on that are over, and for which nothing can be expected any more, at `now_s`.

    All in UTC unix seconds. The caller asks next time from where this ended; `since` is a multiple of `slot_s`.
    """
    until = (now_s - grace_s) // slot_s * slot_s
    return range(max(since, until - MAX_SILENT_SLOTS * slot_s), until, slot_s)


def closed(waiting: Waiting, closed_until: int, every_s: int) -> bool:
    """Whether `waiting` may be reported when everything before `closed_until` (UTC unix seconds) is over.

    Slots are reported in steps of `every_s`; a span as soon as its time is over, for until then a clock that repeats
    it may add to it.
    """
    if not waiting.is_slot:
        return waiting.end <= closed_until
    step_end = waiting.start // every_s * every_s + every_s
    return max(step_end, waiting.end) <= closed_until


def pack(slots: Iterable[Waiting]) -> Iterator[tuple[Waiting, ...]]:
    """Consecutive slots of one length together, up to `MAX_PACKED_SLOTS`; each span alone.

    `slots` come length by length, those of one length in order of time.
    """
    run: list[Waiting] = []
    for slot in slots:
        follows = (
            run and slot.is_slot and run[-1].is_slot and (slot.start, slot.length) == (run[-1].end, run[-1].length)
        )
        if run and not (follows and len(run) < MAX_PACKED_SLOTS):
            yield tuple(run)
            run = []
        run.append(slot)
    if run:
        yield tuple(run)


def report_of(sensor: str, stream: UUID, seq: int, run: Sequence[Waiting]) -> SlotReport:
    """The report number `seq` of `stream` that carries `run`, which `pack` put together."""
    cells = [
        (index, direction, class_, part)
        for index, slot in enumerate(run)
        for direction, class_, number in slot.passages
        for part in _parts(number)
    ]
    return SlotReport(
        sensor=sensor,
        stream=stream,
        seq=seq,
        start=run[0].start,
        slot=run[0].length,
        slots=len(run),
        observed=tuple(slot.observed for slot in run),
        index=tuple(cell[0] for cell in cells),
        direction=tuple(cell[1] for cell in cells),
        class_=tuple(cell[2] for cell in cells),
        count=tuple(cell[3] for cell in cells),
    )


def _parts(number: int) -> Iterator[int]:
    """`number` as counts that a cell can hold; cells for the same thing add up."""
    while number > 0:
        yield min(number, MAX_COUNT)
        number -= MAX_COUNT


def _to_seconds(milliseconds: int) -> int:
    return (milliseconds + 500) // 1000
