"""How a sensor is, judged from what its line told."""

from footfall_edge.clock import Moment
from footfall_edge.drivers import Device
from footfall_edge.events import Closed, Heard, Opened
from footfall_edge.framer import Frame, LineCounts
from footfall_edge.health import LineHealth

NOON_MS = 1_764_072_000_000


def at(seconds: float) -> Moment:
    """That many seconds after noon."""
    return Moment(NOON_MS + round(seconds * 1000), 500 + seconds)


def heard(seconds: float, frames: int = 1) -> Heard:
    """So many frames."""
    return Heard("markt-1", at(seconds), (Frame(2, b""),) * frames, LineCounts(frames, 2, 30), "checksum")


def test_a_day_in_the_life_of_a_line() -> None:
    """Silent before the first frame, ok, silent after 35 s without one, fault when unplugged, ok again.

    0 s opened   1 s frame   36 s   41 s closed for silence   50 s unplugged   60 s opened   61 s frame
    """
    health = LineHealth("markt-1", 35, at(0))
    nobody = Device()
    states = []
    story: list[tuple[float, Opened | Closed | Heard | None]] = [
        (0, Opened("markt-1", at(0), "/dev/ttyUSB0")),
        (1, heard(1)),
        (36, None),
        (36.5, None),
        (41, Closed("markt-1", at(41), "no valid frame for 35 s", silent=True)),
        (42, Opened("markt-1", at(42), "/dev/ttyUSB0")),
        (50, Closed("markt-1", at(50), "the device went away")),
        (60, Opened("markt-1", at(60), "/dev/ttyUSB1")),
        (61, heard(61)),
    ]
    for seconds, event in story:
        if event is not None:
            health.note(event)
        changed = health.judge(at(seconds), nobody)
        message = health.message(at(seconds), nobody, 7)
        states.append((seconds, message.state, changed, message.since - NOON_MS // 1000))

    assert states == [
        (0, "silent", False, 0),
        (1, "ok", True, 1),
        (36, "ok", False, 1),
        (36.5, "silent", True, 36),
        (41, "silent", False, 36),
        (42, "silent", False, 36),
        (50, "fault", True, 50),
        (60, "silent", True, 60),
        (61, "ok", True, 61),
    ]
    final = health.message(at(62), nobody, 7)
    assert (final.restarts, final.waiting_slots) == (2, 7)
    assert (final.frames, final.bad_frames, final.skipped_bytes) == (1, 2, 30)
    assert final.last_frame == NOON_MS // 1000 + 61


def test_a_complaining_device_is_a_fault() -> None:
    """What the device says of itself counts, and is told in words."""
    health = LineHealth("markt-1", 35, at(0))
    health.note(Opened("markt-1", at(0), "/dev/ttyUSB0"))
    health.note(heard(1))
    device = Device(firmware="model 1", trouble="lens dirty")
    health.judge(at(1), device)

    message = health.message(at(1), device, 0)

    assert message.state == "fault"
    assert message.detail == "lens dirty; firmware model 1; last bad frame: checksum"


def test_times_are_unknown_while_the_clock_is_not_trusted() -> None:
    """Nothing is stamped before the clock is synchronised; afterwards earlier moments are right."""
    health = LineHealth("markt-1", 35, Moment(None, 500))
    health.note(Opened("markt-1", Moment(None, 500), "/dev/ttyUSB0"))
    health.note(Heard("markt-1", Moment(None, 501), (Frame(2, b""),), LineCounts(1), ""))
    health.judge(Moment(None, 501), Device())

    before = health.message(Moment(None, 502), Device(), 0)
    after = health.message(at(3), Device(), 0)

    assert (before.since, before.last_frame) == (0, None)
    assert before.detail == "waiting for the clock to be synchronised"
    assert (after.since, after.last_frame) == (NOON_MS // 1000 + 1, NOON_MS // 1000 + 1)
