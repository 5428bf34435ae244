"""The non-volatile memory: images, files that are replaced in one step, damage that is found."""

from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_sim.memory import FileStore, Memory, UnusableMemoryError
from footfall_sim.protocol import Interval, Number, pack_interval

u32 = st.integers(0, 2**32 - 1)
pairs = st.tuples(st.integers(0, 2), st.integers(0, 255))


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    device = draw(u32)
    totals = draw(st.dictionaries(pairs, u32, max_size=14))
    cells = tuple((*pair, total) for pair, total in totals.items())
    intervals = [
        pack_interval(device, Interval(Number(draw(u32), draw(u32)), 0, draw(st.integers(0, 2**63)), 1, (), cells))
        for _ in range(draw(st.integers(0, 5)))
    ]
    return Memory(device, draw(u32), draw(u32), totals, deque(intervals))


@given(memories())
def test_an_image_gives_the_memory_back(memory: Memory) -> None:
    """Numbers, totals and ring survive as they were."""
    assert Memory.from_image(memory.image()) == memory


@given(memories(), st.data())
def test_a_damaged_image_is_found(memory: Memory, data: st.DataObject) -> None:
    """One byte changed anywhere, or the tail missing, is refused and never half believed."""
    image = memory.image()
    place = data.draw(st.integers(0, len(image) - 1))
    changed = image[:place] + bytes([image[place] ^ data.draw(st.integers(1, 255))]) + image[place + 1 :]

    for damaged in (changed, image[:place]):
        with pytest.raises(UnusableMemoryError):
            Memory.from_image(damaged)


def test_oldest_of_an_empty_ring_is_the_next_number() -> None:
    """What HELLO announces when nothing waits."""
    assert Memory(1, boot=4, next_seq=7).oldest == Number(4, 7)


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """A process that dies while it writes leaves the image before, whole; the next save works."""
    store = FileStore(tmp_path / "a.memory")
    assert store.load() is None
    store.save(b"first")
    # What a dying process leaves behind: a half-written fresh file beside the good one.
    (tmp_path / "a.memory.new").write_bytes(b"sec")
    assert store.load() == b"first"
    before = (tmp_path / "a.memory").stat().st_ino
    store.save(b"second")

    assert store.load() == b"second"
    # Another inode: the old image was never opened for writing.
    assert (tmp_path / "a.memory").stat().st_ino != before
    assert list(tmp_path.iterdir()) == [tmp_path / "a.memory"]
