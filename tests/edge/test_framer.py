"""Bytes to frames: whatever a serial line does to them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.device_model import cobs, crc16_ccitt_false, hello, wire
from footfall_edge.framer import (
    MAX_CONTENT,
    MAX_ENCODED,
    BadFrameError,
    CobsFramer,
    Frame,
    LineCounts,
    cobs_decode,
    cobs_encode,
    crc16,
    encode_frame,
)

CHUNKS = [1, 7, 29, 31, 300]

bodies = st.binary(max_size=MAX_CONTENT - 4)
wires = st.builds(wire, st.integers(0, 255), bodies)


def feed(framer: CobsFramer, data: bytes, chunk: int) -> list[Frame]:
    """Feed `data` in pieces of `chunk` bytes."""
    return [frame for at in range(0, len(data), chunk) for frame in framer.feed(data[at : at + chunk])]


@given(st.binary(max_size=700))
def test_cobs_is_undone(data: bytes) -> None:
    """What was encoded decodes to itself, has no zero byte, and costs one byte in 254 at most (and one more)."""
    encoded = cobs_encode(data)

    assert cobs_decode(encoded) == data
    assert 0 not in encoded
    assert len(encoded) <= len(data) + len(data) // 254 + 1


@given(st.binary(max_size=700))
def test_cobs_of_an_obvious_encoder_is_read(data: bytes) -> None:
    """Another encoder, which may end a full block with an empty one, is understood."""
    assert cobs_decode(cobs(data)) == data


@given(st.binary(max_size=300))
def test_crc_is_the_standard_one(data: bytes) -> None:
    """The checksum equals the bitwise definition of CRC-16/CCITT-FALSE, and the published check value."""
    assert crc16(b"123456789") == 0x29B1
    assert crc16(data) == crc16_ccitt_false(data)


@given(st.integers(0, 255), bodies)
def test_what_the_edge_encodes_is_what_a_device_would_read(kind: int, body: bytes) -> None:
    """A frame encoded here is, but for COBS' freedom at full blocks, the one of the model, and is read back."""
    encoded = encode_frame(1, kind, body)

    assert CobsFramer(1).feed(encoded) == [Frame(kind, body)]
    assert encoded.rstrip(b"\1\0") == wire(kind, body).rstrip(b"\1\0")


@pytest.mark.parametrize("chunk", CHUNKS)
def test_every_chunk_size_gives_the_same_frames(chunk: int) -> None:
    """How the operating system cuts the bytes changes nothing."""
    frames = [Frame(kind, bytes(range(kind % 250))) for kind in range(256)]
    data = b"".join(wire(frame.kind, frame.body) for frame in frames)
    framer = CobsFramer(1)

    assert feed(framer, data, chunk) == frames
    assert framer.counts == LineCounts(frames=256)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_noise_between_frames_costs_no_frame(chunk: int) -> None:
    """Noise that ends in a delimiter is skipped and counted; every frame around it comes through."""
    dice = random.Random(7)
    frames = [Frame(1, dice.randbytes(dice.randrange(1, 200))) for _ in range(200)]
    framer = CobsFramer(1)
    data = b"".join(dice.randbytes(dice.randrange(0, 60)) + b"\0" + wire(1, frame.body) for frame in frames)

    assert feed(framer, data, chunk) == frames
    assert framer.counts.bad_frames > 100
    assert framer.counts.skipped_bytes > 1000


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("loss", [1e-4, 1e-3, 1e-2])
def test_lost_bytes_cost_their_frame_and_at_most_the_next(chunk: int, loss: float) -> None:
    """A lost byte spoils its frame, a lost delimiter that and the next; no frame comes out that did not go in."""
    dice = random.Random(f"{chunk} {loss}")
    frames = [Frame(1, bytes([n % 256, n // 256]) + dice.randbytes(100)) for n in range(1000)]
    data = b"".join(wire(frame.kind, frame.body) for frame in frames)
    kept = bytes(byte for byte in data if dice.random() >= loss)
    lost = len(data) - len(kept)
    framer = CobsFramer(1)

    got = feed(framer, kept, chunk)

    assert lost > 0
    assert set(got) <= set(frames)
    assert 1000 - 2 * lost <= len(got) < 1000
    assert 0 < framer.counts.bad_frames <= lost


@given(st.lists(st.one_of(wires, st.binary(max_size=40)), max_size=30), st.data())
def test_every_byte_is_accounted_for(parts: list[bytes], data: st.DataObject) -> None:
    """A byte fed is in a good frame, skipped, pending, or a delimiter with nothing before it; cuts change nothing."""
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    whole, pieces = CobsFramer(1), CobsFramer(1)

    frames = whole.feed(stream)
    ends = zip([0, *cuts], [*cuts, len(stream)], strict=True)
    in_pieces = [frame for a, b in ends for frame in pieces.feed(stream[a:b])]

    assert frames == in_pieces
    assert whole.counts == pieces.counts
    assert whole.pending <= MAX_ENCODED
    idle = sum(1 for part in stream.split(b"\0")[:-1] if not part)
    good = len(stream) - whole.counts.skipped_bytes - whole.pending - idle
    # Version, type, checksum, the first COBS byte and the delimiter; encoders differ by one byte at full blocks.
    least = sum(len(frame.body) + 6 for frame in frames)
    assert least <= good <= least + len(frames)


@given(wires, st.data())
def test_a_changed_byte_is_never_a_frame(good: bytes, data: st.DataObject) -> None:
    """One changed byte gives no frame with other content: the checksum finds every error of up to 16 bits."""
    at = data.draw(st.integers(0, len(good) - 2))
    changed = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]

    assert CobsFramer(1).feed(changed) == [] or 0 in changed[:-1]


def test_listening_from_the_middle_of_a_frame_is_no_fault() -> None:
    """The tail of a frame that began before we listened is skipped, not counted as a bad frame."""
    framer = CobsFramer(1)
    first = hello()

    assert framer.feed(first[9:] + hello()) == CobsFramer(1).feed(hello())
    assert framer.counts == LineCounts(frames=1, skipped_bytes=len(first) - 9)

    framer.reset()
    framer.feed(first[9:])

    assert framer.counts.bad_frames == 0


def test_an_opened_line_starts_afresh() -> None:
    """What was pending before the line was reopened does not run into what comes after."""
    framer = CobsFramer(1)
    framer.feed(hello()[:10])
    framer.reset()

    assert len(framer.feed(hello())) == 1
    assert framer.counts == LineCounts(frames=1, skipped_bytes=10)


def test_a_line_without_delimiters_needs_no_memory() -> None:
    """A megabyte of noise without a zero leaves nothing pending, is one bad frame, and the next frame is read."""
    framer = CobsFramer(1)
    framer.feed(b"\0")

    for _ in range(1000):
        framer.feed(b"\x55" * 1000)
        assert framer.pending <= MAX_ENCODED

    assert framer.feed(b"\0" + hello()) != []
    assert framer.counts == LineCounts(frames=1, bad_frames=1, skipped_bytes=1_000_001)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (wire(1, b"body", version=2), "version 2, expected 1"),
        (cobs(b"\1\1xx"), "checksum"),
        (cobs(b"\1\1"), "2 bytes"),
        (b"\x09ab\0", "COBS"),
    ],
)
def test_a_bad_frame_says_why(encoded: bytes, reason: str) -> None:
    """The framer keeps a sentence on the latest bad frame: what came and what was expected."""
    framer = CobsFramer(1)
    framer.feed(b"\0" + encoded.rstrip(b"\0") + b"\0")

    assert reason in framer.last_fault
    assert framer.counts.bad_frames == 1


def test_cobs_names_the_byte() -> None:
    """A COBS error says where."""
    with pytest.raises(BadFrameError, match="0x05 at byte 2 of 3"):
        cobs_decode(b"\x02a\x05")
