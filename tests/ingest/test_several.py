"""Several aggregators on one database and one broker, while they die: each passage is stored once."""

import random
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from footfall_demo.broker import Broker
from footfall_ingest.settings import IngestSettings
from footfall_testing.ingest_process import Moment, die_at, ingest, settings_for, start_mortal
from footfall_testing.ingest_store import stored, stream_of
from footfall_testing.sender import Sender
from footfall_testing.waiting import wait_until


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker whose groups and retained messages are this test's."""
    with Broker(tmp_path / "broker", kind="mosquitto") as broker:
        yield broker


def assert_exact(dsn: str, senders: Sequence[Sender]) -> None:
    """Every report is stored, none twice, none in quarantine: sums, minutes and numbers say so."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        store = stored(connection)
    truth: Counter[tuple[str, int, int, int]] = Counter()
    measured: Counter[tuple[str, int]] = Counter()
    for sender in senders:
        for sensor, reports in sender.reports.items():
            assert store.received[sensor, stream_of(sensor)] == f"{{[0,{len(reports)})}}"
            for one in reports:
                minute = one.start // 60 * 60
                measured[sensor, minute] += sum(one.observed)
                for direction, class_, count in zip(one.direction, one.class_, one.count, strict=True):
                    truth[sensor, minute, direction, class_] += count
    assert store.counts == truth
    assert store.coverage == measured
    assert store.quarantine == {}


WAYS: Sequence[Moment | None] = ("before", "after", None)
"""To die: around a commit, or at once."""


class Crew:
    """Members of a group as processes, which die and are started again."""

    def __init__(self, settings: IngestSettings, folder: Path, size: int, seed: int) -> None:
        self._settings = settings
        self._folder = folder
        self._rng = random.Random(seed)
        self._members = [start_mortal(settings, folder) for _ in range(size)]
        self._oldest_first = list(range(size))
        self._ways = self._rng.sample(WAYS, len(WAYS))
        self.deaths: Counter[str] = Counter()

    def strike(self) -> None:
        """Let one of them die: at once, or around its next commit; another takes its place."""
        place = self._rng.choice(self._oldest_first[:2])  # the youngest is hardly alive yet
        how = self._ways[0]
        member = self._members[place]
        if how is None:
            member.kill()
        else:
            die_at(how, member)
        try:
            member.wait(5)
        except subprocess.TimeoutExpired:  # it gets nothing to commit, because all has been said
            member.kill()
            member.wait()
        found = {-9: "killed", 9: how or ""}.get(member.returncode, "while starting")
        self.deaths[found] += 1
        if found == (how or "killed"):  # else it did not live long enough: once more in this way
            self._ways = self._ways[1:] or self._rng.sample(WAYS, len(WAYS))
        self._members[place] = start_mortal(self._settings, self._folder)
        self._oldest_first.remove(place)
        self._oldest_first.append(place)

    def dismiss(self) -> None:
        """Stop all, as an administrator would."""
        for member in self._members:
            member.terminate()
        for member in self._members:
            assert member.wait(30) in {0, -15}  # the latter if it was just starting

    def kill(self) -> None:
        """Leave none behind."""
        for member in self._members:
            member.kill()
            member.wait()


@contextmanager
def crew(*arguments: Any) -> Iterator[Crew]:
    """A crew that is gone at the end."""
    found = Crew(*arguments)
    try:
        yield found
    finally:
        found.kill()


def heard(senders: Sequence[Sender]) -> int:
    """How many notices they have heard."""
    return sum(len(sender.notices) for sender in senders)


def run_and_strike(broker: Broker, dsn: str, unique: str, folder: Path, *, number: int, seed: int) -> None:
    """Three members die at random moments while three nodes report; in the end everything is stored once and known."""
    settings = settings_for(broker, dsn, unique, mqtt={"share": unique})
    rng = random.Random(seed)
    with ExitStack() as stack:
        senders = [
            stack.enter_context(
                Sender(
                    broker,
                    f"{unique[-20:]}-{place}",
                    sensors=8,
                    number=number,
                    every_s=0.08,
                    doubled=0.2,
                    seed=seed + place,
                )
            )
            for place in range(3)
        ]
        members = stack.enter_context(crew(settings, folder, 3, seed))
        wait_until(lambda: any(sender.notices for sender in senders), timeout=60, what="the first notice")
        while not all(sender.emitted for sender in senders):
            members.strike()
            # Faster than they come to life they must not die, or nothing would move.
            seen = heard(senders) + rng.randrange(1, 30)
            wait_until(
                lambda: heard(senders) >= seen or all(sender.settled for sender in senders),  # noqa: B023
                timeout=60,
                what="some notices",
            )
        wait_until(
            lambda: all(sender.settled for sender in senders),
            timeout=90,
            what="notices for everything",
            every=0.1,
        )
        members.dismiss()
    sent = sum(sender.sent for sender in senders)
    print(f"deaths {dict(members.deaths)}, {sent} messages for {3 * 8 * number} reports")

    assert {"before", "after", "killed"} <= members.deaths.keys()
    assert_exact(dsn, senders)


@pytest.mark.timeout(400)
def test_members_that_die_at_any_moment_lose_and_double_nothing(
    own_broker: Broker, database: str, unique: str, tmp_path: Path
) -> None:
    """Killed at once, before a commit and between commit and acknowledgement, of three, again and again."""
    run_and_strike(own_broker, database, unique, tmp_path, number=160, seed=3)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(5))
def test_members_that_die_for_long_lose_and_double_nothing(
    own_broker: Broker, database: str, unique: str, tmp_path: Path, seed: int
) -> None:
    """The same with 36 000 reports from each of five seeds."""
    run_and_strike(own_broker, database, unique, tmp_path, number=1500, seed=100 * seed)


def test_members_that_are_stopped_lose_the_nodes_no_time(
    own_broker: Broker, database: str, unique: str, tmp_path: Path
) -> None:
    """Each is asked to stop while reports come, and another starts: nothing has to be sent twice.

    Between the one that leaves and the one that comes there is always a third.
    """
    settings = settings_for(own_broker, database, unique, mqtt={"share": unique}, flush={"interval_s": 0.2})
    with (
        Sender(own_broker, unique[-20:], sensors=8, number=250, every_s=0.02, seed=1) as sender,
        ingest(settings),
    ):
        wait_until(lambda: sender.notices, what="the first notice")
        early = sender.sent
        while not sender.emitted:
            with ingest(settings):
                seen = len(sender.notices)
                wait_until(lambda: len(sender.notices) > seen + 4 or sender.emitted, what="some notices")  # noqa: B023
        wait_until(lambda: sender.settled, timeout=60, what="notices for everything")

    # On a slow machine a notice may be later than the sender's patience; a share that a member takes along is more.
    assert sender.sent <= 8 * 250 * 1.25 + early
    assert_exact(database, [sender])


def test_another_that_takes_over_the_session_is_exact(
    own_broker: Broker, database: str, unique: str, tmp_path: Path
) -> None:
    """A second aggregator with the name of the first takes its session, and the first takes it back, under traffic.

    The broker sends the one what the other had not acknowledged, which may have it stored already.
    """
    settings = settings_for(own_broker, database, unique)
    taken_over = lambda: own_broker.log.read_text().count(f"Client {unique} already connected")  # noqa: E731
    with (
        Sender(own_broker, unique[-20:], sensors=6, number=300, every_s=0.02, seed=2) as sender,
        crew(settings, tmp_path, 1, 2) as first,
        crew(settings, tmp_path, 1, 3) as second,
    ):
        wait_until(lambda: sender.emitted, timeout=60, what="all to be sent")
        wait_until(lambda: taken_over() >= 2, timeout=60, what="the session to be taken over, and back")
        first.kill()
        wait_until(lambda: sender.settled, timeout=60, what="notices for everything")
        second.dismiss()

    assert taken_over() >= 2
    assert_exact(database, [sender])
