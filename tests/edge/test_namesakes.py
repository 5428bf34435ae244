"""Two boxes of one name: both see it, both go on, and neither talks the other into a storm."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID, uuid4

import pytest

from edge.counter import Counter
from edge.ingest_model import Ingest
from footfall_contract import topics
from footfall_contract.state import NodeStatus, encode_status
from footfall_demo.broker import Broker
from footfall_edge import delivery as delivery_module
from footfall_edge import namesake
from footfall_edge.namesake import AGAIN_EVERY_S, ANNOUNCE_EVERY_S, FORGOTTEN_S, MAX_OTHERS, Namesakes
from footfall_edge.settings import EdgeSettings
from footfall_testing.mqtt_client import TestClient
from footfall_testing.waiting import wait_until

Configure = Callable[..., EdgeSettings]
RunEdge = Callable[..., AbstractContextManager[None]]

ME, OTHER = UUID(int=1), UUID(int=2)


def online(run: UUID | None) -> NodeStatus:
    """A node says that it is there."""
    return NodeStatus("online", "1.0", 0, run)


def offline(run: UUID | None) -> NodeStatus:
    """A node is gone."""
    return NodeStatus("offline", "1.0", 0, run)


def test_our_own_word_is_no_news() -> None:
    """What we said ourselves comes back to us, and means nothing."""
    us = Namesakes(ME)
    us.heard(online(ME), 0)

    assert len(us) == 0
    assert us.to_say(0) == []
    assert not us.announce_due(0)


def test_another_run_is_said_once_and_again_every_hour() -> None:
    """The first time at once, then hourly while it keeps saying that it is there; then it is forgotten."""
    us = Namesakes(ME)
    said = []
    for minute in range(0, 5 * 60, 10):
        now_s = minute * 60.0
        if minute <= 120:
            us.heard(online(OTHER), now_s)
        said += [(minute, run) for run in us.to_say(now_s)]

    assert said == [(minute, OTHER) for minute in (0, 60, 120, 180, 240)]
    assert 120 * 60 + FORGOTTEN_S < 5 * 3600
    assert len(us) == 0


def test_a_box_without_a_run_is_another_box() -> None:
    """Software that knows no runs is not ours: each of ours says its own."""
    us = Namesakes(ME)
    us.heard(online(None), 0)

    assert us.to_say(0) == [None]
    us.heard(offline(None), 1)
    assert len(us) == 0


def test_an_offline_of_whoever_is_contradicted() -> None:
    """The last will of an old connection of ours, or of another box, must not be what people read of us."""
    for run in (ME, OTHER, None):
        us = Namesakes(ME)
        us.heard(offline(run), 0)

        assert us.announce_due(0)
        assert not us.announce_due(100)


def test_two_that_answer_each_other_come_to_rest() -> None:
    """Each online is heard by both; after the first answers there is one an hour from each, and no more."""
    sides = [Namesakes(uuid4()), Namesakes(uuid4())]
    runs = [side._run for side in sides]
    said = 0
    pending = [(0, online(runs[1])), (1, online(runs[0]))]
    for second in range(3 * 3600):
        for to, status in pending:
            sides[to].heard(status, second)
        pending = []
        for at, side in enumerate(sides):
            side.to_say(second)
            if side.announce_due(second):
                said += 1
                pending += [(0, online(runs[at])), (1, online(runs[at]))]

    assert [len(side) for side in sides] == [1, 1]
    assert said <= 2 * (1 + 3 * 3600 / AGAIN_EVERY_S)


def test_a_flood_of_runs_neither_fills_the_memory_nor_makes_a_flood() -> None:
    """A thousand runs in a hundred seconds: a few are remembered, and this node speaks every five seconds at most."""
    us = Namesakes(ME)
    announced = 0
    for n in range(1000):
        us.heard(online(UUID(int=100 + n)), n / 10)
        us.to_say(n / 10)
        announced += us.announce_due(n / 10)

    assert len(us) == MAX_OTHERS
    assert announced <= 100 / ANNOUNCE_EVERY_S + 1


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real edges announce themselves again after half a second, not five; how often in an hour stays as it is."""
    monkeypatch.setattr(namesake, "ANNOUNCE_EVERY_S", 0.5)


@pytest.mark.usefixtures("prompt")
def test_two_real_edges_of_one_name_notice_and_go_on(
    broker: Broker,
    configure: Configure,
    run_edge: RunEdge,
    unique: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both say it in the log, in a metric and in their sensors' health; every passage of both arrives once."""
    caplog.set_level(logging.WARNING, delivery_module.__name__)
    names = [f"{unique[:50]}-{n}" for n in (1, 2)]
    folder = configure(broker).outbox.path.parent
    links = [folder / name for name in names]
    settings = [
        configure(
            broker,
            outbox={"path": folder / f"{name}.sqlite"},
            sensor=[{"id": name, "driver": "reference", "port": str(link), "silent_s": 5}],
        )
        for name, link in zip(names, links, strict=True)
    ]

    def complains(name: str) -> bool:
        return any(h.sensor == name and "give each its own name" in h.detail for h in ingest.healths)

    with Counter(links[0]) as one, Counter(links[1]) as two, Ingest(broker, unique) as ingest:  # noqa: SIM117  # in turn
        with run_edge(settings[0]):
            wait_until(lambda: any(status.state == "online" for status in ingest.statuses), what="the first edge")
            with run_edge(settings[1]):
                wait_until(lambda: complains(names[0]) and complains(names[1]), timeout=40, what="both to notice")
                for _ in range(3):
                    one.passes(2)
                    two.passes(3, direction=1)
                one.cut()
                two.cut()
                expected = one.passed + two.passed
                wait_until(lambda: ingest.passages() >= expected, timeout=40, what="the passages of both")
                assert ingest.passages() == expected
                said = len(ingest.statuses)
                assert said <= 8, "two boxes do not talk each other into a storm"
                assert len({status.run for status in ingest.statuses if status.state == "online"}) == 2
            # The second one left and said so: the first one is still there, and says that.
            wait_until(lambda: ingest.statuses[-1].state == "online", what="the first edge to speak up")
            wait_until(
                lambda: next(h for h in reversed(ingest.healths) if h.sensor == names[0]).detail.startswith("firmware"),
                timeout=30,
                what="the complaint to end",
            )
    assert [record.message.startswith("another box calls itself") for record in caplog.records].count(True) == 2
    assert ingest.changed == []


@pytest.mark.usefixtures("prompt")
def test_an_old_last_will_does_not_stay(broker: Broker, configure: Configure, run_edge: RunEdge, unique: str) -> None:
    """The broker notices late that an old connection is dead and says offline: the edge that is there says online."""
    with Ingest(broker, unique) as ingest, run_edge(configure(broker)):
        wait_until(lambda: any(status.state == "online" for status in ingest.statuses), what="the edge")
        with TestClient(broker, f"late-{unique[-8:]}") as will:
            will.publish([(topics.status(unique), encode_status(offline(OTHER)))], retain=True)
        wait_until(
            lambda: [s.state for s in ingest.statuses[-2:]] == ["offline", "online"], what="the edge to contradict"
        )
    with Ingest(broker, unique) as late:
        wait_until(lambda: late.statuses, what="the goodbye")
        assert late.statuses[0].state == "offline"
