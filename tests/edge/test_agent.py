"""The whole edge: a counter on a pseudo-terminal, a real broker, an outbox, and an ingest that says what it stored."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from edge.counter import Counter
from edge.ingest_model import Ingest
from footfall_demo.broker import Broker, find_mosquitto
from footfall_edge import agent
from footfall_edge.clock import Clock
from footfall_edge.outbox import Outbox, OutboxError, Tally
from footfall_edge.settings import EdgeSettings
from footfall_testing.waiting import wait_until

Configure = Callable[..., EdgeSettings]
RunEdge = Callable[..., AbstractContextManager[None]]


def tally(settings: EdgeSettings) -> Tally:
    """What lies in the outbox just now; waits for a new edge to make it."""

    def look() -> Tally | None:
        try:
            with Outbox.look(settings.outbox.path) as outbox:
                return outbox.tally()
        except OutboxError:
            return None

    found = wait_until(look, what="an outbox")
    assert found is not None
    return found


def value(name: str, **labels: str) -> float:
    """What a metric of the edges in this process stands at."""
    return REGISTRY.get_sample_value(f"footfall_edge_{name}", labels) or 0


def everything_stored(counter: Counter, ingest: Ingest) -> None:
    """Wait until ingest has all that passed, and check that it has no more."""
    counter.cut()
    wait_until(lambda: ingest.passages() >= counter.passed, timeout=60, what=f"{counter.passed} to be stored")
    assert ingest.passages() == counter.passed
    assert ingest.changed == []


@pytest.fixture(params=["mosquitto", "amqtt"])
def own_broker(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[Broker]:
    """A broker that the test may kill, once of each kind. It keeps nothing on disk."""
    if request.param == "mosquitto" and not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    with Broker(open_folder / f"own-{os.urandom(4).hex()}", kind=request.param) as broker:
        yield broker


IMPATIENT = {"slot_s": 1, "every_s": 1, "resend_s": 1}
"""Reports are sent again after a second, not 30."""


def test_a_passage_arrives_and_is_known_to_be_stored(
    broker: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """One person crosses the line: a report says so for that second, and everybody learns that it is stored."""
    settings = configure(broker)
    with Counter(link) as counter, Ingest(broker, unique) as ingest, run_edge(settings):
        wait_until(lambda: 1 in ingest.observed().values(), what="a measured second")
        ahead = counter.ahead_s  # behind, by as long as the time that it was told took to get there
        before = time.time()
        counter.passes(1, direction=1, class_=2)
        after = time.time()
        everything_stored(counter, ingest)

        (report,) = [report for report in ingest.stored.values() if report.count]
        second = report.start + report.index[0] * report.slot
        assert (report.sensor, report.slot) == (unique, 1)
        assert (report.direction, report.class_, report.count) == ((1,), (2,), (1,))
        assert abs(ahead) < 10
        assert before - 1.2 <= second - ahead <= after + 0.2
        wait_until(lambda: counter.waiting == 0, what="the device to be acknowledged")
        wait_until(lambda: tally(settings).numbered <= 2, what="the notices to be believed")


def test_metrics_tell_what_is_done(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """What Prometheus reads: frames, outcomes, passages, publishes and commits count up; the outbox is measured."""
    commits = value("commits_total")
    with Counter(link) as counter, Ingest(mosquitto, unique) as ingest, run_edge(configure(mosquitto)):
        counter.passes(3)
        everything_stored(counter, ingest)
        wait_until(lambda: value("commits_total") > commits, what="a commit to be counted")
        wait_until(lambda: value("outbox_reports", state="committed") > 0, timeout=30, what="the outbox to be measured")

        assert value("frames_total", sensor=unique) > 0
        assert value("frame_outcomes_total", sensor=unique, outcome="booked") > 0
        assert value("passages_total", sensor=unique) == 3
        # The edge counts a report after it was handed over, and there is a new one each second.
        wait_until(
            lambda: value("publishes_total", sensor=unique) >= len(ingest.stored), what="publishes to be counted"
        )
        assert value("connected") == 1
        assert value("outbox_bytes") > 0
        assert value("bad_frames_total", sensor=unique) == 0


def test_the_node_and_the_sensor_say_how_they_are(
    broker: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """Status and health are retained: who comes later reads them at once. A stop leaves the status offline."""
    settings = configure(broker)
    began = time.time()
    with Counter(link), run_edge(settings):
        with Ingest(broker, unique) as early:
            # Where a count came before the greeting the firmware is told a minute later.
            wait_until(
                lambda: any(health.state == "ok" and "firmware" in health.detail for health in early.healths),
                timeout=90,
                what="the sensor to be ok",
            )
        with Ingest(broker, unique) as late:
            wait_until(lambda: late.healths and late.statuses, what="retained status and health")
            assert late.statuses[0].state == "online"
            assert began - 2 <= late.statuses[0].since <= time.time() + 1
            assert late.healths[0].frames > 0
            assert late.healths[0].last_frame is not None
            assert "firmware footfall-reference" in late.healths[0].detail
    with Ingest(broker, unique) as after:
        wait_until(lambda: after.statuses, what="the last status")
        assert after.statuses[0].state == "offline"


def test_a_restarted_empty_broker_loses_nothing(
    own_broker: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """The broker is killed and comes back without memory; what was counted meanwhile arrives, packed in few reports."""
    settings = configure(own_broker)
    with Counter(link) as counter, Ingest(own_broker, unique) as ingest, run_edge(settings):
        counter.passes(3)
        everything_stored(counter, ingest)

        own_broker.kill()
        for _ in range(4):
            counter.passes(2, direction=1)
            time.sleep(1)  # seconds pass without a broker: that is what is tested
        counter.cut()
        wait_until(lambda: counter.waiting == 0, what="the outbox to take what the broker cannot")
        before = len(ingest.stored)
        own_broker.start()

        everything_stored(counter, ingest)
        late = list(ingest.stored.values())[before:]
        assert max(report.slots for report in late) >= 3, "waiting slots are packed"


def test_what_the_broker_took_and_lost_is_sent_again(
    broker: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """Nobody listens while reports are published: the broker takes them and forgets. When ingest comes they arrive."""
    settings = configure(broker, report=IMPATIENT)
    ingest = Ingest(broker, unique)
    with Counter(link) as counter, run_edge(settings):
        for _ in range(5):
            counter.passes(2)
            time.sleep(1)  # each second is a report of its own
        wait_until(lambda: tally(settings).numbered >= 4, what="reports to be sent to nobody")
        with ingest:
            everything_stored(counter, ingest)
            wait_until(lambda: tally(settings).committed >= 4, what="the notices to be believed")


def test_a_lost_notice_is_asked_for(
    broker: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """Ingest stored it and the notice was lost: the edge sends the oldest report again, and is told a second time."""
    settings = configure(broker, report=IMPATIENT)
    ingest = Ingest(broker, unique)
    ingest.telling = False
    with Counter(link) as counter, ingest, run_edge(settings):
        counter.passes(5)
        everything_stored(counter, ingest)
        wait_until(lambda: ingest.duplicates > 0, what="the oldest report to be sent again")
        assert tally(settings).committed == 0
        assert ingest.passages() == counter.passed

        ingest.telling = True
        wait_until(lambda: tally(settings).committed > 0, what="the notice to be believed")


def test_a_restored_database_heals(
    broker: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """The database comes back as it was some seconds ago, under a new epoch: the edge sends again what it lacks."""
    settings = configure(broker)
    with Counter(link) as counter, Ingest(broker, unique) as ingest, run_edge(settings):
        counter.passes(3)
        everything_stored(counter, ingest)
        backup = set(ingest.stored)
        for _ in range(3):
            counter.passes(2, direction=1)
            time.sleep(1)
        everything_stored(counter, ingest)
        # There is a report each second, and fewer where all stood still for a while.
        wait_until(lambda: len(ingest.stored) >= len(backup) + 3, what="reports that the backup lacks")
        wait_until(lambda: tally(settings).numbered <= 1, what="the notices to be believed")

        ingest.telling = False
        gone = ingest.restore(lambda report: (report.sensor, report.stream, report.seq) in backup)

        assert gone >= 3
        assert ingest.passages() != counter.passed
        ingest.telling = True
        ingest.tell()
        everything_stored(counter, ingest)


def test_a_replugged_line_under_another_name_is_found(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """The cable is drawn and put back; the link now leads to another device. Nothing that passed meanwhile is lost."""
    settings = configure(mosquitto)
    with Counter(link) as counter, Ingest(mosquitto, unique) as ingest, run_edge(settings):
        counter.passes(1)
        everything_stored(counter, ingest)

        old = counter.unplug()
        counter.passes(2)
        wait_until(lambda: any(health.state == "fault" for health in ingest.healths), what="the fault to be told")
        new = counter.plug()

        assert old != new
        everything_stored(counter, ingest)
        wait_until(lambda: ingest.healths[-1].state == "ok", what="the sensor to be well again")
        assert ingest.healths[-1].restarts >= 1


def test_a_dumb_line_is_silent_and_later_counts_add_to_it(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """Seconds in which nothing comes are reported as not observed; what the device says later fills them."""
    settings = configure(mosquitto)
    with Counter(link) as counter, Ingest(mosquitto, unique) as ingest, run_edge(settings):
        counter.passes(1)
        everything_stored(counter, ingest)

        counter.dumb = True
        began = int(time.time()) + 1
        counter.passes(4)
        wait_until(lambda: 0 in [ingest.observed().get(began + n) for n in range(3)], what="a silent second")
        wait_until(lambda: any(h.state == "silent" for h in ingest.healths[1:]), what="silence to be told")
        counter.dumb = False

        everything_stored(counter, ingest)
        wait_until(
            lambda: all(ingest.observed().get(began + n) == 1 for n in range(3)), what="the seconds to be filled"
        )
        assert set(ingest.observed().values()) <= {0, 1}


def test_a_bad_line_loses_nothing(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """One byte in 300 is lost and a reboot comes on top: frames fail, are sent again, and the books are right."""
    dice = random.Random(97)

    def lossy(data: bytes, _elapsed_s: float) -> bytes:
        return bytes(byte for byte in data if dice.random() > 1 / 300)

    settings = configure(mosquitto)
    with Counter(link, disturb=lossy) as counter, Ingest(mosquitto, unique) as ingest, run_edge(settings):
        for n in range(6):
            counter.passes(3, direction=n % 3, class_=n % 2)
            time.sleep(0.7)
            if n == 3:
                counter.reboot()
        everything_stored(counter, ingest)
        assert all(seconds <= 1 for seconds in ingest.observed().values())


def test_the_clock_is_waited_for(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """While the kernel's clock is not synchronised nothing is booked or told; then the device's ring is emptied."""
    synchronised = False
    settings = configure(mosquitto)
    with (
        Counter(link) as counter,
        Ingest(mosquitto, unique) as ingest,
        run_edge(settings, Clock(lambda: synchronised)),
    ):
        counter.passes(3)
        wait_until(lambda: any("clock" in health.detail for health in ingest.healths), what="the reason to be told")
        wait_until(lambda: counter.waiting >= 6, what="intervals in the device")
        assert ingest.stored == {}
        assert tally(settings).waiting_slots == {}

        known = time.time()
        synchronised = True
        everything_stored(counter, ingest)
        wait_until(lambda: counter.waiting <= 1, what="the device to be acknowledged")
        wait_until(lambda: sum(ingest.observed().values()) >= 6, what="the seconds before")
        measured = [report for report in ingest.stored.values() if any(report.observed) and report.start < known]
        assert len(measured) <= 5, "what the device caught up on is packed"


def test_an_outbox_that_cannot_be_written_is_waited_for(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """While the file is locked by somebody the device is not acknowledged; afterwards everything is there once."""
    settings = configure(mosquitto)
    with Counter(link) as counter, Ingest(mosquitto, unique) as ingest, run_edge(settings):
        counter.passes(1)
        everything_stored(counter, ingest)
        blocker = sqlite3.connect(settings.outbox.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        began = int(time.time()) + 1
        errors = value("outbox_errors_total")
        try:
            counter.passes(4)
            counter.cut()
            wait_until(lambda: value("outbox_errors_total") > errors, timeout=30, what="a booking to fail")
            assert counter.waiting >= 3
        finally:
            blocker.execute("ROLLBACK")
            blocker.close()

        seconds = range(began, int(time.time()))
        everything_stored(counter, ingest)
        # Had the device been told too early, it would have forgotten these seconds, and only their sum would be known.
        wait_until(lambda: all(ingest.observed().get(second) == 1 for second in seconds), what="each second as counted")


def test_a_ring_that_ran_over_gives_the_sum_as_a_span(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """The edge was away for longer than the ring is long: what fell out comes as a sum over that time, not observed."""
    settings = configure(mosquitto)
    with Counter(link, ring=2) as counter, Ingest(mosquitto, unique) as ingest:
        with run_edge(settings):
            counter.passes(1)
            everything_stored(counter, ingest)
        for _ in range(5):
            counter.passes(2)
            time.sleep(1)  # the ring holds two of these seconds
        with run_edge(settings):
            everything_stored(counter, ingest)

        spans = [report for report in ingest.stored.values() if report.slot > 1]
        assert sum(report.total for report in spans) >= 4
        assert all(report.observed == (0,) for report in spans)


def test_what_an_earlier_configuration_left_is_still_delivered(
    mosquitto: Broker, configure: Configure, run_edge: RunEdge, link: Path, unique: str
) -> None:
    """A sensor that is not in edge.toml any more, and whose counts wait in the outbox, is not forgotten."""
    settings = configure(mosquitto)
    with Counter(link) as counter, Ingest(mosquitto, unique) as ingest:
        ingest.leave()
        with run_edge(configure(mosquitto, mqtt={"host": "127.0.0.1", "port": 1})):
            counter.passes(5)
            counter.cut()
            wait_until(lambda: tally(settings).unnumbered, what="counts in the outbox")
            wait_until(lambda: counter.waiting == 0, what="the device to be acknowledged")
        ingest.arrive()
        other = [{"id": f"{unique[:50]}-2", "driver": "reference", "port": "/nowhere"}]
        with run_edge(configure(mosquitto, sensor=other)):
            everything_stored(counter, ingest)


def streams(ingest: Ingest) -> set[UUID]:
    """Those of which ingest has something."""
    return {stream for _, stream, _ in ingest.stored}


def more_than(ingest: Ingest, before: int) -> bool:
    """Whether ingest has more streams than that."""
    return len(streams(ingest)) > before


@contextmanager
def edge_process(settings: EdgeSettings) -> Iterator["subprocess.Popen[str]"]:
    """``footfall-edge`` as a process of its own; killed at the end if it is still there."""
    sensor, folder = settings.sensor[0], settings.outbox.path.parent
    config = folder / "edge.toml"
    config.write_text(
        f'node = "{settings.node}"\nclock = "system"\nstop_wait_s = {settings.stop_wait_s}\n'
        f'[mqtt]\nhost = "{settings.mqtt.host}"\nport = {settings.mqtt.port}\n'
        f'[outbox]\npath = "{settings.outbox.path}"\n'
        f"[report]\nslot_s = {settings.report.slot_s}\nevery_s = {settings.report.every_s}\n"
        f'[[sensor]]\nid = "{sensor.id}"\ndriver = "reference"\nport = "{sensor.port}"\n'
    )
    log = (folder / "edge.log").open("a")
    process = subprocess.Popen(
        [sys.executable, "-m", "footfall_edge", "--config", str(config)], stderr=log, stdout=log, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        log.close()


def test_killed_again_and_again_nothing_is_lost_or_doubled(
    broker: Broker, configure: Configure, link: Path, unique: str
) -> None:
    """Ended with kill -9 at arbitrary moments while people pass: what ingest has in the end is exactly what passed."""
    settings = configure(broker)
    with Counter(link) as counter, Ingest(broker, unique) as ingest:
        for life in range(4):
            with edge_process(settings) as edge:
                before = len(streams(ingest))
                wait_until(partial(more_than, ingest, before), timeout=40, what="the edge to be at work")
                for _ in range(3 + life):
                    counter.passes(2, direction=life % 2)
                    time.sleep(0.31)
                edge.kill()
        with edge_process(settings):
            everything_stored(counter, ingest)
        assert all(seconds <= 1 for seconds in ingest.observed().values())
        assert len(streams(ingest)) >= 4, "each start opens new streams"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_nothing_behind(
    mosquitto: Broker, configure: Configure, link: Path, unique: str, number: signal.Signals
) -> None:
    """Asked to stop, the edge sends its slots as they are, waits for the notice, says goodbye, ends with status 0."""
    settings = configure(mosquitto, report={"slot_s": 60, "every_s": 60}, stop_wait_s=20)
    with Counter(link) as counter, Ingest(mosquitto, unique) as ingest, edge_process(settings) as edge:
        counter.passes(2)
        counter.cut()
        wait_until(lambda: counter.waiting == 0, timeout=40, what="the edge to be at work")
        # Without a broker a stop waits for nobody.
        wait_until(lambda: "online" in [status.state for status in ingest.statuses], what="the edge to be connected")
        edge.send_signal(number)

        assert edge.wait(40) == 0
        assert ingest.passages() == counter.passed
        assert tally(settings).waiting_slots == {}
        wait_until(lambda: ingest.statuses[-1].state == "offline", what="the goodbye")
        assert "Traceback" not in settings.outbox.path.with_name("edge.log").read_text()


def test_the_broker_says_that_a_killed_edge_is_gone(
    broker: Broker, configure: Configure, link: Path, unique: str
) -> None:
    """The last will: after kill -9 the node's retained status is offline."""
    settings = configure(broker)
    with Counter(link), Ingest(broker, unique) as ingest, edge_process(settings) as edge:
        wait_until(lambda: "online" in [status.state for status in ingest.statuses], timeout=40, what="the edge")
        edge.kill()

        wait_until(lambda: ingest.statuses[-1].state == "offline", what="the last will")
    with Ingest(broker, unique) as late:
        wait_until(lambda: late.statuses, what="the retained will")
        assert late.statuses[0].state == "offline"


def test_without_a_broker_it_counts_and_stops_at_once(
    configure: Configure, run_edge: RunEdge, link: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No broker anywhere: the device is acknowledged, the outbox has what was counted, and a stop waits for nobody."""
    monkeypatch.setattr(agent, "HEALTH_EVERY_S", 0.1)
    nowhere: Any = type("Nowhere", (), {"host": "127.0.0.1", "port": 1})
    settings = configure(nowhere, stop_wait_s=60)
    with Counter(link) as counter:
        with run_edge(settings):
            counter.passes(2)
            counter.cut()
            wait_until(lambda: counter.waiting == 0, what="the device to be acknowledged")
            began = time.monotonic()
        assert time.monotonic() - began < 30
    assert tally(settings).unnumbered >= 1
    assert tally(settings).numbered == 0
