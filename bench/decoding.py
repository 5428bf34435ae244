"""Decoding reports: a batch as columns, against one by one, against nothing but cbor2."""

import random
from uuid import UUID

import cbor2

from bench.timing import Result, best_of, show
from footfall_contract.batch import decode_batch
from footfall_contract.report import SlotReport, decode, encode_cbor

REPORTS = 20_000
SEED = 7


def usual_reports(number: int, sensors: int = 60, slots: int = 1) -> list[bytes]:
    """Reports as edges send them: `slots` slots of ten seconds, both directions, one stream a sensor."""
    rng = random.Random(SEED)
    payloads = []
    for place in range(number):
        sensor, seq = place % sensors, place // sensors
        cells = [(i, d, rng.randint(1, 6)) for i in range(slots) for d in (0, 1) if rng.random() < 0.7]
        payloads.append(
            encode_cbor(
                SlotReport(
                    sensor=f"sensor-{sensor}",
                    stream=UUID(int=sensor + 1),
                    seq=seq,
                    start=1_764_000_000 + seq * 10 * slots,
                    slot=10,
                    slots=slots,
                    observed=(10,) * slots,
                    index=tuple(cell[0] for cell in cells),
                    direction=tuple(cell[1] for cell in cells),
                    class_=(0,) * len(cells),
                    count=tuple(cell[2] for cell in cells),
                )
            )
        )
    return payloads


def main() -> None:
    """Decode twenty thousand reports of one slot, then of six."""
    for slots in (1, 6):
        payloads = usual_reports(REPORTS, slots=slots)
        show(
            f"Decoding: {REPORTS} reports of {slots} slot(s), {len(payloads[0])} bytes each",
            "reports",
            [
                Result("footfall decode_batch, 4000 at a time", REPORTS, best_of(lambda p=payloads: in_batches(p))),
                Result("footfall decode, one by one", REPORTS, best_of(lambda p=payloads: [decode(x) for x in p], 3)),
                Result("cbor2.loads alone, nothing checked", REPORTS, best_of(lambda p=payloads: each(p), 3)),
            ],
        )


def in_batches(payloads: list[bytes]) -> None:
    """As ingest does it."""
    for start in range(0, len(payloads), 4000):
        decode_batch(payloads[start : start + 4000])


def each(payloads: list[bytes]) -> None:
    """The least a decoder of single messages can do."""
    for payload in payloads:
        cbor2.loads(payload)
