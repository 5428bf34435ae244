"""The supervisor with small real children: restarts, the order of the stop, and that nothing is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from footfall_demo.supervisor import Child, Supervisor
from footfall_testing.waiting import wait_until

OBEDIENT = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
STUBBORN = (
    "import os, signal, time\n"
    "for n in (signal.SIGTERM, signal.SIGINT): signal.signal(n, lambda *_: os.write(1, b'told\\n'))\n"
    "print('up', flush=True)\ntime.sleep(600)\n"
)


def python(program: str, *words: str) -> list[str]:
    """The command line of a small Python program."""
    return [sys.executable, "-c", program, *words]


@pytest.fixture
def said() -> list[str]:
    """What the supervisor told people."""
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    """A supervisor in this process."""
    with Supervisor(tmp_path / "logs", say=said.append) as found:
        yield found


def processes_with(word: str) -> list[int]:
    """The living processes that have `word` on their command line, this one apart."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = process.info["cmdline"] or []
        if (
            process.info["pid"] != os.getpid()
            and process.info["status"] != psutil.STATUS_ZOMBIE
            and word in " ".join(words)
        ):
            found.append(process.info["pid"])
    return found


def test_a_dead_child_is_started_again(supervisor: Supervisor, said: list[str]) -> None:
    """A child that was killed runs again a moment later as another process, and people are told why."""
    supervisor.start(Child("worker", python(OBEDIENT)))
    first = supervisor.pid("worker")
    assert first is not None
    os.kill(first, signal.SIGKILL)

    assert supervisor.wait_until(lambda: supervisor.pid("worker") not in (None, first), 30)
    assert supervisor.deaths("worker") == 1
    assert "SIGKILL" in said[0]
    assert "worker.log" in said[0]


def test_a_child_that_cannot_run_is_tried_more_and_more_rarely(supervisor: Supervisor, said: list[str]) -> None:
    """The wait before a restart doubles from failure to failure, so a broken child does not burn the machine."""
    supervisor.start(Child("broken", python("raise SystemExit('no such thing')")))

    assert supervisor.wait_until(lambda: supervisor.deaths("broken") >= 3, 60)
    assert [line.split(" again in ")[1].split(".")[0:2] for line in said[:3]] == [
        ["0", "5 s"],
        ["1 s", " Its log: " + str(supervisor.log_path("broken")).split(".")[0]],
        ["2 s", " Its log: " + str(supervisor.log_path("broken")).split(".")[0]],
    ]
    assert supervisor.log_end("broken").splitlines()[-1] == "no such thing"


def test_what_a_dead_child_started_goes_with_it(supervisor: Supervisor, tmp_path: Path) -> None:
    """A grandchild left behind by a child that was killed is ended before the child is started again."""
    mark = f"grandchild-of-{tmp_path}"
    program = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {mark!r} + sys.argv[1]])\n"
        "time.sleep(600)\n"
    )
    supervisor.start(Child("parent", python(program, "-x")))
    wait_until(lambda: len(processes_with(mark + "-x")) == 1, what="the grandchild")
    [before] = processes_with(mark + "-x")
    os.kill(supervisor.pid("parent") or 0, signal.SIGKILL)

    def is_replaced() -> bool:
        found = processes_with(mark + "-x")
        return len(found) == 1 and found != [before]

    assert supervisor.wait_until(is_replaced, 30)


def test_stages_stop_one_after_the_other(tmp_path: Path, said: list[str]) -> None:
    """No child of a stage is told to stop before the last one of the stage below has ended."""
    program = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(float(sys.argv[3]))\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')\n"
        "    raise SystemExit\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    order = tmp_path / "order"
    with Supervisor(tmp_path / "logs", say=said.append) as supervisor:
        # The higher the stage, the faster the child would end: only waiting keeps the order.
        for name, stage, slowness in (("database", 2, 0), ("edge-a", 1, 0.1), ("edge-b", 1, 0.2), ("sensors", 0, 0.4)):
            supervisor.start(Child(name, python(program, str(order), name, str(slowness)), stage=stage))
        names = ("database", "edge-a", "edge-b", "sensors")
        assert supervisor.wait_until(lambda: all("up" in supervisor.log_end(name) for name in names), 60, every_s=0.05)

    first, *edges, last = order.read_text().split()
    assert (first, last) == ("sensors", "database")
    assert sorted(edges) == ["edge-a", "edge-b"], "told at the same time, they may end in any order"
    assert said == []


def test_a_child_that_does_not_end_is_killed(tmp_path: Path, said: list[str]) -> None:
    """After its grace a child that ignores the signal is killed, and people are told."""
    with Supervisor(tmp_path / "logs", say=said.append) as supervisor:
        supervisor.start(Child("stubborn", python(STUBBORN), grace_s=0.3))
        assert supervisor.wait_until(lambda: "up" in supervisor.log_end("stubborn"), 60, every_s=0.05)
        pid = supervisor.pid("stubborn")

    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert set(said) == {"stubborn does not end; it is killed."}  # once more for each look at it until it is gone


def test_a_log_is_bounded(tmp_path: Path) -> None:
    """A chatty child's log is moved aside at its size limit; the newest lines are in the two files."""
    program = (
        "import time\nfor n in range(20000): print('line', n, flush=True)\n"
        "while True: print('done', flush=True); time.sleep(0.2)"  # a line may be lost where the log is moved aside
    )
    with Supervisor(tmp_path / "logs", say=print, log_bytes=20_000) as supervisor:
        supervisor.start(Child("chatty", python(program)))
        old, log = tmp_path / "logs" / "chatty.log.1", tmp_path / "logs" / "chatty.log"
        assert supervisor.wait_until(lambda: old.exists() and "done" in supervisor.log_end("chatty"), 60, 0.01)
        supervisor.turn(0)  # what came since the last look may be more than the limit

        assert log.stat().st_size < 20_000
        assert old.stat().st_size <= 20_000
        assert b"\0" not in log.read_bytes()


def test_what_children_log_can_be_followed(tmp_path: Path) -> None:
    """With `follow`, each whole line of each child is passed on once, with the child's name."""
    heard: list[tuple[str, str]] = []
    program = (
        "import time\nprint('one', flush=True)\nprint('tw', end='', flush=True)\n"
        "time.sleep(0.3)\nprint('o', flush=True)\ntime.sleep(600)"
    )
    with Supervisor(tmp_path / "logs", say=print, follow=lambda name, line: heard.append((name, line))) as supervisor:
        supervisor.start(Child("talker", python(program)))
        supervisor.wait_until(lambda: len(heard) == 2, 20, every_s=0.02)

    assert heard == [("talker", "one"), ("talker", "two")]


SUPERVISED = textwrap.dedent(
    """
    import signal, sys
    from pathlib import Path
    from footfall_demo.supervisor import Child, Supervisor
    # The tests may have been started with nohup, whose children ignore SIGHUP; the supervisor then leaves that so.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    folder, program, mark, grace = sys.argv[1:]
    with Supervisor(Path(folder), say=print) as supervisor:
        for stage, name in enumerate(("first", "second")):
            supervisor.start(Child(name, [sys.executable, "-c", program, mark], stage=stage, grace_s=float(grace)))
        supervisor.wait_until(lambda: all("up" in supervisor.log_end(name) for name in ("first", "second")), 30, 0.05)
        print("running", flush=True)
        supervisor.wait_until(lambda: False, None)
    print("stopped", flush=True)
    """
)


def supervised(folder: Path, program: str, grace: float = 30) -> tuple[subprocess.Popen[str], str]:
    """A supervisor in a process of its own with two children, running; and the mark on their command lines."""
    mark = f"child-of-{folder}"
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED, str(folder), program, mark, str(grace)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    assert len([pid for pid in processes_with(mark) if pid != process.pid]) == 2
    return process, mark


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_whole_tree(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, TERM and a closed terminal each end all children and then the supervisor, with success."""
    process, mark = supervised(tmp_path, OBEDIENT)
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)

    assert out == "stopped\n"
    assert process.returncode == 0
    assert processes_with(mark) == []


def test_ctrl_c_reaches_the_supervisor_alone(tmp_path: Path) -> None:
    """The signal a terminal sends to its whole foreground group is not seen by the children: they are told in order."""
    process, mark = supervised(tmp_path, OBEDIENT)
    with process:
        children = [pid for pid in processes_with(mark) if pid != process.pid]

        assert all(os.getsid(child) == child for child in children)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_kill_9_of_the_supervisor_leaves_nothing(tmp_path: Path) -> None:
    """The kernel ends the children of a supervisor that was killed without a chance to do it itself."""
    process, mark = supervised(tmp_path, OBEDIENT)
    with process:
        process.kill()

    wait_until(lambda: processes_with(mark) == [], what="the children of a killed supervisor to end")


def test_a_second_ctrl_c_hurries(tmp_path: Path) -> None:
    """Children that take their time are ended at once when Ctrl-C is pressed again."""
    process, mark = supervised(tmp_path, STUBBORN, grace=600)
    with process:
        process.send_signal(signal.SIGINT)
        # Not before the first one was heard would another one be a second one.
        wait_until(lambda: "told" in (tmp_path / "first.log").read_text(), what="the first child to be told")
        time.sleep(0.6)  # what is tested is that nothing happens in this time
        assert process.poll() is None
        assert len(processes_with(mark)) == 3
        process.send_signal(signal.SIGINT)

        assert process.wait(20) == 0
    assert processes_with(mark) == []


def test_one_ctrl_c_that_arrives_twice_is_one(tmp_path: Path) -> None:
    """timeout(1) sends its signal to the process and to the group: the stop stays an orderly one."""
    process, mark = supervised(tmp_path, STUBBORN, grace=600)
    with process:
        # While it stands still, so that both arrive at once however busy the machine is; two of a kind would be one.
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            process.send_signal(number)
        wait_until(lambda: "told" in (tmp_path / "first.log").read_text(), what="the first child to be told")
        time.sleep(0.8)

        assert len(processes_with(mark)) == 3
        process.send_signal(signal.SIGINT)  # a second one, to get done
        assert process.wait(20) == 0
