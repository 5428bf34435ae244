"""TI people tracking: bytes by the documents, every profile, noise, lost bytes, restarts, what cannot be, counting."""

import json
import math
import random
import re
import struct
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from footfall_edge.__main__ import main
from footfall_edge.clock import Moment
from footfall_edge.drivers import Outcome, driver_named
from footfall_edge.framer import Frame
from footfall_edge.geometry import Mounting, Target
from footfall_edge.settings import SensorSettings
from footfall_edge.ti_frames import MOST_BYTES, MOST_NOISE, PROFILES, TiFramer, take_apart
from footfall_edge.ti_people import ProfileName, TiEyes, TiPeople
from footfall_edge.tracker import Scan, UnreadableError

GOLDEN = Path(__file__).parent / "ti_people"
PAGE = Path(__file__).parents[2] / "docs" / "sensors" / "ti-people.md"
MAGIC = bytes.fromhex("0201040306050807")


class Person(NamedTuple):
    """A target as the tests put it into a frame."""

    id: int
    x: float
    y: float
    z: float = 0.0
    vx: float = 0.0
    vy: float = 0.0
    vz: float = 0.0
    confidence: float = 0.9


def target_list(people: Sequence[Person]) -> tuple[int, bytes]:
    """TLV 1010: id, position, velocity, acceleration, covariance, gating gain, confidence."""
    form = struct.Struct("<I27f")
    return 1010, b"".join(form.pack(*person[:7], *[0.0] * 3, *[0.1] * 16, 1.0, person[7]) for person in people)


def packet(number: int, *tlvs: tuple[int, bytes], padded: bool = False, objects: int = 0, total: int = 0) -> bytes:
    """A frame of profile people-3d. `total` is what the header says instead of what is true."""
    body = b"".join(struct.pack("<II", kind, len(payload)) + payload for kind, payload in tlvs)
    padding = -(40 + len(body)) % 32 if padded else 0
    length = total or 40 + len(body) + padding
    header = MAGIC + struct.pack("<8I", 0x0305_0004, length, 0xA6843, number, 0, objects, len(tlvs), 0)
    return header + body + b"\x0f" * padding


def showing(number: int, *people: Person, padded: bool = False, points: int = 0) -> bytes:
    """A frame as the firmware writes it: points, targets, heights, whose the points are, presence."""
    tlvs: list[tuple[int, bytes]] = []
    if points:
        cloud = bytes((number * 7 + at * 13) % 256 for at in range(points * 8))
        tlvs.append((1020, struct.pack("<5f", 0.01, 0.01, 0.00028, 0.00025, 0.04) + cloud))
    if people:
        tlvs.append(target_list(people))
        tlvs.append((1012, b"".join(struct.pack("<I2f", person.id, 1.7, 0.0) for person in people)))
        tlvs.append((1011, bytes([people[0].id] * points)))
    return packet(number, *tlvs, padded=padded)


def walk(first: int = 1, *, id_: int = 7, frames: int = 40, y: float = 2.0, padded: bool = False) -> list[bytes]:
    """Somebody crosses the default line from left to right, 8 cm a frame."""
    return [
        showing(first + step, Person(id_, -1.6 + 0.08 * step, y, 0.3, 1.6), padded=padded, points=3)
        for step in range(frames)
    ]


def framer(profile: str = "people-3d") -> TiFramer:
    return TiFramer(PROFILES[profile])


def everything(data: bytes, profile: str = "people-3d") -> tuple[list[Frame], TiFramer]:
    """All frames in `data`, the last one too, and the framer that found them."""
    found = framer(profile)
    return found.feed(data) + found.finish(), found


def whole(frames: Sequence[Frame]) -> list[bytes]:
    """The bytes on the line that the frames were made of."""
    return [MAGIC + frame.body for frame in frames]


def look(data: bytes, **settings: Any) -> list[Scan]:
    """What each frame of `data` shows."""
    driver = TiPeople.model_validate(settings)
    eyes: Any = driver.watch().eyes
    scans = []
    found = driver.framer()
    for frame in found.feed(data) + found.finish():
        eyes, scan = eyes.look(frame)
        scans.append(scan)
    return scans


def golden(name: str) -> bytes:
    """The bytes of a file in hex, in which ``(00)*4`` is a byte four times and ``#`` begins a comment."""
    text = re.sub(r"#.*", "", (GOLDEN / f"{name}.hex").read_text("ascii"))
    return bytes.fromhex(re.sub(r"\(([^)]*)\)\*(\d+)", lambda found: f"{found[1]} " * int(found[2]), text))


SEEN_3D = (3, -1.0, 3.0, 0.5, 1.0, -0.5, 0.25)
SEEN_2D = (3, -1.0, 3.0, 0.0, 1.0, -0.5, 0.0)
RECORDED: dict[ProfileName, tuple[int, tuple[float, ...], list[int]]] = {
    "people-3d": (1010, (*SEEN_3D, 0.75), [1020, 1010, 1012, 1011, 1021]),
    "people-3d-xwrl6432": (308, (*SEEN_3D, 0.75), [308, 309]),
    "people-3d-iwrl6844": (308, (*SEEN_3D, 0.75), [308, 309]),
    "trackerproc-3d-40": (10, (*SEEN_3D, 0.0), [10]),
    "trackerproc-3d-108": (10, (*SEEN_3D, 0.0), [10]),
    "trackerproc-2d-28": (10, (*SEEN_2D, 0.0), [10]),
    "trackerproc-2d-68": (10, (*SEEN_2D, 0.0), [10]),
    "trackerproc-2d-72": (1035, (*SEEN_2D, 0.75), [1035]),
    "legacy-2d": (7, (*SEEN_2D, 0.0), [7]),
    "legacy-3d": (7, (*SEEN_3D, 0.0), [7]),
}
"""Type of the target list, what is in it, and the types of all TLVs, in tests/edge/ti_people."""


def test_every_profile_has_recorded_bytes() -> None:
    """There is a golden file for each profile that can be chosen, and each can be chosen that there is."""
    assert set(RECORDED) == set(PROFILES) == {file.stem for file in GOLDEN.glob("*.hex")}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_bytes_are_read_as_the_documents_say(name: ProfileName) -> None:
    """Header, TLVs and each field of a target are where the documents have them, in every profile."""
    target_tlv, expected, kinds = RECORDED[name]
    driver = TiPeople(profile=name, target_tlv=target_tlv)
    found = driver.framer()
    data = golden(name)

    [frame] = found.feed(data) + found.finish()
    parts = take_apart(frame.body, driver.firmware)
    [payload] = [payload for kind, payload in parts.tlvs if kind == target_tlv]
    scan = look(data, profile=name, target_tlv=target_tlv)[0]

    assert (found.counts.bad_frames, found.counts.skipped_bytes) == (0, 0)
    assert (parts.version, parts.platform, parts.number) == (0x0305_0004, 0xA6843, 42)
    assert [kind for kind, _ in parts.tlvs] == kinds
    assert list(PROFILES[name].target.read(payload)) == [expected]
    assert scan == Scan((Target(-1.0, 3.0, 3),))


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("other", RECORDED)
def test_the_wrong_profile_is_said(name: ProfileName, other: ProfileName) -> None:
    """Another header, or a list that is no whole number of targets: a bad frame, and the profile is asked for.

    Nothing shows where the header is the same and one size is a multiple of the other, as 112 is of 28.
    """
    target_tlv = RECORDED[name][0]
    fits = PROFILES[name].header == PROFILES[other].header
    fits = fits and PROFILES[name].target.what.size % PROFILES[other].target.what.size == 0
    driver = TiPeople(profile=other, target_tlv=target_tlv)
    found = driver.framer()

    assert len(found.feed(golden(name)) + found.finish()) == fits
    assert found.counts.bad_frames == (not fits)
    assert (f"is profile {other!r} the right one?" in found.last_fault) == (not fits)


@pytest.mark.parametrize("size", [1, 7, 29, 300, 1_000_000])
def test_the_size_of_the_pieces_does_not_matter(size: int) -> None:
    """However the bytes are cut up, the frames, the counts and the last fault are the same."""
    spoilt = bytearray(showing(30, Person(1, 0, 2)))
    del spoilt[60]
    noise = b"\x02\x01\x04" + MAGIC + b"\xff\xff\x00\x00" + struct.pack("<I", 60_000) + bytes(range(256)) * 20
    data = b"tail" + b"".join(walk()) + noise + b"".join(walk(40)) + spoilt + b"".join(walk(80, padded=True)) + MAGIC
    expected, once = everything(data)

    found = framer()
    frames: list[Frame] = []
    for at in range(0, len(data), size):
        frames += found.feed(data[at : at + size])
    frames += found.finish()

    assert frames == expected
    assert (found.counts, found.last_fault) == (once.counts, once.last_fault)
    assert found.counts.frames == len(frames) == 119


def test_frames_without_anybody_are_frames() -> None:
    """A header alone is the heartbeat: unpadded, padded to 64 bytes, or with padding counted that is never sent."""
    unpadded = b"".join(packet(number) for number in range(1, 4))
    padded = b"".join(packet(number, padded=True) for number in range(1, 4))
    unsent = b"".join(packet(number, total=64) for number in range(1, 4)) + packet(4)

    for data, number in ((unpadded, 3), (padded, 3), (unsent, 4)):
        frames, found = everything(data)
        assert len(frames) == number
        assert (found.counts.bad_frames, found.counts.skipped_bytes) == (0, 0)
        assert all(scan == Scan(()) for scan in look(data))


@pytest.mark.parametrize("padded", [False, True])
def test_unknown_tlvs_are_skipped_by_their_length(padded: bool) -> None:
    """Types that nobody knows, of any length, before and after the targets; the count of objects is not believed."""
    strangers = [(4_000_000_000, b"x"), (1040, bytes(136)), (6, bytes(24)), (99, b"")]
    data = packet(1, *strangers, target_list([Person(5, 1, 2)]), *strangers, padded=padded, objects=4_000_000_000)

    assert look(data) == [Scan((Target(1.0, 2.0, 5),))]


def test_a_target_list_of_another_size_is_said() -> None:
    """230 bytes are no whole number of 112: the frame is bad and the sentence says which profile was asked for."""
    kind, payload = target_list([Person(1, 0, 2), Person(2, 1, 2)])
    frames, found = everything(packet(1, (kind, payload + b"123456")) + packet(2))

    assert len(frames) == 1
    assert found.counts.bad_frames == 1
    assert found.last_fault == (
        "a target list (TLV 1010) of 230 bytes, no multiple of 112; is profile 'people-3d' the right one?"
    )


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (packet(1, total=39), "a length of 39 bytes, expected 40"),
        (packet(1, total=65_537), "a length of 65537 bytes, expected 40"),
        (packet(1, total=72) + bytes(32), "32 bytes are left after 0 TLVs"),
        (packet(1, (9, b"12"))[:-3] + b"\x00" * 3 + packet(2)[40:], ""),
        (packet(1, (9, b"1234"), total=51)[:51], "TLV 1 of 1, type 9, is 4 bytes long, and 3 are left"),
        (packet(1, (9, b"1234"), total=47)[:47], "it has no room for TLV 1 of 1"),
    ],
)
def test_a_chain_that_does_not_fit_its_frame_is_bad(data: bytes, fault: str) -> None:
    """Length out of bounds, TLVs beyond the end, more left over than padding: each is a bad frame that says why."""
    frames, found = everything(data + packet(2) + packet(3))

    assert len(frames) == (3 if not fault else 2)
    assert found.counts.bad_frames == (1 if fault else 0)
    assert found.last_fault.startswith(fault)


def test_noise_between_frames_costs_none_of_them() -> None:
    """With noise behind it a frame is taken when the next in number follows: nothing but noise was in between."""
    frames = walk()
    noise = b"\x02\x01\x04\x03 noise " * 30
    found = framer()

    assert found.feed(frames[0] + noise) == []
    assert whole(found.feed(frames[1] + frames[2])) == frames[:2]
    assert whole(found.finish()) == frames[2:3]
    assert (found.counts.bad_frames, found.counts.skipped_bytes) == (0, len(noise))


@pytest.mark.parametrize(("noise", "taken"), [(4070, True), (4088, True), (4089, False)])
@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_the_next_frame_has_to_begin_within_4096_bytes(noise: int, taken: bool, size: int) -> None:
    """Its magic has to be whole by then, however the bytes come; otherwise the frame before the noise is given up."""
    frames = walk()
    data = frames[0] + b"\x02" * noise + frames[1]
    found = framer()
    got = [frame for at in range(0, len(data), size) for frame in found.feed(data[at : at + size])] + found.finish()

    assert whole(got) == (frames[:2] if taken else frames[1:2])
    assert found.counts.bad_frames == (not taken)


def test_a_long_frame_before_does_not_hide_where_the_next_one_breaks_off() -> None:
    """The search for a magic inside a frame begins anew with each: a spoilt one is known when the next begins."""
    long = packet(1, target_list([Person(id_, 0, 2) for id_ in range(9)]))
    spoilt = packet(2, target_list([Person(1, 0, 2)]))[:-1]
    found = framer()
    found.feed(long[:-1])

    assert whole(found.feed(long[-1:] + spoilt + MAGIC)) == [long]
    assert found.counts.bad_frames == 1


def test_a_false_header_swallows_no_frame_and_holds_none_up() -> None:
    """Noise that looks like a header and claims 60 000 bytes: the frames after it come as soon as without it."""
    frames = walk()
    false = MAGIC + struct.pack("<8I", 1, 60_000, 0xA6843, 77, 0, 0, 3, 0) + b"noise"
    found = framer()

    assert whole(found.feed(frames[0] + false + frames[1] + frames[2])) == frames[:2]
    assert (found.counts.bad_frames, found.counts.skipped_bytes) == (1, len(false))
    assert found.last_fault == "the next frame begins after 45 of its 60000 bytes: some were lost"


def test_a_frame_that_lost_its_end_is_not_filled_up_with_the_next() -> None:
    """One byte lost in the last TLV, and the next magic spoilt too: nothing shows but the missing number; it is bad."""
    first, second, third, fourth = (packet(number, target_list([Person(1, 0, 2)])) for number in range(1, 5))
    data = first[:-30] + first[-29:] + second[:1] + second[2:] + third + fourth

    frames, found = everything(data)

    assert whole(frames) == [third, fourth]
    assert found.last_fault == "what follows its 160 bytes is no frame, and the next one is 2 on"


def test_a_burst_over_two_frames_takes_only_those() -> None:
    """From the middle of one frame to the middle of the next everything is lost: both are gone, and nothing is new."""
    people = [Person(id_, 0.1 * id_, 2) for id_ in range(8)]
    frames = [packet(number, target_list(people)) for number in range(1, 6)]
    data = frames[0] + frames[1][:500] + frames[2][300:] + frames[3] + frames[4]

    found, _ = everything(data)

    assert whole(found) == [frames[0], frames[3], frames[4]]


@cache
def sent(seed: int, frames: int, *, padded: bool) -> list[bytes]:
    """Frames with up to eight people; in half of them the target list comes last."""
    chance = random.Random(seed)
    made = []
    for number in range(frames):
        people = [Person(id_, chance.uniform(-3, 3), chance.uniform(0, 6)) for id_ in range(chance.randrange(9))]
        if number % 2:
            made.append(showing(number, *people, padded=padded, points=chance.randrange(30)))
        else:
            made.append(packet(number, *([target_list(people)] if people else []), padded=padded))
    return made


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("rate", "least"), [(1e-4, 0.85), (1e-3, 0.4), (1e-2, 0.02)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lost_bytes_lose_frames_and_invent_none(rate: float, least: float, seed: int, padded: bool) -> None:
    """At every rate of loss what comes out was sent, byte for byte and in order; most of what was whole comes out."""
    frames = sent(seed, 400, padded=padded)
    chance = random.Random(seed)
    arrived = [bytes(byte for byte in frame if chance.random() >= rate) for frame in frames]
    intact = [frame for frame, came in zip(frames, arrived, strict=True) if frame == came]

    got, found = everything(b"".join(arrived))

    order = {frame: number for number, frame in enumerate(frames)}
    numbers = [order[frame] for frame in whole(got)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 0.8 * len(intact)
    assert len(numbers) >= least * len(frames)
    assert found.counts.bad_frames > 0


def test_listening_may_begin_in_the_middle() -> None:
    """The rest of a frame that began before is skipped, and is no bad frame."""
    frames = walk()
    got, found = everything(b"".join(frames)[100:])

    assert whole(got) == frames[1:]
    assert (found.counts.bad_frames, found.counts.skipped_bytes) == (0, len(frames[0]) - 100)


def test_the_last_frame_waits_for_what_follows_it() -> None:
    """It comes with the next magic, or when nothing more will come; a frame cut short does not come at all."""
    frames = walk()
    found = framer()

    assert found.feed(frames[0] + MAGIC[:7]) == []
    assert whole(found.feed(MAGIC[7:])) == [frames[0]]
    assert found.finish() == []
    assert found.counts.skipped_bytes == 8
    assert whole(everything(frames[0])[0]) == [frames[0]]
    assert whole(everything(frames[0] + MAGIC[:3])[0]) == [frames[0]]
    assert everything(frames[0][:-1])[0] == []


def test_an_opened_line_begins_anew() -> None:
    """What was pending when the line was lost is skipped, and spoils nothing that comes then."""
    frames = walk()
    found = framer()
    found.feed(frames[0][:100])
    found.reset()

    assert found.pending == 0
    assert whole(found.feed(frames[1] + frames[2])) == [frames[1]]
    assert (found.counts.bad_frames, found.counts.skipped_bytes) == (0, 100)


def soup(chance: random.Random) -> bytes:
    """Noise made of what is on such a line: pieces of frames, magics, headers that claim anything, random bytes."""
    frames = sent(chance.randrange(50), 4, padded=chance.random() < 0.5)
    parts = []
    for _ in range(chance.randrange(1, 9)):
        frame = chance.choice(frames)
        cut = chance.randrange(len(frame))
        claim = chance.choice([0, 39, 40, 64, 100, 500, 65_536, chance.getrandbits(32)])
        parts.append(
            chance.choice(
                [
                    chance.randbytes(chance.randrange(200)),
                    MAGIC,
                    MAGIC[: chance.randrange(8)],
                    MAGIC + struct.pack("<8I", 1, claim, 0, chance.randrange(9), 0, 0, chance.randrange(4), 0),
                    frame[:cut],
                    frame[cut:],
                    frame[:cut] + chance.randbytes(3) + frame[cut:],
                ]
            )
        )
    return b"".join(parts)


def nothing_goes_wrong(buffers: int, seed: int) -> None:
    """Each of many buffers: no exception, every byte in one place, bounded memory, nobody counted."""
    chance = random.Random(seed)
    driver = TiPeople()
    for _ in range(buffers):
        found, survey = driver.framer(), driver.survey()
        fed = taken = 0
        data = soup(chance)
        size = chance.choice([7, 100, 5000])
        for at in range(0, len(data), size):
            for frame in found.feed(data[at : at + size]):
                taken += len(frame.body) + 8
                survey.see(frame)
            fed += len(data[at : at + size])
            assert taken + found.counts.skipped_bytes + found.pending == fed
        for frame in found.finish():
            taken += len(frame.body) + 8
            survey.see(frame)
        assert taken + found.counts.skipped_bytes == fed
        assert found.pending == 0
        assert survey.passages == {"in": 0, "out": 0}


def test_random_buffers() -> None:
    """2 000 buffers of noise, headers and pieces of frames: no exception, every byte in one place, no passage."""
    nothing_goes_wrong(2_000, seed=1)


@pytest.mark.full
def test_many_random_buffers() -> None:
    """100 000 of them."""
    nothing_goes_wrong(100_000, seed=2)


def test_memory_is_bounded() -> None:
    """A header that claims the most there is, and a frame followed by noise for ever: what is held has an end."""
    noise = bytes(1000)
    found = framer()
    most = 0
    for begin in (packet(1, total=MOST_BYTES), walk()[0]):
        found.feed(begin)
        for _ in range(150):
            found.feed(noise)
            most = max(most, found.pending)

    assert MOST_BYTES - 1000 < most <= MOST_BYTES + MOST_NOISE + 1000
    assert found.counts.bad_frames == 2
    assert found.pending == 0


def test_restarts_gaps_and_repeated_numbers() -> None:
    """A number that goes back is a restart; a gap is frames that did not come; the same again is a frame like any."""
    numbers = [5, 6, 9, 9, 2, 3]
    scans = look(b"".join(showing(number, Person(1, 0.5, 2)) for number in numbers))

    assert [scan.restarted for scan in scans] == [False, False, False, False, True, False]
    assert [scan.missed for scan in scans] == [0, 0, 2, 0, 0, 0]
    assert [len(scan.targets) for scan in scans] == [1] * 6
    assert scans[4].remark == "the radar started anew: frame 2 after frame 9"


def test_frame_numbers_may_wrap() -> None:
    """After 2³² - 1 comes 0, which is no restart."""
    scans = look(showing(2**32 - 1) + showing(0) + showing(1))

    assert [(scan.restarted, scan.missed) for scan in scans] == [(False, 0)] * 3


def test_nobody_is_taken_for_who_they_were_before_a_restart() -> None:
    """Left of the line before, right of it after, with the same id: after a restart that is somebody else."""
    left = [showing(number, Person(1, -0.5, 2)) for number in range(10, 20)]
    on = [showing(number, Person(1, 0.5, 2)) for number in range(20, 30)]
    anew = [showing(number, Person(1, 0.5, 2)) for number in range(1, 11)]

    assert passages(left + on) == {"in": 1, "out": 0}
    assert passages(left + anew) == {"in": 0, "out": 0}


def passages(frames: Sequence[bytes], **settings: Any) -> dict[str, int]:
    """Whom a survey counts in `frames`."""
    driver = TiPeople.model_validate(settings)
    survey, found = driver.survey(), driver.framer()
    for frame in found.feed(b"".join(frames)) + found.finish():
        survey.see(frame)
    return dict(survey.passages)


@pytest.mark.parametrize(
    "odd",
    [
        Person(1, math.nan, 2),
        Person(1, 0, math.inf),
        Person(1, 0, 2, -math.inf),
        Person(1, 20.1, 2),
        Person(1, 0, -20.1),
        Person(1, 0, 2, 3000.0),
        Person(1, 0, 2, 0, math.nan),
        Person(1, 0, 2, 0, 6.0, 8.1),
        Person(1, 0, 2, 0, 0, 0, -10.1),
        Person(250, 0, 2),
        Person(4_000_000_000, 0, 2),
    ],
)
def test_what_cannot_be_is_left_out_and_counted(odd: Person) -> None:
    """No number, too far, too fast, an id that stands for nobody: only that target is left out."""
    scans = look(showing(1, Person(249, -20.0, 20.0, 0, 6.0, 8.0), odd))

    assert scans == [Scan((Target(-20.0, 20.0, 249),), implausible=1)]


def test_the_range_is_a_setting() -> None:
    """What is beyond `farthest_m` cannot be."""
    scans = look(showing(1, Person(1, 5.9, 0), Person(2, 6.1, 0)), farthest_m=6)

    assert [target.id for target in scans[0].targets] == [1]
    assert scans[0].implausible == 1


def test_tracks_that_the_radar_is_not_sure_of_can_be_left_out() -> None:
    """Below `min_confidence` a track is not looked at, which is no fault; at 0 all are, whatever the field has."""
    people = [Person(1, 0, 1, confidence=0.6), Person(2, 0, 2, confidence=0.4), Person(3, 0, 3, confidence=math.nan)]

    [some] = look(showing(1, *people), min_confidence=0.5)
    [all_] = look(showing(1, *people))

    assert ([target.id for target in some.targets], some.implausible) == ([1], 0)
    assert ([target.id for target in all_.targets], all_.implausible) == ([1, 2, 3], 0)


def test_a_tilted_radar_sees_people_on_the_ground() -> None:
    """Straight ahead along a boresight that looks down by 60° is half as far on the ground; up from it is farther."""
    mounting = {"height_m": 3.0, "tilt_deg": 60, "rotation_deg": 90, "at": [10, 0]}

    [scan] = look(showing(1, Person(1, 0, 4), Person(2, 0, 0, 2)), mounting=mounting)

    first, second = scan.targets
    assert (first.x, first.y) == pytest.approx((8, 0))
    assert (second.x, second.y) == pytest.approx((10 - math.sqrt(3), 0))


def test_a_target_list_that_is_not_read_is_said_once() -> None:
    """A list of another profile's type would be an empty street for ever; the first one is worth a remark."""
    kind, payload = target_list([Person(1, 0, 2)])
    data = packet(1, (308, payload)) + packet(2) + packet(3, (308, payload))

    scans = look(data)

    assert kind == 1010
    assert [bool(scan.remark) for scan in scans] == [True, False, False]
    assert "type 308" in scans[0].remark
    assert "target_tlv = 308" in scans[0].remark
    assert [len(scan.targets) for scan in look(data, target_tlv=308)] == [1, 0, 1]


def test_a_frame_from_elsewhere_is_judged_too() -> None:
    """The eyes do not rely on the framer: a body that is no packet is unreadable."""
    eyes = TiEyes(PROFILES["people-3d"], Mounting(), 20, 0)

    with pytest.raises(UnreadableError, match="18 bytes; the header alone has 40"):
        eyes.look(Frame(0, b"too little"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"profile": "people-4d"}, "'people-3d'"),
        ({"profile": "trackerproc-3d-40"}, "profile 'trackerproc-3d-40' needs target_tlv"),
        ({"profile": "legacy-2d", "min_confidence": 0.5}, "the targets of profile 'legacy-2d' carry no confidence"),
        ({"command_port": "/dev/ttyUSB0"}, "command_port and config_file belong together"),
        ({"config_file": "people.cfg"}, "command_port and config_file belong together"),
        ({"farthest_m": math.nan}, "less than or equal to 200"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], sentence: str) -> None:
    """A profile that leaves something open, or what does not go together, is a sentence before a port is opened."""
    with pytest.raises(ValidationError, match=sentence):
        TiPeople.model_validate(settings)


def test_the_page_has_every_setting_and_profile() -> None:
    """docs/sensors/ti-people.md explains each key of the sensor's table and each profile, with its size of target."""
    page = PAGE.read_text("utf-8")
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if line.startswith("| `")}

    assert rows.keys() >= TiPeople.model_fields.keys()
    for name, profile in PROFILES.items():
        _, _, _, header, _, size, _ = rows[name].split("|")
        assert int(header) == profile.header.size
        assert size.strip().startswith(str(profile.target.what.size))


def test_the_configuration_on_the_page_can_be_used() -> None:
    """The example table sets up a sensor as it says."""
    [example] = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    [table] = tomllib.loads(example)["sensor"]

    sensor = SensorSettings.given(table)

    assert isinstance(sensor.set_up, TiPeople)
    assert (sensor.speed.baud, sensor.set_up.mounting.tilt_deg) == (921_600, 15)
    assert [line.length for line in sensor.set_up.line] == [4.0]


def test_it_is_called_ti_people() -> None:
    """The name in edge.toml leads to it; its line usually has 921600 baud."""
    assert driver_named("ti-people") is TiPeople
    assert TiPeople.usual_baud == 921_600


def test_passages_become_counts() -> None:
    """Through a session in virtual time: somebody in, somebody out, somebody who turns back; measured all the while."""
    there = walk(1)
    back = [showing(50 + step, Person(8, 1.6 - 0.08 * step, 3)) for step in range(40)]
    turns = [showing(100 + step, Person(9, -1 + 0.06 * min(step, 32 - step), 2)) for step in range(33)]
    driver = TiPeople()
    session, found = driver.session([], slot_s=10), driver.framer()
    at, counts = 0.0, []
    for frame in found.feed(b"".join(there + back + turns)) + found.finish():
        at += 0.05
        step = session.heard(frame, Moment(1_700_000_000_000 + round(at * 1000), at))
        assert step.outcome is Outcome.SEEN
        session = step.session
        counts += step.booking.counts if step.booking else ()
    last = session.tick(Moment(1_700_000_020_000, 20.0))
    counts += last.booking.counts if last.booking else ()

    assert sorted(passage for count in counts for passage in count.passages) == [(0, 0, 1), (1, 0, 1)]
    assert sum(count.measured_ms for count in counts) == pytest.approx(50 * (len(there + back + turns) - 1), abs=5)


def recording(file: Path, data: bytes) -> str:
    file.write_bytes(data)
    return f"replay:{file}"


def test_probe_reads_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames, targets summed over frames, skipped bytes, bad frames, restarts and passages, as JSON."""
    spoilt = showing(41, Person(7, 1.7, 2))[:-1]
    port = recording(tmp_path / "ti.bin", b"noise" + b"".join(walk()) + spoilt + b"".join(walk(1, id_=8)))

    assert main(["probe", "--port", port, "--driver", "ti-people", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {
        "driver": "ti-people",
        "frames": 80,
        "targets": 80,
        "skipped_bytes": 5 + len(spoilt),
        "bad_frames": 1,
        "restarts": 1,
        "passages": {"in": 2, "out": 0},
    }


def test_probe_in_words_says_what_the_firmware_sends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Version, profile and types of TLV, so that the right profile can be found; the picture has the crossing."""
    port = recording(tmp_path / "ti.bin", b"".join([*walk(), packet(41, (308, bytes(112)))]))
    plot = tmp_path / "ti.svg"
    command = ["probe", "--port", port, "--driver", "ti-people", "--line", "0.5,4,0.5,0", "--plot", str(plot)]

    assert main(command) == 0

    told = capsys.readouterr().out
    assert "passages: 0 in, 1 out" in told
    assert "platform 0xa6843, version 3.5.0.4, profile people-3d" in told
    assert "types of TLV: 308 (1×), 1010 (40×), 1011 (40×), 1012 (40×), 1020 (40×); targets are read from" in told
    assert "there is a target list of type 308, which is not read" in told
    assert "1 tracks; 0 in (green), 1 out (orange)" in plot.read_text("utf-8")
    ET.fromstring(plot.read_text("utf-8"))


def test_probe_with_the_wrong_profile_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every frame is bad then, and the last fault asks for the profile."""
    port = recording(tmp_path / "ti.bin", b"".join(walk()))
    command = ["probe", "--port", port, "--driver", "ti-people", "--set", "profile = 'people-3d-iwrl6844'"]

    assert main(command) == 0

    told = capsys.readouterr().out
    assert "0 frames, 40 bad" in told
    assert "is profile 'people-3d-iwrl6844' the right one?" in told
