"""From encoded reports to minute deltas on one core: a batch as columns, against one by one, against cbor2 alone."""

import contextlib
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import cbor2

from bench.measure import interleaved, times_as_fast
from bench.result import Result
from footfall_contract.batch import decode_batch
from footfall_contract.report import SlotReport, decode, encode_cbor
from footfall_ingest.aggregate import aggregate

TITLE = "encoded reports to what is added to minutes, decoding included, on one core"

SEED = 7
BATCH = 4000
"""Reports in one transaction at most, by default."""


@dataclass(frozen=True)
class Size:
    """How many reports."""

    reports: int = 20_000
    rounds: int = 9


TINY = Size(reports=400, rounds=1)


def usual_reports(number: int, sensors: int = 60, slots: int = 1, start: int = 1_764_000_000) -> list[bytes]:
    """Reports as edges send them: `slots` slots of ten seconds, both directions, one stream a sensor."""
    rng = random.Random(SEED)
    return [
        encode_cbor(usual_report(rng, place % sensors, place // sensors, slots=slots, start=start))
        for place in range(number)
    ]


def usual_report(rng: random.Random, sensor: int, seq: int, *, slots: int = 1, start: int) -> SlotReport:
    """Report `seq` of a sensor whose first one began at `start`, UTC unix seconds."""
    cells = [(i, d, rng.randint(1, 6)) for i in range(slots) for d in (0, 1) if rng.random() < 0.7]
    return SlotReport(
        sensor=f"sensor-{sensor}",
        stream=UUID(int=sensor + 1),
        seq=seq,
        start=start + seq * 10 * slots,
        slot=10,
        slots=slots,
        observed=(10,) * slots,
        index=tuple(cell[0] for cell in cells),
        direction=tuple(cell[1] for cell in cells),
        class_=(0,) * len(cells),
        count=tuple(cell[2] for cell in cells),
    )


def run(size: Size) -> Result:
    """Reports of one slot, as edges send them by default, and of six."""
    result = Result("decoding", TITLE, vars(size))
    with one_core():
        for slots in (1, 6):
            _measure(result, size, slots)
    return result


def _measure(result: Result, size: Size, slots: int) -> None:
    payloads = usual_reports(size.reports, slots=slots)
    assert in_batches(payloads) == one_by_one(payloads)
    seconds = interleaved(
        {
            "ours": lambda: in_batches(payloads),
            "decode": lambda: [decode_batch(payloads[at : at + BATCH]) for at in range(0, len(payloads), BATCH)],
            "one by one": lambda: one_by_one(payloads),
            "cbor2": lambda: [cbor2.loads(payload) for payload in payloads],
        },
        size.rounds,
    )
    kind = f"{slots} slot{'s' if slots > 1 else ''}, {len(payloads[0])} bytes"
    micros = {name: [one / size.reports * 1e6 for one in found] for name, found in seconds.items()}
    result.figure(f"{kind}: footfall, decoded and summed in batches of {BATCH}", "µs a report", micros["ours"])
    result.figure(f"{kind}: of that, decoding", "µs a report", micros["decode"])
    result.figure(f"{kind}: decoded one by one, summed in a dictionary", "µs a report", micros["one by one"])
    result.figure(f"{kind}: cbor2.loads alone, nothing checked or summed", "µs a report", micros["cbor2"])
    result.figure(f"{kind}: footfall against one by one", "×", times_as_fast(seconds["ours"], seconds["one by one"]))
    result.figure(f"{kind}: footfall against cbor2.loads alone", "×", times_as_fast(seconds["ours"], seconds["cbor2"]))
    result.at_most(f"reports of {slots} slot{'s' if slots > 1 else ''}", micros["ours"], 3, unit="µs a report")


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Hold this process to one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def in_batches(payloads: list[bytes]) -> int:
    """As ingest does it. Returns the passages."""
    passages = 0
    for at in range(0, len(payloads), BATCH):
        deltas = aggregate(decode_batch(payloads[at : at + BATCH]))
        passages += int(deltas.minutes.count.sum())
    return passages


def one_by_one(payloads: list[bytes]) -> int:
    """As one would write it without numpy. Returns the passages."""
    counts: Counter[tuple[str, int, int, int]] = Counter()
    coverage: Counter[tuple[str, int]] = Counter()
    for payload in payloads:
        report = decode(payload)
        for index, seconds in enumerate(report.observed):
            coverage[report.sensor, (report.start + index * report.slot) // 60] += seconds
        for index, direction, class_, count in zip(
            report.index, report.direction, report.class_, report.count, strict=True
        ):
            counts[report.sensor, (report.start + index * report.slot) // 60, direction, class_] += count
    return counts.total()
