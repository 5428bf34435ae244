"""Reports for tests: every kind the contract allows, drawn by hypothesis or from a seed."""

import random
from uuid import UUID

from hypothesis import strategies as st

from footfall_contract.report import SlotReport
from footfall_contract.words import (
    ID_PATTERN,
    MAX_COUNT,
    MAX_SEQ,
    MAX_SPAN_S,
    MAX_START,
    SLOT_LENGTHS_S,
    Direction,
    PassageClass,
)

ids = st.from_regex(ID_PATTERN, fullmatch=True)
counts = st.one_of(st.integers(1, 12), st.integers(1, 70_000), st.just(MAX_COUNT))


@st.composite
def slot_reports(draw: st.DrawFn, max_slots: int = 8, max_cells: int = 8) -> SlotReport:
    """Draw a report of slots or a span, up to the limits of every field but the number of slots and cells."""
    if draw(st.booleans()):
        slot = draw(st.sampled_from(SLOT_LENGTHS_S))
        slots = draw(st.integers(1, max_slots))
        start = draw(st.integers(0, MAX_START // slot)) * slot
    else:
        slot, slots, start = draw(st.integers(1, MAX_SPAN_S)), 1, draw(st.integers(0, MAX_START))
    cells = draw(
        st.lists(
            st.tuples(st.integers(0, slots - 1), st.sampled_from(Direction), st.sampled_from(PassageClass), counts),
            max_size=max_cells,
        )
    )
    return SlotReport(
        sensor=draw(ids),
        stream=draw(st.uuids()),
        seq=draw(st.one_of(st.integers(0, 40), st.integers(0, MAX_SEQ))),
        start=start,
        slot=slot,
        slots=slots,
        observed=tuple(draw(st.lists(st.integers(0, slot), min_size=slots, max_size=slots))),
        index=tuple(index for index, _, _, _ in cells),
        direction=tuple(direction for _, direction, _, _ in cells),
        class_=tuple(class_ for _, _, class_, _ in cells),
        count=tuple(count for _, _, _, count in cells),
    )


def seeded_report(rng: random.Random) -> SlotReport:
    """Make a report as an edge sends them: one or a few slots, now and then a span or a whole hour."""
    slot, slots = rng.choice([(10, 1), (10, 1), (10, 6), (60, 60), (3600, 1), (1234, 1)])
    start = rng.randrange(1_700_000_000, 1_800_000_000)
    if slot in SLOT_LENGTHS_S:
        start -= start % slot
    cells = [
        (index, direction, rng.choice([0, 0, 0, 2, 255]), min(1 + int(rng.expovariate(0.3)), 300))
        for index in range(slots)
        for direction in (0, 1)
        if rng.random() < 0.7
    ]
    return SlotReport(
        sensor=rng.choice(["markt-1", "johannisstrasse-nord-eingang-1", "a"]),
        stream=UUID(int=rng.getrandbits(128)),
        seq=rng.choice([rng.randrange(24), rng.randrange(100_000), rng.randrange(2**50)]),
        start=start,
        slot=slot,
        slots=slots,
        observed=tuple(rng.choice([slot, slot, slot, 0, rng.randrange(slot)]) for _ in range(slots)),
        index=tuple(cell[0] for cell in cells),
        direction=tuple(cell[1] for cell in cells),
        class_=tuple(cell[2] for cell in cells),
        count=tuple(cell[3] for cell in cells),
    )
