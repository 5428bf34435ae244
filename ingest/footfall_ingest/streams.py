"""Which numbers of a stream were received: drop what came before, refuse what no working node would send.

The reports of one stream are numbered 0, 1, 2, …; the store keeps the received numbers as ranges, which is exact for
doubles, reordering and gaps alike. `admit` gives for a batch the verdicts that its messages would get one by one, in
the order in which they came. It looks at the whole batch at once; only a stream that comes near a limit, where the
order matters, is gone through message by message.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MAX_RANGES = 64
"""Ranges that a stream may have. A node has at most 64 reports of a sensor under way, so more is not reordering."""

MAX_AHEAD = 1_000_000
"""A number this much above its stream's highest is refused: at one report a second, eleven days would be missing."""


class Verdict(IntEnum):
    """What becomes of a number."""

    FRESH = 0
    DUPLICATE = 1
    TOO_MANY_GAPS = 2
    """Its stream would have more than `MAX_RANGES` ranges. Not marked received."""
    FAR_AHEAD = 3
    """It is `MAX_AHEAD` or more above its stream's highest. Not marked received."""


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """Ranges of numbers, half-open. One row for each range, ascending by stream, then by number."""

    stream: Int64s
    """Code of the stream."""
    low: Int64s
    high: Int64s

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int]]) -> "Received":
        """From (stream, low, high) in any order."""
        columns = np.array(sorted(rows), np.int64).reshape(-1, 3)
        return cls(columns[:, 0], columns[:, 1], columns[:, 2])


def admit(stream: Int64s, seq: Int64s, known: Received, streams: int) -> tuple[npt.NDArray[np.int8], Received]:
    """The `Verdict` on each number, in order of arrival, and the ranges that the fresh ones make by themselves.

    `stream` holds codes from 0 to `streams` - 1; `known` is what was received before this batch.
    """
    order = np.lexsort((seq, stream))  # stable: among equals the first to arrive comes first
    by_stream, by_seq = stream[order], seq[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (by_stream[1:] != by_stream[:-1]) | (by_seq[1:] != by_seq[:-1])
    fresh = first & ~_inside(by_stream, by_seq, known, streams)
    verdict = np.full(len(order), Verdict.DUPLICATE, np.int8)
    verdict[order[fresh]] = Verdict.FRESH
    for code in np.flatnonzero(_near_a_limit(stream, seq, verdict, known, streams)):
        mine = np.flatnonzero(stream == code)
        verdict[mine] = _one_by_one(seq[mine], known, int(code))
    fresh = verdict[order] == Verdict.FRESH
    return verdict, _runs(by_stream[fresh], by_seq[fresh])


def held(stream: Int64s, seq: Int64s, known: Received, streams: int) -> Flags:
    """Which numbers, in any order, were received before this batch."""
    order = np.lexsort((seq, stream))
    found = np.zeros(len(order), np.bool_)
    found[order] = _inside(stream[order], seq[order], known, streams)
    return found


def _inside(stream: Int64s, seq: Int64s, known: Received, streams: int) -> Flags:
    """Which of the (stream, seq), sorted, are in a known range."""
    inside = np.zeros(len(seq), np.bool_)
    bounds = np.searchsorted(known.stream, np.arange(streams + 1))
    ranges = np.diff(bounds)
    if len(known.low):
        # Nearly every stream has one range: those are done together.
        at = np.minimum(bounds[stream], len(known.low) - 1)
        inside = (ranges[stream] == 1) & (known.low[at] <= seq) & (seq < known.high[at])
    for code in np.flatnonzero(ranges > 1):
        mine = slice(*np.searchsorted(stream, (code, code + 1)))
        low, high = known.low[bounds[code] : bounds[code + 1]], known.high[bounds[code] : bounds[code + 1]]
        at = np.searchsorted(low, seq[mine], "right") - 1
        inside[mine] = (at >= 0) & (seq[mine] < high[at])
    return inside


def _near_a_limit(stream: Int64s, seq: Int64s, verdict: npt.NDArray[np.int8], known: Received, streams: int) -> Flags:
    """Which streams might break a limit, whatever the order in which their fresh numbers came."""
    arrived = np.flatnonzero(verdict == Verdict.FRESH)
    stream, seq = stream[arrived], seq[arrived]
    order = np.argsort(stream, kind="stable")
    stream, seq = stream[order], seq[order]
    same = np.zeros(len(stream), np.bool_)
    same[1:] = stream[1:] == stream[:-1]
    # Each fresh number that does not follow the one before it may open a range.
    opens = ~same
    opens[1:] |= seq[1:] != seq[:-1] + 1
    ranges = np.bincount(known.stream, minlength=streams) + np.bincount(stream[opens], minlength=streams)
    highest = np.full(streams, -1, np.int64)
    highest[stream[~same]] = seq[~same]  # a new stream may begin anywhere
    highest[known.stream] = known.high - 1  # the last range of each stream is the highest one
    ahead = np.zeros(streams, np.bool_)
    ahead[stream[seq - highest[stream] >= MAX_AHEAD]] = True
    return (ranges > MAX_RANGES) | ahead


def _one_by_one(seqs: Int64s, known: Received, code: int) -> list[Verdict]:
    mine = slice(*np.searchsorted(known.stream, (code, code + 1)))
    lows, highs = known.low[mine].tolist(), known.high[mine].tolist()
    return [_take(seq, lows, highs) for seq in seqs.tolist()]


def _take(seq: int, lows: list[int], highs: list[int]) -> Verdict:
    """The verdict on one number; a fresh one is put into the ranges."""
    at = bisect_right(lows, seq)  # the range before is at - 1, the one after is at
    if at and seq < highs[at - 1]:
        return Verdict.DUPLICATE
    if highs and seq - (highs[-1] - 1) >= MAX_AHEAD:
        return Verdict.FAR_AHEAD
    extends = at > 0 and highs[at - 1] == seq
    meets = at < len(lows) and lows[at] == seq + 1
    if extends and meets:
        highs[at - 1] = highs.pop(at)
        lows.pop(at)
    elif extends:
        highs[at - 1] = seq + 1
    elif meets:
        lows[at] = seq
    elif len(lows) >= MAX_RANGES:
        return Verdict.TOO_MANY_GAPS
    else:
        lows.insert(at, seq)
        highs.insert(at, seq + 1)
    return Verdict.FRESH


def _runs(stream: Int64s, seq: Int64s) -> Received:
    """Sorted, distinct numbers as ranges."""
    begins = np.ones(len(seq), np.bool_)
    begins[1:] = (stream[1:] != stream[:-1]) | (seq[1:] != seq[:-1] + 1)
    at = np.flatnonzero(begins)
    last = np.append(at[1:], len(seq)) - 1 if len(at) else at
    return Received(stream[at], seq[at], seq[last] + 1)
