"""The simulator as a process, on real pseudo-terminals, read with pyserial by a host that knows the document alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from footfall_sim.__main__ import main
from footfall_sim.control import request
from footfall_sim.pedestrians import Pedestrians, Place
from footfall_sim.truth import Truth, read_truth
from footfall_testing.waiting import wait_until
from sim.reference_host import Book, PortHost


class Simulator:
    """A ``footfall-sim`` process with its folder; `start` again after it ended is a restart on the same state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self, *sensors: str, wait: bool = True, **settings: Any) -> None:
        """Run sensors with the given settings (top level, or ``fault`` as a table)."""
        fault = settings.pop("fault", {})
        values = {"state_dir": str(self.folder / "state"), "drain_s": 20, **settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in SENSOR_KEYS]
        for sensor in sensors:
            lines += ["[[sensor]]", f'id = "{sensor}"', f'link = "{self.link(sensor)}"']
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items() if key in SENSOR_KEYS]
        lines += ["[fault]", *(f"{key} = {json.dumps(value)}" for key, value in fault.items())]
        (self.folder / "sim.toml").write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "footfall_sim", "--config", str(self.folder / "sim.toml")]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        if wait:
            wait_until(lambda: all(self.link(sensor).exists() for sensor in sensors), timeout=60, what="the lines")
            wait_until((self.folder / "state" / "control.sock").exists, timeout=60, what="the control socket")

    def link(self, sensor: str) -> Path:
        return self.folder / "dev" / sensor

    def order(self, **order: Any) -> dict[str, Any]:
        answer = request(self.folder / "state" / "control.sock", order, timeout_s=30)
        assert answer["ok"], answer
        return answer

    def status(self, sensor: str) -> dict[str, Any]:
        found: dict[str, Any] = self.order(command="status", sensor=sensor)["sensors"][0]
        return found

    def truth(self, sensor: str) -> Truth:
        return read_truth(self.folder / "state" / f"{sensor}.truth.jsonl")

    def kill(self) -> None:
        """As a power failure: SIGKILL. What a real machine would not keep either, its device files, is removed."""
        assert self.process is not None
        self.process.kill()
        self._ended()
        for link in self.link("any").parent.glob("*"):
            link.unlink()  # its terminal's number may soon be somebody else's
        (self.folder / "state" / "control.sock").unlink(missing_ok=True)

    def ask_to_stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _ended(self) -> tuple[int, str]:
        assert self.process is not None
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors

    def stop(self, *hosts: PortHost) -> None:
        """Ask it to stop, answering as the hosts while it does: it ends with 0 and holds nothing back."""
        assert "not acknowledged" not in self.end(*hosts)

    def end(self, *hosts: PortHost) -> str:
        """The same, whatever it holds back; what it wrote to standard error."""
        self.ask_to_stop()
        deadline = time.monotonic() + 30
        while self.running():
            assert time.monotonic() < deadline, "it does not stop"
            for host in hosts:
                host.turn()
            time.sleep(0.005)
        for host in hosts:
            host.turn()
            host.close()
        code, errors = self._ended()
        assert code == 0, errors
        assert "Traceback" not in errors
        return errors


SENSOR_KEYS = {"daily_mean", "kind", "interval_s", "drift_ppm", "ring", "baud", "device", "in_share"}
BUSY = {"at_least_per_min": 1200, "interval_s": 1, "zone": "UTC"}
"""Twenty passages a second in intervals of a second, so that little time shows much."""


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    one = Simulator(tmp_path)
    yield one
    if one.process is not None and one.process.stderr is not None and not one.process.stderr.closed:
        one.kill()


@pytest.fixture
def host(simulator: Simulator) -> Iterator[PortHost]:
    one = PortHost(simulator.link("a"))
    yield one
    one.close()


def by_direction(book: Book) -> dict[int, int]:
    sums: Counter[int] = Counter()
    for (direction, _), count in (book.sums + book.before).items():
        sums[direction] += count
    return dict(+sums)


def grown(book: Book, frames: int) -> Callable[[], bool]:
    """Whether the book has got `frames` more intervals since now."""
    enough = len(book.booked) + frames
    return lambda: len(book.booked) >= enough


# A quiet life


def test_every_passage_arrives_and_the_end_is_orderly(simulator: Simulator, host: PortHost) -> None:
    """Some seconds of a busy street, SIGTERM: exit 0, nothing held back, Σ counts = the truth, link and line gone."""
    simulator.start("a", **BUSY)
    host.until(grown(host.book, 4), what="four intervals")
    host.until(lambda: sum(simulator.truth("a").totals.values()) > 50, what="more than fifty people")
    simulator.stop(host)
    truth = simulator.truth("a")

    assert sum(truth.totals.values()) > 50
    assert by_direction(host.book) == truth.totals
    assert truth.never_reported == {}
    assert truth.open == 0
    assert not os.path.lexists(simulator.link("a"))


def test_intervals_are_utc_slots_with_the_passages_of_their_time(simulator: Simulator, host: PortHost) -> None:
    """After TIME each interval is one whole slot of UTC, and holds the passages that the truth saw in that slot."""
    simulator.start("a", **BUSY)
    host.until(lambda: host.book.hellos, what="HELLO")
    log = (simulator.folder / "state" / "a.truth.jsonl").read_text().splitlines()
    boot_ms = json.loads(log[0])["utc"] * 1_000

    def late_ms(frame: dict[str, Any]) -> float:
        """By how much the device's clock is behind: by as long as TIME was on its way to it."""
        return float(boot_ms + frame["uptime_start_ms"] - frame["utc_start_ms"])

    def whole_intervals() -> list[dict[str, Any]]:
        return [frame for frame in host.book.frames if frame["length_ms"] == 1_000 and abs(late_ms(frame)) < 50]

    told_after = -1

    def four_intervals() -> bool:
        nonlocal told_after
        frames = host.book.frames
        # Where the machine held up the TIME the clock is told again.
        if len(frames) > told_after and not (frames and abs(late_ms(frames[-1])) < 50):
            told_after = len(frames)
            host.tell_time()
        return len(whole_intervals()) >= 4

    host.until(four_intervals, timeout=60, what="four intervals of a second")
    simulator.stop(host)
    seen = Counter(int(one.utc_s) for one in simulator.truth("a").passages)
    whole = whole_intervals()

    for frame in whole:
        assert frame["utc_start_ms"] % 1_000 == 0
        count = sum(number for _, _, number in frame["counts"])
        # The device's clock was set over the line: passages at a slot's edge may be in the neighbour.
        assert abs(count - seen[frame["utc_start_ms"] // 1_000]) <= 5
    strays = sum(sum(n for _, _, n in frame["counts"]) - seen[frame["utc_start_ms"] // 1_000] for frame in whole)
    assert abs(strays) <= 6


def test_one_passage_by_order(simulator: Simulator, host: PortHost) -> None:
    """In an empty street one ordered passage, flushed, is one count of its direction and class within moments."""
    simulator.start("a", daily_mean=0, interval_s=60)
    host.until(lambda: host.book.hellos, what="HELLO")
    simulator.order(command="passage", sensor="a", direction=1, **{"class": 2})
    simulator.order(command="stop_pedestrians")
    host.until(lambda: host.book.booked, what="the short last interval")
    simulator.stop(host)

    assert [frame["counts"] for frame in host.book.frames if frame["counts"]] == [[[1, 2, 1]]]
    assert simulator.truth("a").totals == {1: 1}


def test_stop_pedestrians_reports_at_once_and_devices_go_on(simulator: Simulator, host: PortHost) -> None:
    """In intervals of a minute the last passages arrive at once; the device still answers; then more people come."""
    simulator.start("a", at_least_per_min=1200, interval_s=60, zone="UTC")
    host.until(lambda: sum(simulator.truth("a").totals.values()) > 20, what="some people")
    simulator.order(command="stop_pedestrians")
    host.until(lambda: simulator.status("a")["waiting"] == 0, what="all acknowledged")
    stopped = simulator.truth("a")
    assert by_direction(host.book) == stopped.totals
    hellos = len(host.book.hellos)
    host.send(b"\x05\x01\x83\xd5\x8f\x00")
    host.until(lambda: len(host.book.hellos) > hellos, what="another HELLO")
    assert simulator.truth("a").totals == stopped.totals
    simulator.order(command="start_pedestrians")
    host.until(lambda: simulator.truth("a").totals != stopped.totals, what="more people")
    simulator.stop(host)

    assert by_direction(host.book) == simulator.truth("a").totals


def test_many_sensors_in_one_process(simulator: Simulator) -> None:
    """Six sensors, each on its own line with its own device and people; every one is exact."""
    names = [f"s-{number}" for number in range(6)]
    simulator.start(*names, **BUSY)
    hosts = [PortHost(simulator.link(name)) for name in names]

    def turn_all() -> bool:
        for host in hosts:
            host.turn()
        return all(len(host.book.booked) >= 3 for host in hosts)

    wait_until(turn_all, what="three intervals of each", every=0)
    simulator.stop(*hosts)

    assert len({host.book.hellos[0]["device"] for host in hosts}) == 6
    sums = [by_direction(host.book) for host in hosts]
    assert sums == [simulator.truth(name).totals for name in names]
    assert len({str(one) for one in sums}) > 1


def test_the_people_s_day_passes_faster(simulator: Simulator) -> None:
    """At speed 3600 each second brings an hour's people: exactly those of the simulated hours from the start on."""
    simulator.start("a", speed=3600, seed=9, zone="UTC", daily_mean=40_000)
    wait_until(lambda: sum(simulator.truth("a").totals.values()) > 1_000, what="a thousand people")
    simulator.kill()
    times = [one.utc_s for one in simulator.truth("a").passages]
    log = (simulator.folder / "state" / "a.truth.jsonl").read_text().splitlines()
    boot = json.loads(log[0])["utc"]

    # A passage's real moment is its place in the simulated day, 3600 times as slow.
    walkers = Pedestrians(Place("a", 40_000), seed=9, zone=ZoneInfo("UTC"))
    hours = (times[-1] - boot) * 3600
    expected = len(walkers.passages(boot, boot + hours))
    assert len(times) == pytest.approx(expected, rel=0.03)


def test_seed_and_time_decide_who_comes(simulator: Simulator) -> None:
    """At real time the live passages are those of the same place, seed and hour in the simulated history."""
    # As many as can be: at two in the night hardly anybody walks.
    simulator.start("a", seed=4, zone="UTC", daily_mean=5_000_000)
    wait_until(lambda: sum(simulator.truth("a").totals.values()) > 10, what="some people", timeout=100)
    simulator.kill()
    live = [one.utc_s for one in simulator.truth("a").passages]
    walkers = Pedestrians(Place("a", 5_000_000), seed=4, zone=ZoneInfo("UTC"))
    history = walkers.passages(live[0] - 0.02, live[-1] + 0.02).utc_s

    # The log's stamps are rounded to a millisecond and carry the computer's own clock. At either end there may be one
    # who came before the simulator was there, or after it.
    assert len([at for at in live if min(abs(history - at)) < 0.02]) >= len(live) - 1
    between = history[(history > live[0] + 0.02) & (history < live[-1] - 0.02)]
    assert all(min(abs(at - one) for one in live) < 0.02 for at in between)


# Power failures and restarts


def test_kill_9_loses_the_open_interval_and_nothing_else(simulator: Simulator, host: PortHost) -> None:
    """Killed three times in mid-flow: boots count up, and the host has all that the truth does not list as lost."""
    for boot in range(1, 4):
        simulator.start("a", **BUSY)
        host.until(lambda boot=boot: host.book.booked[-1:] >= [(boot, 1)], what="two intervals of this boot")
        host.until(lambda boot=boot: host.book.hellos[-1:] and host.book.hellos[-1]["boot"] == boot, what="its HELLO")
        simulator.kill()
        host.close()
    simulator.start("a", **BUSY)
    host.until(grown(host.book, 2), what="two intervals more")
    simulator.stop(host)
    truth = simulator.truth("a")

    assert truth.boots == 4
    assert by_direction(host.book) == truth.reported
    assert sum(truth.never_reported.values()) < sum(truth.totals.values()) / 2
    assert len({hello["device"] for hello in host.book.hellos}) == 1
    assert len(host.book.booked) == len(set(host.book.booked))
    assert host.book.recovered.total() == 0


def test_what_nobody_acknowledged_waits_for_the_next_start(simulator: Simulator, host: PortHost) -> None:
    """Without a host SIGTERM still ends it with 0 and names the sensor; the next start delivers from the memory."""
    simulator.start("a", drain_s=0.2, **BUSY)
    wait_until(lambda: simulator.status("a")["waiting"] >= 3, what="intervals in the ring")
    errors = simulator.end()
    assert "not acknowledged, kept for the next start: a" in errors
    simulator.start("a", **{**BUSY, "at_least_per_min": 0, "daily_mean": 0})
    host.until(lambda: host.book.booked and host.book.booked[-1][0] == 2, what="the second boot's intervals")
    simulator.stop(host)

    assert {boot for boot, _ in host.book.booked} == {1, 2}
    assert by_direction(host.book) == simulator.truth("a").totals
    assert simulator.truth("a").never_reported == {}


def test_a_host_that_is_away_too_long_learns_the_sum(simulator: Simulator, host: PortHost) -> None:
    """With a ring of three the host misses intervals, not passages: the totals tell."""
    simulator.start("a", ring=3, **BUSY)
    host.until(grown(host.book, 2), what="two intervals")
    host.close()
    booked, passed = len(host.book.booked), sum(simulator.truth("a").totals.values())
    wait_until(lambda: sum(simulator.truth("a").totals.values()) > passed + 200, timeout=60, what="many people")
    host.until(grown(host.book, 2), what="two intervals after the pause")
    simulator.stop(host)

    assert len(host.book.booked) > booked
    assert host.book.recovered.total() > 20
    assert by_direction(host.book) == simulator.truth("a").totals


# Faults


def test_reboot_by_order(simulator: Simulator, host: PortHost) -> None:
    """A reboot is a new boot number at once; the open interval's passages are listed as never reported."""
    simulator.start("a", at_least_per_min=1200, interval_s=6, zone="UTC")
    host.until(grown(host.book, 1), what="an interval")
    begun = simulator.truth("a").open
    host.until(lambda: simulator.truth("a").open > begun + 5, what="people in the open interval")
    simulator.order(sensor="a", fault="reboot")
    host.until(lambda: host.book.hellos and host.book.hellos[-1]["boot"] == 2, what="the second HELLO")
    simulator.stop(host)
    truth = simulator.truth("a")

    assert sum(truth.never_reported.values()) >= 5
    assert by_direction(host.book) == truth.reported


def test_a_bad_line_costs_time_and_no_passage(simulator: Simulator, host: PortHost) -> None:
    """Noise, turned bits and lost bytes from the configuration; after `clear` everything is there once."""
    simulator.start("a", fault={"noise_per_s": 20, "flip": 0.002, "loss": 0.002}, **BUSY)
    host.until(lambda: host.book.bad >= 5 and len(host.book.booked) >= 4, what="bad frames and good ones", timeout=60)
    simulator.order(fault="clear")
    host.until(grown(host.book, 3), what="intervals on the clean line")
    simulator.stop(host)

    assert by_direction(host.book) == simulator.truth("a").totals
    assert len(host.book.booked) == len(set(host.book.booked))


def test_faults_of_the_line_by_order(simulator: Simulator, host: PortHost) -> None:
    """A line that loses every byte lets nothing through until its loss is set back."""
    simulator.start("a", **BUSY)
    host.until(grown(host.book, 1), what="an interval")
    simulator.order(fault="loss", value=1)
    host.turn()
    booked = len(host.book.booked)
    wait_until(lambda: simulator.status("a")["waiting"] >= 3, what="intervals that wait")
    host.turn()
    assert len(host.book.booked) <= booked + 1
    simulator.order(fault="loss", value=0)
    host.until(grown(host.book, 3), what="them to come")
    simulator.stop(host)

    assert by_direction(host.book) == simulator.truth("a").totals


def test_silence(simulator: Simulator, host: PortHost) -> None:
    """A silent device says nothing and goes on counting; afterwards it delivers all of it."""
    simulator.start("a", **BUSY)
    host.until(grown(host.book, 1), what="an interval")
    simulator.order(sensor="a", fault="silence")
    heard = -1
    while heard != len(host.raw):  # what was on its way when the silence began still comes
        heard = len(host.raw)
        for _ in range(20):
            host.turn()
    host.until(lambda: simulator.status("a")["waiting"] >= 2, what="intervals that wait")
    assert len(host.raw) == heard
    assert simulator.status("a")["faults"] == ["silence"]
    simulator.order(sensor="a", fault="clear")
    host.until(grown(host.book, 3), what="them to come")
    simulator.stop(host)

    assert by_direction(host.book) == simulator.truth("a").totals


def test_a_fault_ends_by_itself(simulator: Simulator, host: PortHost) -> None:
    """With `seconds` a silence is over without a further order."""
    simulator.start("a", **BUSY)
    host.until(grown(host.book, 1), what="an interval")
    silenced = simulator.order(sensor="a", fault="silence", seconds=1)
    assert silenced["sensors"][0]["faults"] == ["silence"]
    host.until(lambda: not simulator.status("a")["faults"], what="the end of the silence")
    host.until(grown(host.book, 2), what="more intervals")
    simulator.stop(host)

    assert by_direction(host.book) == simulator.truth("a").totals


def test_a_stuck_sensor_sees_nobody(simulator: Simulator, host: PortHost) -> None:
    """Empty intervals while people pass; they are in the truth as missed, and HEALTH suspects the lens."""
    simulator.start("a", **BUSY)
    host.until(lambda: host.book.hellos, what="HELLO")  # what came before the port was opened is gone
    simulator.order(sensor="a", fault="stuck")
    before = sum(simulator.truth("a").totals.values())
    host.until(lambda: len(simulator.truth("a").missed) > 20, what="people who are not seen")
    simulator.order(sensor="a", fault="reboot")
    host.until(lambda: host.book.healths and host.book.healths[-1]["boot"] == 2, what="HEALTH of the second boot")
    simulator.stop(host)

    assert sum(simulator.truth("a").totals.values()) == before
    assert host.book.total() <= before
    assert host.book.healths[-1]["flags"] & 1


def test_a_stuck_sensor_counts_somebody_who_is_not_there(simulator: Simulator, host: PortHost) -> None:
    """In mode `repeat` one phantom a second is counted, marked in the truth; real people are missed."""
    simulator.start("a", **BUSY)
    simulator.order(sensor="a", fault="stuck", mode="repeat")
    host.until(lambda: sum(one.phantom for one in simulator.truth("a").passages) >= 3, what="three phantoms")
    host.until(lambda: len(simulator.truth("a").missed) > 20, what="people who are not seen")
    simulator.stop(host)
    truth = simulator.truth("a")

    assert len(truth.missed) > 20
    assert by_direction(host.book) == truth.totals


def test_unplug_and_replug_under_another_number(simulator: Simulator, host: PortHost) -> None:
    """The link vanishes, the host's port fails, and both come back with another device behind the link."""
    simulator.start("a", **BUSY)
    host.until(grown(host.book, 1), what="an interval")
    before = simulator.status("a")["port"]
    simulator.order(sensor="a", fault="unplug")
    assert not os.path.lexists(simulator.link("a"))
    host.until(lambda: host._port is None, what="the host to notice")
    simulator.order(sensor="a", fault="replug")
    host.until(grown(host.book, 2), what="intervals after the replug")
    assert simulator.status("a")["port"] not in ("", before)
    simulator.stop(host)

    assert by_direction(host.book) == simulator.truth("a").totals


def test_troubles_that_come_by_themselves(simulator: Simulator, host: PortHost) -> None:
    """Reboots, silences and pulled plugs by chance, many an hour: in the end all reported passages are there once."""
    often = {"reboot_per_h": 1800, "silence_per_h": 900, "silence_s": 0.5, "unplug_per_h": 900, "unplug_s": 0.5}
    simulator.start("a", seed=11, fault=often, **BUSY)
    host.until(lambda: simulator.truth("a").boots >= 4 and len(host.book.booked) > 6, what="a hard life", timeout=60)
    simulator.stop(host)
    simulator.start("a", **{**BUSY, "at_least_per_min": 0, "daily_mean": 0})
    host.until(lambda: len(host.book.booked) > 6 and simulator.status("a")["waiting"] == 0, what="a peaceful end")
    simulator.stop(host)

    assert by_direction(host.book) == simulator.truth("a").reported


# Orders and refusals


def test_orders_that_cannot_be_obeyed(simulator: Simulator) -> None:
    """A sentence says what is wrong with the order, and the simulator goes on."""
    simulator.start("a", daily_mean=0, drain_s=0.1)
    refused: list[tuple[Any, str]] = [
        ({"sensor": "b", "fault": "reboot"}, "no sensor 'b' here; there are a"),
        ({"fault": "earthquake"}, "fault: Input should be"),
        ({"fault": "noise"}, "noise needs a value"),
        ({"fault": "pause"}, "pause needs seconds"),
        ({"fault": "flip", "value": 2}, "probability"),
        ({"command": "dance"}, "command: Input should be"),
        ({"fault": "reboot", "why": "because"}, "why: Extra inputs"),
        (["reboot"], "order:"),
    ]
    for order, sentence in refused:
        answer = request(simulator.folder / "state" / "control.sock", order)
        assert answer["ok"] is False
        assert sentence in answer["error"]

    assert simulator.status("a")["boot"] == 1
    simulator.end()


def test_stop_by_order(simulator: Simulator) -> None:
    """The command `stop` ends it as SIGTERM does."""
    simulator.start("a", daily_mean=0, drain_s=0.1)
    simulator.order(command="stop")

    assert simulator._ended()[0] == 0


def test_a_control_socket_deep_in_a_tree(simulator: Simulator) -> None:
    """A path longer than the kernel's limit for sockets works all the same."""
    simulator.folder = simulator.folder / ("d" * 60) / ("e" * 60)
    simulator.folder.mkdir(parents=True)
    simulator.start("a", daily_mean=0, drain_s=0.1)

    assert simulator.status("a")["boot"] == 1
    simulator.end()


@dataclass
class Ended:
    """How a call of the program ended."""

    status: int
    output: str
    errors: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Calls of the program that end by themselves, in this process."""

    def call(*arguments: str) -> Ended:
        try:
            status = main(arguments)
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        return Ended(status, *capsys.readouterr())

    return call


def test_two_simulators_do_not_share_a_folder(simulator: Simulator, run: Callable[..., Ended]) -> None:
    """The second one says so and leaves everything alone."""
    simulator.start("a", daily_mean=0)
    second = run("--state-dir", str(simulator.folder / "state"), "--link", str(simulator.folder / "other"))

    assert second.status == 2
    assert "another simulator works in" in second.errors
    assert len(second.errors.splitlines()) == 1
    assert simulator.status("a")["boot"] == 1


def test_one_sensor_without_a_file(tmp_path: Path) -> None:
    """``footfall-sim --link … --daily-mean …`` is a counter on that path."""
    link = tmp_path / "markt-1"
    command = [sys.executable, "-m", "footfall_sim", "--link", str(link), "--daily-mean", "17000"]
    options = ["--state-dir", str(tmp_path / "state"), "--interval-s", "1", "--drain-s", "0.1"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        host = PortHost(link)
        host.until(lambda: host.book.hellos and len(host.book.booked) >= 2, timeout=60, what="HELLO, two intervals")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        host.close()

    assert process.returncode == 0
    assert host.book.hellos[0]["interval_ms"] == 1_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--interval-s", "7"), "--interval-s: an interval is a divisor of 60 seconds"),
        (("--in-share", "2"), "--in-share: Input should be less than or equal to 1 (it is 2.0)"),
        (("--zone", "Europe/Atlantis"), "--zone: no such time zone"),
        (("--config", "/does/not/exist.toml"), "/does/not/exist.toml: cannot be read"),
        (("--send", "{}", "--state-dir", "/does/not/exist"), "no simulator listens on /does/not/exist"),
        (("--send", "hello"), "--send needs one JSON object"),
    ],
)
def test_refusals_are_one_sentence(run: Callable[..., Ended], arguments: tuple[str, ...], sentence: str) -> None:
    """What cannot be used is named with its value; exit status 2, no traceback."""
    ended = run(*arguments)

    assert ended.status == 2
    assert sentence in ended.errors
    assert len(ended.errors.splitlines()) == 1


def test_a_place_that_is_taken_and_a_memory_that_is_damaged(run: Callable[..., Ended], tmp_path: Path) -> None:
    """A link's path that holds a file, and a memory that cannot be read, are named; both stay as they are."""
    (tmp_path / "markt").write_text("mine")
    taken = run("--link", str(tmp_path / "markt"), "--state-dir", str(tmp_path / "one"))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "sensor-1.memory").write_bytes(b"nonsense")
    damaged = run("--state-dir", str(tmp_path / "two"))

    assert taken.status == damaged.status == 2
    assert f"{tmp_path / 'markt'}: is not a symbolic link" in taken.errors
    assert "sensor-1.memory" in damaged.errors
    assert (tmp_path / "markt").read_text() == "mine"
    assert (tmp_path / "two" / "sensor-1.memory").read_bytes() == b"nonsense"


def test_settings_of_a_file(run: Callable[..., Ended], tmp_path: Path) -> None:
    """Two sensors with one link are refused, unknown keys too; options of the top level win over the file."""
    file = tmp_path / "sim.toml"
    file.write_text('seed = 5\n[[sensor]]\nid = "a"\nlink = "/tmp/x"\n[[sensor]]\nid = "b"\nlink = "/tmp/x"\n')
    twice = run("--config", str(file))
    file.write_text('sed = 5\n[[sensor]]\nid = "a"\n')
    unknown = run("--config", str(file))
    file.write_text('seed = 5\ndrain_s = 3.0\n[[sensor]]\nid = "a"\n')
    shown = run("--config", str(file), "--seed", "6", "--print-config")
    mixed = run("--config", str(file), "--link", "/tmp/y")

    assert "two sensors have the same link: /tmp/x" in twice.errors
    assert "sed is not a setting" in unknown.errors
    assert "seed = 6\n" in shown.output
    assert "drain_s = 3.0\n" in shown.output
    assert "--link belongs into a [[sensor]] of the file" in mixed.errors


def test_help_and_version(run: Callable[..., Ended]) -> None:
    """Both answer with status 0."""
    shown, version = run("--help"), run("--version")

    assert shown.status == version.status == 0
    assert "pseudo-terminals" in shown.output
    assert version.output.startswith("footfall-sim ")


def test_nobody_comes_before_they_are_asked_to(simulator: Simulator) -> None:
    """With pedestrians = false the devices run and nobody passes, until the command starts them."""
    simulator.start("a", **BUSY, pedestrians=False)
    wait_until(lambda: simulator.status("a")["waiting"] >= 2, what="two empty intervals")
    assert simulator.truth("a").passages == []

    simulator.order(command="start_pedestrians")
    wait_until(lambda: simulator.truth("a").passages, what="somebody")


def test_a_frame_that_is_paused_arrives_after_all(simulator: Simulator, host: PortHost) -> None:
    """By order a frame stops in its middle for a while; the host takes it when the rest has come; nothing is lost."""
    simulator.start("a", **BUSY)
    host.until(lambda: host.book.booked, what="a first interval")
    for _ in range(3):
        simulator.order(fault="pause", sensor="a", seconds=0.5)
        before = len(host.book.booked)
        host.until(lambda before=before: len(host.book.booked) > before, what="another one")
    simulator.order(command="stop_pedestrians")
    host.until(lambda: simulator.status("a")["waiting"] == 0, what="everything to be acknowledged")

    assert by_direction(host.book) == simulator.truth("a").totals
    simulator.stop(host)


def test_truth_is_stamped_with_the_time_of_day(simulator: Simulator) -> None:
    """The log's times are real UTC, between the start and now, in order."""
    before = datetime.now(UTC).timestamp()
    simulator.start("a", **BUSY)
    wait_until(lambda: len(simulator.truth("a").passages) > 10, what="some people")
    simulator.kill()
    times = [one.utc_s for one in simulator.truth("a").passages]

    assert before - 0.1 <= times[0]
    assert times[-1] <= datetime.now(UTC).timestamp() + 0.1
    assert times == sorted(times)
