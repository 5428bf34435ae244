"""The device's encoder and decoder against golden vectors, the document, an independent host and a C compiler."""

import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_sim import protocol
from footfall_sim.protocol import (
    MAX_CONTENT,
    Ack,
    Count,
    Health,
    Hello,
    HelloRequest,
    Interval,
    Message,
    Number,
    ProtocolError,
    Receiver,
    Time,
    cobs_decode,
    cobs_encode,
    crc16,
    decode,
    encode,
)
from sim import reference_host

VECTORS = Path(__file__).parent / "vectors"
DOCUMENT = Path(__file__).parents[2] / "docs" / "reference-counter-protocol.md"

GOOD = {path.stem: json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))}
BAD = {path.stem: json.loads(path.read_text()) for path in sorted((VECTORS / "bad").glob("*.json"))}


def from_table(told: dict[str, Any]) -> Message:
    """A message from the field names of the document's byte tables."""
    fields = dict(told)
    match fields.pop("type"):
        case "COUNT":
            number = Number(fields["boot"], fields["seq"])
            counts, totals = (tuple(map(tuple, fields[name])) for name in ("counts", "totals"))
            times = (fields["uptime_start_ms"], fields["utc_start_ms"], fields["length_ms"])
            oldest = Number(fields["oldest_boot"], fields["oldest_seq"])
            return Count(fields["device"], Interval(number, *times, counts, totals), oldest)
        case "HELLO":
            oldest = Number(fields.pop("oldest_boot"), fields.pop("oldest_seq"))
            return Hello(oldest=oldest, **fields)
        case "HEALTH":
            return Health(**fields)
        case "ACK":
            return Ack(fields["device"], Number(fields["boot"], fields["seq"]))
        case "TIME":
            return Time(**fields)
        case kind:
            assert kind == "HELLO-REQUEST"
            return HelloRequest()


@pytest.mark.parametrize("name", GOOD)
def test_golden_vectors_encode_and_decode(name: str) -> None:
    """Each recorded message has exactly its recorded bytes, both ways."""
    vector = GOOD[name]
    expected = from_table(vector["message"])
    line = bytes.fromhex(vector["line"])

    assert encode(expected) == line
    assert cobs_decode(line[:-1]) == bytes.fromhex(vector["content"])
    assert decode(bytes.fromhex(vector["content"])) == expected
    assert list(Receiver().feed(line)) == [expected]


@pytest.mark.parametrize("name", [name for name in GOOD if not name.startswith(("ack", "time", "hello-request"))])
def test_an_independent_host_reads_the_same(name: str) -> None:
    """A decoder written from the document reads from the device's bytes what went in."""
    vector = GOOD[name]
    content = reference_host.unstuff(bytes.fromhex(vector["line"])[:-1])

    assert content is not None
    assert reference_host.parse(content) == vector["message"]


def test_the_independent_host_s_messages_are_read_by_the_device() -> None:
    """ACK, TIME and HELLO-REQUEST as the other encoder writes them are the device's own bytes."""
    assert reference_host.ack(0x0BADCAFE, 7, 41) == bytes.fromhex(GOOD["ack"]["line"])
    assert reference_host.time_is(1_772_366_403_217) == bytes.fromhex(GOOD["time"]["line"])
    assert bytes.fromhex(GOOD["hello-request"]["line"]) == reference_host.HELLO_REQUEST


@pytest.mark.parametrize("name", BAD)
def test_damaged_frames_are_counted_and_skipped(name: str) -> None:
    """A recorded bad frame is no message, counts once, and the good frame after it is read."""
    receiver = Receiver()

    told = list(receiver.feed(bytes.fromhex(BAD[name]["line"]) + encode(HelloRequest())))

    assert told == [HelloRequest()]
    assert receiver.bad_frames == 1


def test_check_value_of_the_crc() -> None:
    """CRC-16/CCITT-FALSE of the nine digits is 0x29B1, by table and bit by bit."""
    assert crc16(b"123456789") == 0x29B1
    assert reference_host.crc16(b"123456789") == 0x29B1


def test_largest_count_fits() -> None:
    """Fourteen pairs make 186 bytes of content; a fifteenth is refused."""
    largest = from_table(GOOD["count-largest"]["message"])
    assert isinstance(largest, Count)
    row = (2, 1, 1)
    interval = largest.interval
    too_many = Interval(interval.number, 0, 0, 1, interval.counts, (*interval.totals, row))

    assert len(cobs_decode(encode(largest)[:-1])) == 186
    with pytest.raises(ProtocolError, match="at most 14"):
        encode(Count(1, too_many, interval.number))


@given(st.binary(max_size=600))
def test_cobs_round_trip(data: bytes) -> None:
    """COBS holds no zero, gives back any bytes, and costs one byte in 254."""
    encoded = cobs_encode(data)

    assert 0 not in encoded
    assert cobs_decode(encoded) == data
    assert len(encoded) <= len(data) + 1 + len(data) // 254


@pytest.mark.parametrize(("length", "encoded"), [(253, 254), (254, 255), (255, 257)])
def test_cobs_at_the_full_block(length: int, encoded: int) -> None:
    """254 bytes without a zero need one code byte, one more byte needs another."""
    data = bytes(range(1, 255)) + b"\x01" * (length - 254) if length > 254 else bytes(range(1, length + 1))

    assert len(cobs_encode(data)) == encoded
    assert cobs_decode(cobs_encode(data)) == data


@given(st.binary(max_size=64))
def test_cobs_decoder_only_ever_refuses(data: bytes) -> None:
    """Any bytes decode to something or raise the protocol's own error."""
    try:
        cobs_decode(data)
    except ProtocolError:
        return


@given(st.lists(st.sampled_from([bytes.fromhex(vector["line"]) for vector in GOOD.values()])), st.randoms())
def test_receiver_does_not_care_how_bytes_arrive(lines: list[bytes], dice: Any) -> None:
    """However a stream is cut into pieces, the same messages come out in the same order."""
    stream = b"\0".join(lines)
    whole = list(Receiver().feed(stream))
    receiver, pieces, place = Receiver(), [], 0
    while place < len(stream):
        step = dice.randint(1, 40)
        pieces += receiver.feed(stream[place : place + step])
        place += step

    assert pieces == whole
    assert len(whole) == len(lines)
    assert receiver.bad_frames == 0


@given(st.sampled_from([bytes.fromhex(vector["content"]) for vector in GOOD.values()]), st.randoms())
def test_turned_bits_are_never_believed(content: bytes, dice: Any) -> None:
    """Up to three turned bits anywhere in a content are always found (the CRC's distance at these lengths)."""
    damaged = bytearray(content)
    for bit in dice.sample(range(len(content) * 8), dice.randint(1, 3)):
        damaged[bit // 8] ^= 1 << bit % 8

    with pytest.raises(ProtocolError):
        decode(bytes(damaged))


@given(st.binary(max_size=MAX_CONTENT - 2))
def test_any_body_with_a_right_check_sum_is_read_or_refused(body: bytes) -> None:
    """A right check sum does not make a message: whatever is inside, only the protocol's own error comes out."""
    content = body + crc16(body).to_bytes(2, "little")
    try:
        message = decode(content)
    except ProtocolError:
        return
    assert cobs_decode(encode(message)[:-1]) == content


@pytest.mark.parametrize("kind", [1, 2, 3, 0x81, 0x82, 0x83])
@given(data=st.data())
def test_bodies_of_every_type_are_read_or_refused(kind: int, data: st.DataObject) -> None:
    """The same for each type by name; what is read is written again byte for byte."""
    body = bytes([protocol.VERSION, kind]) + data.draw(st.binary(max_size=MAX_CONTENT - 4))
    content = body + crc16(body).to_bytes(2, "little")
    try:
        message = decode(content)
    except ProtocolError:
        return
    assert cobs_decode(encode(message)[:-1]) == content


def examples() -> list[tuple[bytes, bytes]]:
    """Content and line of the document's examples."""
    found = []
    for block in re.findall(r"```hex\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL):
        content, line = block.removeprefix("content").split("line")
        found.append((bytes.fromhex(content), bytes.fromhex(line)))
    return found


def test_the_document_s_examples_are_the_golden_vectors() -> None:
    """Every worked example of the document decodes, encodes to its own bytes, and is a recorded vector."""
    recorded = {vector["line"] for vector in GOOD.values()}
    shown = examples()

    assert len(shown) == 7
    for content, line in shown:
        assert encode(decode(content)) == line
        assert cobs_decode(line[:-1]) == content
        assert line.hex(" ") in recorded


def test_the_document_names_the_offsets_that_are_on_the_wire() -> None:
    """Offsets of the document's tables, read by a stranger from a real COUNT, HELLO and HEALTH."""
    count, hello, health = (bytes.fromhex(GOOD[name]["content"]) for name in ("count", "hello", "health"))
    text = DOCUMENT.read_text("utf-8")

    def number(content: bytes, offset: int, size: int) -> int:
        return int.from_bytes(content[offset : offset + size], "little")

    assert "| 22 | u64 | utc_start_ms |" in text
    assert number(count, 22, 8) == 1_772_366_400_000
    assert "| 38 | u32 | oldest_seq |" in text
    assert number(count, 38, 4) == 41
    assert "| 42 | u8 | n |" in text
    assert number(count, 42, 1) == 3
    assert "| 43 + 4n | u8 | m |" in text
    assert number(count, 43 + 4 * 3, 1) == 4
    assert "| 26 | u32 | interval_ms |" in text
    assert number(hello, 26, 4) == 10_000
    assert "| 24 | u16 | ring_size |" in text
    assert number(health, 24, 2) == 8640


@pytest.fixture(scope="module")
def c_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The document's C code, compiled as it stands there."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: the document's C code was not compiled")
    folder = tmp_path_factory.mktemp("c")
    source = "\n".join(re.findall(r"```c\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL))
    (folder / "ff.c").write_text(source)
    command = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", "ff.so", "ff.c"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "ff.so"))


@given(st.binary(max_size=254) | st.integers(240, 254).map(lambda size: b"\x07" * size))
def test_the_document_s_c_code_agrees(c_library: ctypes.CDLL, data: bytes) -> None:
    """CRC and COBS of the document, compiled, give the same bytes as the device's own for any content."""
    out = ctypes.create_string_buffer(300)
    c_library.ff_crc16.restype = ctypes.c_uint16
    c_library.ff_cobs_encode.restype = ctypes.c_size_t
    c_library.ff_cobs_encode.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
    c_library.ff_cobs_decode.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]

    size = c_library.ff_cobs_encode(data, len(data), out)
    encoded = out.raw[:size]
    back = ctypes.create_string_buffer(300)
    length = c_library.ff_cobs_decode(encoded, len(encoded), back)

    assert c_library.ff_crc16(data, ctypes.c_size_t(len(data))) == crc16(data)
    assert encoded == cobs_encode(data)
    assert back.raw[:length] == data


def test_the_document_s_c_decoder_refuses_what_points_beyond_the_end(c_library: ctypes.CDLL) -> None:
    """A block longer than the frame, and a zero inside, give -1."""
    out = ctypes.create_string_buffer(300)

    assert c_library.ff_cobs_decode(b"\x09\x01", ctypes.c_size_t(2), out) == -1
    assert c_library.ff_cobs_decode(b"\x00\x01", ctypes.c_size_t(2), out) == -1
