"""The HLK-LD2450: its bytes as the vendor documents them, what a bad line does to them, and who is counted."""

import json
import math
import random
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_contract.words import Direction
from footfall_edge.__main__ import main
from footfall_edge.clock import Moment
from footfall_edge.counts import Cursor
from footfall_edge.drivers import Outcome
from footfall_edge.framer import Frame
from footfall_edge.geometry import CountingLine, Mounting
from footfall_edge.ld2450 import ANSWER, FOOTER, HEADER, TARGETS, Ld2450, Ld2450Eyes, Ld2450Framer, signed
from footfall_edge.tracker import TrackerSession, TrackerSurvey, UnreadableError

EMPTY = bytes.fromhex("aaff0300" + "00" * 24 + "55cc")
ONE = bytes.fromhex("aaff0300 0e03 b186 1000 4001" + "00" * 16 + "55cc")
"""From the vendor's protocol document: x −782 mm, y 1713 mm, speed −16 cm/s, gate 320 mm."""
THREE = bytes.fromhex("aaff0300 be8a 478e 1100 6801 1001 5283 0000 6801 0000 0000 0000 0000 55cc")
"""2750, 3655 and −272, 850; the third place is empty."""
ACKNOWLEDGED = bytes.fromhex("fdfcfbfa 0800 ff01 0000 0100 4000 04030201")
"""The answer to the command that begins a configuration."""
SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "ld2450" / "office-empty-15s.bin"


def encoded(targets: Iterable[tuple[float, float]]) -> bytes:
    """A frame with targets at x, y in metres."""
    places = [(_signed(x), _signed(y), 0x8000, 360) for x, y in targets][:3]
    places += [(0, 0, 0, 0)] * (3 - len(places))
    return HEADER + b"".join(struct.pack("<HHHH", *place) for place in places) + FOOTER


def _signed(metres: float) -> int:
    millimetres = round(metres * 1000)
    return millimetres | 0x8000 if millimetres >= 0 else -millimetres


def fed(framer: Ld2450Framer, data: bytes, size: int) -> list[Frame]:
    """The frames of `data` that comes in pieces of `size` bytes."""
    return [frame for at in range(0, len(data), size) for frame in framer.feed(data[at : at + size])]


def walks(number: int, seed: int = 1) -> tuple[bytes, list[Direction]]:
    """People who pass one after the other, 11 frames a second; and which way each went."""
    dice = random.Random(seed)
    frames, ways = [], []
    for _ in range(number):
        way = dice.choice((Direction.IN, Direction.OUT))
        y, speed = dice.uniform(1, 4.5), dice.uniform(0.6, 2.0)
        steps = math.ceil(3 / speed * 11)
        xs = [-1.5 + 3 * i / steps for i in range(steps + 1)]
        for x in xs if way is Direction.IN else reversed(xs):
            frames.append(encoded([(x + dice.uniform(-0.1, 0.1), y + dice.uniform(-0.1, 0.1))]))  # noqa: PERF401
        frames += [EMPTY] * 11
        ways.append(way)
    return b"".join(frames), ways


def surveyed(data: bytes, size: int = 300, driver: Ld2450 | None = None) -> tuple[TrackerSurvey, Ld2450Framer]:
    """What a probe finds in `data`."""
    driver = driver or Ld2450()
    framer, survey = driver.framer(), driver.survey()
    for frame in [*fed(framer, data, size), *framer.finish()]:
        survey.see(frame)
    return survey, framer


# Bytes.


def test_the_examples_of_the_document() -> None:
    """Sign and magnitude, millimetres; a place that is all zero is empty."""
    eyes = Ld2450Eyes(Mounting())
    (one,) = Ld2450Framer().feed(ONE)
    (three,) = Ld2450Framer().feed(THREE)
    (nobody,) = Ld2450Framer().feed(EMPTY)

    assert [(t.x, t.y) for t in eyes.look(one)[1].targets] == [(-0.782, 1.713)]
    assert [(t.x, t.y) for t in eyes.look(three)[1].targets] == [(2.75, 3.655), (-0.272, 0.85)]
    assert eyes.look(nobody)[1].targets == ()
    assert [signed(0x0010), signed(0x8010), signed(0x8000)] == [-16, 16, 0]


def test_an_answer_to_a_command_is_a_frame_and_shows_nobody() -> None:
    """While somebody configures the sensor, its answers are no noise."""
    framer = Ld2450Framer()
    frames = framer.feed(ONE + ACKNOWLEDGED + ONE)

    assert [frame.kind for frame in frames] == [TARGETS, ANSWER, TARGETS]
    assert Ld2450Eyes(Mounting()).look(frames[1])[1].targets == ()
    assert framer.counts.skipped_bytes == 0


@pytest.mark.parametrize("size", [1, 7, 29, 31, 300, 10_000])
def test_the_size_of_the_pieces_does_not_matter(size: int) -> None:
    """Frames, bad frames and skipped bytes are the same however the bytes come."""
    data = b"\x03\x00\x55\xcc" + (EMPTY + ONE + b"\xaa\xff\x03\x00\x01" + THREE + b"\xaa\xaa\xff") * 5 + ONE[:17]
    framer, whole = Ld2450Framer(), Ld2450Framer()

    assert fed(framer, data, size) == whole.feed(data)
    assert framer.counts == whole.counts
    assert framer.counts.frames == 15
    assert len(data) == framer.counts.frames * 30 + framer.counts.skipped_bytes + framer.pending


def test_noise_with_a_header_inside_swallows_no_frame() -> None:
    """A false header is given up after one byte; the frames in what it claimed are found."""
    framer = Ld2450Framer()
    frames = framer.feed(HEADER + ONE + HEADER + b"\x01\x02" + THREE + HEADER[:3] + ONE)

    assert [frame.body for frame in frames] == [ONE[4:-2], THREE[4:-2], ONE[4:-2]]
    assert framer.counts.bad_frames == 2
    assert "55 cc should end the frame" in framer.last_fault


def test_starting_in_mid_frame_is_no_fault() -> None:
    """What is left of the frame that was under way is skipped, and no more."""
    framer = Ld2450Framer()

    assert len(framer.feed(ONE[11:] + THREE)) == 1
    assert (framer.counts.bad_frames, framer.counts.skipped_bytes) == (0, 19)


def test_a_new_line_forgets_the_old_one() -> None:
    """The beginning of a frame from before the plug was pulled does not go with the end of one from after it."""
    framer = Ld2450Framer()
    framer.feed(ONE[:20])
    framer.reset()

    assert framer.feed(ONE[20:] + EMPTY)[0].body == EMPTY[4:-2]
    assert framer.counts.skipped_bytes == 30


@given(
    st.lists(st.sampled_from([EMPTY, ONE, THREE, ACKNOWLEDGED, HEADER, FOOTER, b"\xaa", b"\xfd\xfc\xfb\xfa\xff\xff"]))
)
def test_every_byte_is_in_one_place(parts: list[bytes]) -> None:
    """In a frame, skipped, or pending; and pending never grows beyond the longest frame."""
    framer = Ld2450Framer()
    data = b"".join(parts)
    frames = fed(framer, data, 5)
    sizes = {TARGETS: 6, ANSWER: 8}

    assert sum(len(f.body) + sizes[f.kind] for f in frames) + framer.counts.skipped_bytes + framer.pending == len(data)
    assert framer.pending < 64


def test_what_is_farther_than_it_can_see_is_no_target() -> None:
    """Spoilt numbers are left out, and said."""
    frame = Frame(TARGETS, encoded([(12, 3), (1, 2)])[4:-2])
    behind = Frame(TARGETS, encoded([(1, -2)])[4:-2])

    assert Ld2450Eyes(Mounting()).look(frame)[1].implausible == 1
    assert Ld2450Eyes(Mounting()).look(behind)[1].implausible == 1
    with pytest.raises(UnreadableError, match="23 bytes of targets, expected 24"):
        Ld2450Eyes(Mounting()).look(Frame(TARGETS, bytes(23)))


def test_a_sensor_that_hangs_high_sees_longer_ways() -> None:
    """From 3 m up, a person whose middle is 2 m below the sensor and 4 m away is 4.47 m from it."""
    frame = Frame(TARGETS, encoded([(0.5, math.hypot(4, 2))])[4:-2])
    (target,) = Ld2450Eyes(Mounting(height_m=3.0)).look(frame)[1].targets
    (turned,) = Ld2450Eyes(Mounting(height_m=3.0, rotation_deg=90, at=(10, 0))).look(frame)[1].targets

    assert (target.x, round(target.y, 2)) == (0.5, 4.0)
    assert (round(turned.x, 2), round(turned.y, 2)) == (6.0, 0.5)


# A line that loses bytes, and noise.


@pytest.mark.parametrize("loss", [1e-4, 1e-3, 1e-2])
def test_lost_bytes_cost_frames_and_invent_nobody(loss: float) -> None:
    """Of what comes out, every frame was sent. People are still counted, for a track survives some frames."""
    data, ways = walks(30)
    dice = random.Random(loss)
    spoilt = bytes(byte for byte in data if dice.random() >= loss)
    sent = {data[at : at + 30][4:-2] for at in range(0, len(data), 30)}
    frames = fed(Ld2450Framer(), spoilt, 29)
    survey, _ = surveyed(spoilt)

    assert all(frame.body in sent for frame in frames)
    assert survey.passages == {"in": ways.count(Direction.IN), "out": ways.count(Direction.OUT)}


def noise(buffers: int) -> None:
    """Random buffers, some of which look a little like frames, through framer and survey."""
    for seed in range(buffers):
        dice = random.Random(seed)
        data = bytearray(dice.randbytes(dice.randrange(1, 200)))
        for _ in range(dice.randrange(3)):
            place = dice.randrange(len(data))
            data[place:place] = dice.choice((HEADER, FOOTER, ONE[:12], b"\xfd\xfc\xfb\xfa"))
        survey, _ = surveyed(bytes(data), dice.choice((1, 7, 29, 300)))
        assert survey.passages == {"in": 0, "out": 0}, seed


def test_noise_is_nobody() -> None:
    """Random bytes make neither an exception nor a passage."""
    noise(2000)


@pytest.mark.full
def test_much_noise_is_nobody() -> None:
    """The same a hundred thousand times."""
    noise(100_000)


# The recording of an empty room.


def test_an_empty_room() -> None:
    """180 frames of a real sensor, nobody there, no byte lost."""
    if not SAMPLE.exists():
        pytest.skip("no recording of a real sensor beside the checkout")
    survey, framer = surveyed(SAMPLE.read_bytes(), 7)

    assert (framer.counts.frames, framer.counts.bad_frames, framer.counts.skipped_bytes) == (180, 0, 0)
    assert (survey.targets, survey.passages) == (0, {"in": 0, "out": 0})


# Counting.


def test_people_are_counted_whatever_the_pieces() -> None:
    """One after the other, both ways; the survey and the session see the same."""
    data, ways = walks(12)
    expected = {"in": ways.count(Direction.IN), "out": ways.count(Direction.OUT)}

    for size in (1, 30, 1000):
        assert surveyed(data, size)[0].passages == expected


def test_who_is_who_does_not_hang_on_the_place_in_the_frame() -> None:
    """Two people side by side, whose places are shuffled in each frame, are two passages."""
    dice = random.Random(5)
    data = b""
    for step in range(40):
        people = [(-2 + 0.1 * step, 1.5), (-1.8 + 0.1 * step, 2.8)]
        dice.shuffle(people)
        data += encoded(people)

    assert surveyed(data)[0].passages == {"in": 2, "out": 0}


def session(driver: Ld2450 | None = None, cursors: Sequence[Cursor] = ()) -> TrackerSession:
    """A session of a driver."""
    return (driver or Ld2450()).session(cursors)


def played(
    start: TrackerSession, frames: Iterable[bytes], since_s: float = 0.0, *, trusted: bool = True
) -> tuple[TrackerSession, list[int], int, list[Cursor]]:
    """The session after frames, 10 a second; measured ms and passages that were booked; and the cursors with them."""
    now, after = since_s, start
    measured: list[int] = []
    passages = 0
    cursors = []
    for data in frames:
        now += 0.1
        moment = Moment(1_764_000_000_000 + round(now * 1000) if trusted else None, 500 + now)
        (frame,) = Ld2450Framer().feed(data)
        for step in (after.heard(frame, moment), None):
            step = step or after.tick(moment)  # noqa: PLW2901
            after = step.session
            if step.booking:
                measured += [count.measured_ms for count in step.booking.counts]
                passages += sum(n for count in step.booking.counts for _, _, n in count.passages)
                if step.booking.cursor:
                    cursors.append(step.booking.cursor)
    return after, measured, passages, cursors


def across(y: float = 2.0) -> list[bytes]:
    """Somebody who goes in, 31 frames."""
    return [encoded([(-1.5 + 0.1 * i, y)]) for i in range(31)]


def test_a_session_books_what_it_measured_and_counted() -> None:
    """Frames follow one another: all the time between the first and the last is measured, and the passage is there."""
    _, measured, passages, _ = played(session(), [*across(), *[EMPTY] * 200])

    assert passages == 1
    assert sum(measured) == pytest.approx(20_000, abs=3000)
    assert all(ms <= 10_000 for ms in measured)


def test_a_gap_is_not_measured_and_ends_every_track() -> None:
    """After a second without frames nobody is who they were: whoever was on the left may be anybody on the right."""
    left, measured, passages, _ = played(session(), across()[:14])
    _, after, more, _ = played(left, [*across()[17:], *[EMPTY] * 100], since_s=30)

    assert passages + more == 0
    assert sum(measured) + sum(after) < 14_000


def test_without_a_clock_what_is_counted_waits_in_the_outbox() -> None:
    """Its sum is saved; the next run makes a span of it when it learns the time, and then it waits no more."""
    _, measured, _, cursors = played(session(), [*across(), *[EMPTY] * 120], trusted=False)

    assert measured == []
    assert dict(cursors[-1].totals or {}) == {(0, 0): 1}

    again = session(cursors=cursors[-1:])
    step = again.tick(Moment(1_764_000_000_000, 3.0))

    assert step.booking is not None
    (count,) = step.booking.counts
    assert (count.measured_ms, count.passages) == (0, ((0, 0, 1),))
    assert step.booking.cursor is not None
    assert dict(step.booking.cursor.totals or {}) == {}


def test_the_totals_of_the_counter_that_was_here_before_are_no_passages() -> None:
    """A radar takes the place, and the name, of a counter with totals: it begins where that one was booked."""
    counter = Cursor(7, 3, 12, 1_763_999_000_000, {(0, 0): 51_234, (1, 0): 49_876})
    after, _, passages, cursors = played(session(cursors=[counter]), [*across(), *[EMPTY] * 20])

    assert passages == 1
    assert after.saved == {}
    assert cursors[0].device not in {0, 7}


def test_a_clock_that_is_lost_again_is_waited_for_again() -> None:
    """The same sum a second time is another one: it is saved, too."""
    first, _, _, saved = played(session(), [*across(), *[EMPTY] * 120], trusted=False)
    placed, _, passages, _ = played(first, [EMPTY] * 20, since_s=16)
    _, _, _, again = played(placed, [*across(), *[EMPTY] * 120], since_s=18.5, trusted=False)

    assert passages == 1
    assert [dict(cursors[-1].totals or {}) for cursors in (saved, again)] == [{(0, 0): 1}, {(0, 0): 1}]


def test_every_frame_has_an_outcome() -> None:
    """Seen; implausible if something in it cannot be."""
    moment = Moment(None, 1.0)
    seen = session().heard(Frame(TARGETS, ONE[4:-2]), moment)
    wrong = session().heard(Frame(TARGETS, encoded([(12, 3)])[4:-2]), moment)
    unreadable = session().heard(Frame(TARGETS, b"x"), moment)

    assert (seen.outcome, wrong.outcome, unreadable.outcome) == (
        Outcome.SEEN,
        Outcome.IMPLAUSIBLE,
        Outcome.UNREADABLE,
    )
    assert "expected 24" in unreadable.remark


# The probe.


def test_a_probe_of_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON with the members others rely on; lines can be given; the picture shows tracks, line and crossings."""
    data, ways = walks(8, seed=2)
    (tmp_path / "walks.bin").write_bytes(data)
    port = f"replay:{tmp_path / 'walks.bin'}"

    assert main(["probe", "--json", "--driver", "ld2450", "--port", port, "--plot", str(tmp_path / "walks.svg")]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found == {
        "driver": "ld2450",
        "frames": len(data) // 30,
        "targets": found["targets"],
        "skipped_bytes": 0,
        "bad_frames": 0,
        "restarts": 0,
        "passages": {"in": ways.count(Direction.IN), "out": ways.count(Direction.OUT)},
    }
    assert found["targets"] == len(data) // 30 - 8 * 11
    picture = (tmp_path / "walks.svg").read_text()
    assert picture.startswith("<svg")
    assert picture.count("<polyline") == 8
    assert "line 0" in picture

    assert main(["probe", "--driver", "ld2450", "--port", port, "--line", "0,6,0,0"]) == 0
    text = capsys.readouterr().out

    assert f"passages: {ways.count(Direction.OUT)} in, {ways.count(Direction.IN)} out" in text


def test_a_probe_takes_its_settings_from_edge_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So what is tried is what will run; an option still wins, and what cannot be is said."""
    (tmp_path / "walks.bin").write_bytes(walks(3)[0])
    config = tmp_path / "edge.toml"
    config.write_text(
        'node = "box"\n[outbox]\npath = "x"\n'
        '[[sensor]]\nid = "markt-1"\ndriver = "ld2450"\nport = "/dev/nothing"\n'
        "[[sensor.line]]\nfrom = [9, 0]\nto = [9, 5]\n"
        '[[sensor]]\nid = "markt-2"\ndriver = "reference"\nport = "/dev/other"\n'
    )
    port = f"replay:{tmp_path / 'walks.bin'}"
    asked = ["probe", "--config", str(config), "--port", port, "--json"]

    assert main([*asked, "--sensor", "markt-1"]) == 0
    assert json.loads(capsys.readouterr().out)["passages"] == {"in": 0, "out": 0}

    assert main([*asked, "--sensor", "markt-1", "--set", "line = [{from = [0, 0], to = [0, 6]}]"]) == 0
    assert sum(json.loads(capsys.readouterr().out)["passages"].values()) == 3

    assert main(asked) == 1
    assert "--sensor says which" in capsys.readouterr().err
    assert main([*asked, "--sensor", "markt-1", "--set", "line = 3 m"]) == 1
    assert "is not TOML" in capsys.readouterr().err
    assert main([*asked, "--sensor", "markt-1", "--line", "0,0,0"]) == 1
    assert "expected four numbers of metres" in capsys.readouterr().err
    assert main([*asked, "--sensor", "markt-2", "--plot", str(tmp_path / "x.svg")]) == 1
    assert "nothing to draw" in capsys.readouterr().err


def test_settings_that_cannot_be_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line too short, a name that is no setting, a point without a number: which, and what would be right."""
    asked = ["probe", "--driver", "ld2450", "--port", f"replay:{tmp_path / 'x'}"]

    assert main([*asked, "--line", "1,1,1,1.1"]) == 1
    assert "driver ld2450: line.0: the line is 0.10 m long; it needs at least 0.2 m" in capsys.readouterr().err
    assert main([*asked, "--set", "linse = 1"]) == 1
    assert "linse is not a setting of it (it has 1); remove it or correct its name" in capsys.readouterr().err
    assert main([*asked, "--set", "line = [{from = [0, 0], to = [0, nan]}]"]) == 1
    assert "line.0.to.1" in capsys.readouterr().err


def test_a_long_recording_takes_no_more_memory() -> None:
    """What a survey keeps for its picture is bounded, and so is everything else."""
    survey = Ld2450(line=(CountingLine(first=(0, 0), last=(0, 6)),)).survey()
    data, _ = walks(10)
    frames = Ld2450Framer().feed(data)
    for _ in range(100):
        for frame in frames:
            survey.see(frame)
    drawn = survey.draw("long")

    assert "older ones not drawn" in drawn
    assert drawn.count("<polyline") < 900
