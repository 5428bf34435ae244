"""The log of the truth: what it says, also after the process that wrote it was killed."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from footfall_sim.protocol import Interval, Number
from footfall_sim.truth import Told, TruthFollower, TruthLog, read_truth
from footfall_testing.waiting import wait_until

NOON = 1_772_366_400.0


def interval(boot: int, seq: int, *counts: tuple[int, int, int]) -> Interval:
    return Interval(Number(boot, seq), 0, 0, 10_000, counts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "markt-1.truth.jsonl"


def test_totals_per_direction_and_since_a_moment(path: Path) -> None:
    """Every passage counts in its direction; a later part of the log is a truth of its own."""
    log = TruthLog(path)
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 1, 0, 0), (NOON + 2, 1, 0), (NOON + 3, 0, 2)])
    log.passages([])
    log.closed([interval(1, 0, (0, 0, 1), (0, 2, 1), (1, 0, 1))], NOON + 10)
    log.passages([(NOON + 11, 1, 0)])
    log.close()

    truth = read_truth(path)

    assert truth.totals == {0: 2, 1: 2}
    assert truth.never_reported == {}
    assert truth.reported == truth.totals
    assert (truth.open, truth.boots, truth.damaged_lines) == (1, 1, 0)
    assert truth.since(datetime.fromtimestamp(NOON + 2, UTC)).totals == {0: 1, 1: 2}


def test_lines_are_what_the_format_says(path: Path) -> None:
    """One JSON object per line: other programs may read it."""
    log = TruthLog(path)
    log.boot(7, 1, {(0, 0): 5}, NOON)
    log.passages([(NOON + 0.1234, 0, 2)])
    log.passages([(NOON + 1, 1, 0)], remark="missed")
    log.closed([interval(1, 0, (0, 2, 1))], NOON + 10)
    log.remark(NOON + 11, fault="reboot")
    log.close()

    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"boot": 1, "utc": NOON, "device": 7, "totals": [[0, 0, 5]]},
        {"utc": NOON + 0.123, "direction": 0, "class": 2},
        {"utc": NOON + 1, "direction": 1, "class": 0, "missed": True},
        {"closed": [1, 0], "utc": NOON + 10, "utc_start_ms": 0, "length_ms": 10_000, "count": 1},
        {"remark": {"fault": "reboot"}, "utc": NOON + 11},
    ]


def test_the_open_interval_of_a_reboot_was_never_reported(path: Path) -> None:
    """What was counted and is not in the memory's totals at the boot is listed apart, with its time and direction."""
    log = TruthLog(path)
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 1, 0, 0), (NOON + 2, 1, 0)])
    log.closed([interval(1, 0, (0, 0, 1), (1, 0, 1))], NOON + 10)
    log.passages([(NOON + 11, 0, 0), (NOON + 12, 0, 1), (NOON + 13, 1, 0)])
    log.boot(7, 2, {(0, 0): 1, (1, 0): 1}, NOON + 14)
    log.passages([(NOON + 15, 0, 0)])
    log.close()

    truth = read_truth(path)

    assert truth.totals == {0: 4, 1: 2}
    assert truth.never_reported == {0: 2, 1: 1}
    assert truth.reported == {0: 2, 1: 1}
    assert [one.utc_s - NOON for one in truth.passages if one.lost] == [11, 12, 13]
    assert truth.since(datetime.fromtimestamp(NOON + 12, UTC)).never_reported == {0: 1, 1: 1}


def test_a_death_between_memory_and_log_is_not_a_loss(path: Path) -> None:
    """The interval was saved, its line was not written: the boot's totals tell that nothing is missing."""
    log = TruthLog(path)
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 1, 0, 0), (NOON + 2, 0, 0)])
    log.boot(7, 2, {(0, 0): 2}, NOON + 14)
    log.passages([(NOON + 15, 0, 0)])
    log.boot(7, 3, {(0, 0): 2}, NOON + 16)
    log.close()

    assert read_truth(path).never_reported == {0: 1}


def test_people_who_came_between_a_cut_and_its_line(path: Path) -> None:
    """A passage after the cut, written before the cut's line, belongs to the open interval: a reboot loses it."""
    log = TruthLog(path)
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 9.99, 0, 0), (NOON + 10.01, 0, 1)])
    log.closed([interval(1, 0, (0, 0, 1))], NOON + 10.02)
    assert read_truth(path).open == 1
    log.boot(7, 2, {(0, 0): 1}, NOON + 11)
    log.close()

    assert [one.utc_s - NOON for one in read_truth(path).passages if one.lost] == [pytest.approx(10.01)]


def test_what_a_reboot_lost_is_known_by_class(path: Path) -> None:
    """The memory's totals by class say which are gone, also where another class of the direction came later."""
    log = TruthLog(path)
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 1, 0, 0), (NOON + 2, 0, 2), (NOON + 3, 0, 0), (NOON + 4, 1, 4)])
    log.boot(7, 2, {(0, 0): 2}, NOON + 10)
    log.close()

    truth = read_truth(path)

    assert truth.cells == {(0, 0): 2, (0, 2): 1, (1, 4): 1}
    assert truth.never_reported_cells == {(0, 2): 1, (1, 4): 1}
    assert truth.reported_cells == {(0, 0): 2}


def test_a_class_that_a_device_has_no_room_for_is_not_lost(path: Path) -> None:
    """Counted as unknown it is in the direction's sum: only what is missing there was lost, the latest."""
    log = TruthLog(path)
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 1, 0, 9), (NOON + 2, 0, 9), (NOON + 3, 0, 9)])
    log.boot(7, 2, {(0, 255): 2}, NOON + 10)
    log.close()

    truth = read_truth(path)

    assert truth.never_reported == {0: 1}
    assert [one.utc_s - NOON for one in truth.passages if one.lost] == [3]


def test_a_log_is_followed_as_it_grows(path: Path) -> None:
    """Each reading adds what is new; a line that is half written is waited for, not damaged."""
    follower = TruthFollower(path)
    assert follower.read().cells == {}
    log = TruthLog(path)
    log.passages([(NOON, 0, 0)])
    assert follower.read().cells == {(0, 0): 1}
    with path.open("ab") as file:
        file.write(b'{"utc":1772366401,"direc')
        file.flush()
        assert follower.read().cells == {(0, 0): 1}
        assert follower.cut_short
        file.write(b'tion":1,"class":2}\n')
    log.passages([(NOON + 2, 0, 0)])
    log.close()

    truth = follower.read()

    assert (truth.cells, truth.damaged_lines) == ({(0, 0): 2, (1, 2): 1}, 0)
    assert not follower.cut_short


def test_a_new_device_in_the_old_place(path: Path) -> None:
    """Another device number has its own totals; only what the old one had not closed is lost."""
    log = TruthLog(path)
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 1, 0, 0)])
    log.closed([interval(1, 0, (0, 0, 1))], NOON + 10)
    log.passages([(NOON + 11, 0, 0)])
    log.boot(8, 1, {}, NOON + 12)
    log.passages([(NOON + 13, 0, 0)])
    log.boot(8, 2, {(0, 0): 1}, NOON + 14)
    log.close()

    truth = read_truth(path)

    assert truth.totals == {0: 3}
    assert truth.never_reported == {0: 1}


def test_missed_passages_are_apart_and_phantoms_are_counted(path: Path) -> None:
    """What a stuck sensor did not see is in no sum; what it imagined is in the sums, marked."""
    log = TruthLog(path)
    log.passages([(NOON, 0, 0)], remark="missed")
    log.passages([(NOON + 1, 1, 0)], remark="phantom")
    log.close()

    truth = read_truth(path)

    assert truth.totals == {1: 1}
    assert [one.direction for one in truth.missed] == [0]
    assert [one.phantom for one in truth.passages] == [True]


def test_a_counter_without_intervals_settles_by_direction(path: Path) -> None:
    """The first so many open passages of a direction are reported, or lost; switching off loses those still open."""
    log = TruthLog(path)
    log.boot(7, 1, {}, NOON)
    log.passages([(NOON + 1, 0, 0), (NOON + 2, 1, 0), (NOON + 3, 1, 0), (NOON + 4, 0, 0), (NOON + 5, 1, 0)])
    log.closed([Told(1, 1, 1), Told(1, 0, 1, lost=True)], NOON + 6)
    open_then = read_truth(path).open
    log.off(7, NOON + 7)
    log.close()

    truth = read_truth(path)

    assert (open_then, truth.open, truth.boots) == (3, 0, 1)
    assert [one.utc_s - NOON for one in truth.passages if one.lost] == [1, 3, 4, 5]
    assert [json.loads(line) for line in path.read_text().splitlines()[-3:]] == [
        {"closed": [1], "utc": NOON + 6, "of": 1, "count": 1},
        {"lost": [1], "utc": NOON + 6, "of": 0, "count": 1},
        {"off": 7, "utc": NOON + 7},
    ]


def test_a_line_cut_short_harms_only_itself(path: Path) -> None:
    """After a power failure in the middle of a line the log goes on in a new one."""
    log = TruthLog(path)
    log.passages([(NOON, 0, 0)])
    log.close()
    with path.open("ab") as file:
        file.write(b'{"utc":17723')
    assert read_truth(path).damaged_lines == 1
    log = TruthLog(path)
    log.passages([(NOON + 2, 0, 0)])
    log.close()

    truth = read_truth(path)

    assert truth.totals == {0: 2}
    assert truth.damaged_lines == 1


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """A simulator that has not started yet has seen nobody."""
    assert read_truth(tmp_path / "nothing").totals == {}


def test_lines_survive_kill_9(path: Path) -> None:
    """What was written before SIGKILL is there after it: nothing waits in a buffer of the process."""
    program = (
        "import sys, time; from pathlib import Path; from footfall_sim.truth import TruthLog;"
        "log = TruthLog(Path(sys.argv[1]));"
        "[log.passages([(float(n), 0, 0)]) for n in range(1000)];"
        "print('written', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: process.poll() is not None, what="the end of the process")

    assert read_truth(path).totals == {0: 1000}
