"""Members of a group on real brokers: who delivers is found out, and who leaves loses nothing."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from footfall_demo.broker import Broker
from footfall_ingest import probe
from footfall_ingest.inbox import Delivery, Inbox, Limits
from footfall_ingest.settings import IngestMqttSettings
from footfall_ingest.subscriber import Subscriber, UnsharedError
from footfall_testing.mqtt_client import TestClient
from footfall_testing.waiting import wait_until

LIMITS = Limits(interval_s=0.02, window=1)


def member(broker: Broker, node: str, inbox: Inbox, **settings: Any) -> Subscriber:
    """A member of the group of the node `node`."""
    found = IngestMqttSettings(
        host=broker.host, port=broker.port, client_id=node, keepalive_s=5, share=node, **settings
    )
    return Subscriber(found, inbox, [f"footfall/v1/{node}/+/counts"], [f"footfall/v1/{node}/status"])


def counts(node: str, number: int) -> list[tuple[str, bytes]]:
    """Messages with the numbers below `number`."""
    return [(f"footfall/v1/{node}/s/counts", str(n).encode()) for n in range(number)]


def taken(inbox: Inbox) -> list[Delivery]:
    """What is in an inbox."""
    return inbox.batch(threading.Event()) if len(inbox) else []


@pytest.fixture
def own_mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """A broker whose log is this test's."""
    with Broker(tmp_path / "broker", kind="mosquitto") as broker:
        yield broker


def test_three_that_start_together_divide_the_counts_and_all_hear_the_states(mosquitto: Broker, unique: str) -> None:
    """None takes another's probe; each count comes to one of them, each state to all, none of the probes to any."""
    inboxes = [Inbox(LIMITS) for _ in range(3)]
    with ExitStack() as stack, TestClient(mosquitto, f"{unique}-node") as node:
        members = [stack.enter_context(member(mosquitto, unique, inbox)) for inbox in inboxes]
        wait_until(lambda: all(one.subscribed for one in members), what="three subscriptions")
        node.publish([*counts(unique, 90), (f"footfall/v1/{unique}/status", b"state")])
        wait_until(lambda: sum(map(len, inboxes)) >= 93, what="90 counts, and three times a state")
        heard = [[delivery.payload for delivery in taken(inbox)] for inbox in inboxes]

    for one in heard:
        assert one.pop() == b"state"
        assert one
    assert sorted(int(payload) for one in heard for payload in one) == list(range(90))


def test_a_broker_that_grants_and_does_not_deliver_is_refused(amqtt_broker: Broker, unique: str) -> None:
    """Within a few seconds, in a sentence with its address, what it does and what to do; nothing else was taken."""
    inbox = Inbox(LIMITS)
    with member(amqtt_broker, unique, inbox) as one, TestClient(amqtt_broker, f"{unique}-node") as node:
        wait_until(lambda: one.connected, what="the connection")
        node.publish(counts(unique, 5))
        with pytest.raises(UnsharedError) as refusal:
            wait_until(one.check, what="the verdict")  # type: ignore[func-returns-value]  # it raises

        assert not one.subscribed

    said = str(refusal.value)
    assert said.startswith(f"the broker {amqtt_broker.host}:{amqtt_broker.port} grants shared subscriptions ($share) ")
    assert "does not deliver" in said
    assert "Nothing is lost" in said
    assert "Run one aggregator" in said
    assert "mosquitto" in said


def test_one_that_takes_all_needs_nothing_of_the_kind(amqtt_broker: Broker, unique: str) -> None:
    """A broker that cannot be shared serves a single aggregator."""
    inbox = Inbox(LIMITS)
    settings = IngestMqttSettings(host=amqtt_broker.host, port=amqtt_broker.port, client_id=unique)
    with (
        Subscriber(settings, inbox, [f"footfall/v1/{unique}/+/counts"], []) as only,
        TestClient(amqtt_broker, f"{unique}-node") as node,
    ):
        wait_until(lambda: only.subscribed, what="the subscription")
        node.publish(counts(unique, 5))
        # This broker greets a client with everybody's retained messages, too.
        ours = lambda: sum(one.topic.startswith(f"footfall/v1/{unique}/") for one in list(inbox._deliveries))  # noqa: E731
        wait_until(lambda: ours() == 5, what="5 counts")
        only.check()


def with_rules(folder: Path, rules: str) -> Broker:
    """A mosquitto with these access rules."""
    folder.mkdir()
    broker = Broker(folder, kind="mosquitto")
    words = broker.command()
    acl = folder / "acl"
    acl.write_text(rules)
    acl.chmod(0o700)
    config = Path(words[-1])
    config.write_text(f"{config.read_text()}acl_file {acl}\n")
    broker.command = lambda: words  # type: ignore[method-assign]
    return broker


def test_rules_that_know_the_probe_let_a_member_in(unique: str, tmp_path: Path) -> None:
    """All members log in with one name, and these are the rules that docs/aggregators.md gives for it."""
    page = (Path(__file__).parents[2] / "docs" / "aggregators.md").read_text()
    rules = page.split("```\nuser footfall-ingest\n")[1].split("```")[0]
    inbox = Inbox(LIMITS)
    with (
        with_rules(tmp_path / "broker", f"user {unique}\n{rules}\nuser {unique}-node\ntopic readwrite #\n") as broker,
        member(broker, unique, inbox) as one,
        TestClient(broker, f"{unique}-node", [f"footfall/v1/{unique}/committed"]) as node,
    ):
        wait_until(lambda: one.subscribed, what="the subscription")
        node.publish([*counts(unique, 1), (f"footfall/v1/{unique}/status", b"state")])
        wait_until(lambda: len(inbox) == 2, what="a count and a state")
        one.publish([(f"footfall/v1/{unique}/committed", b"notice")])
        assert node.wait_for(f"footfall/v1/{unique}/committed") == b"notice"


@pytest.mark.parametrize(
    "case",
    [("write", "the probe does not come back: is the broker slow, or: "), ("read", "it broke during the probe: ")],
)
def test_rules_that_forbid_the_probe_are_no_verdict_on_the_broker(
    unique: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    case: tuple[str, str],
) -> None:
    """Neither copy comes back, or the broker closes: that is said, and waited for, as it is with one that is slow."""
    allowed, said = case
    monkeypatch.setattr(probe, "SILENCE_S", 0.5)
    monkeypatch.setattr(probe, "VERDICT_S", 0.5)
    rules = f"user {unique}\ntopic readwrite footfall/v1/+/+/counts\ntopic {allowed} footfall/v1/_probe/+\n"
    inbox = Inbox(LIMITS)
    with with_rules(tmp_path / "broker", rules) as broker, member(broker, unique, inbox) as one:
        wait_until(lambda: caplog.text.count(said) >= 2, what="two lines in the log")
        one.check()

        assert not one.subscribed
        assert f"{said}do the broker's rules forbid us to write and read footfall/v1/_probe/+?" in caplog.text


def test_a_slow_broker_is_waited_for_and_a_new_one_is_asked_anew(
    unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that stops in the middle does not end a member; one that comes in its place has to prove itself."""
    import os
    import signal

    monkeypatch.setattr(probe, "PATIENCE_S", 5.0)
    inbox = Inbox(LIMITS)
    slow = Broker(tmp_path / "slow", kind="mosquitto").start()
    other = Broker(tmp_path / "other", port=slow.port, kind="amqtt")
    assert slow.process
    with member(slow, unique, inbox) as one:
        try:
            wait_until(lambda: one.subscribed, what="the subscription")
            os.kill(slow.process.pid, signal.SIGSTOP)
            wait_until(lambda: not one.connected, timeout=40, what="the end of our own patience with the connection")
            one.check()
            os.kill(slow.process.pid, signal.SIGCONT)
            wait_until(lambda: one.subscribed, timeout=40, what="the second subscription")
        finally:
            slow.kill()
        with other, pytest.raises(UnsharedError, match="does not deliver"):
            wait_until(one.check, timeout=60, what="the verdict")  # type: ignore[func-returns-value]


def test_who_leaves_the_group_gets_no_more_and_keeps_what_came(own_mosquitto: Broker, unique: str) -> None:
    """After `withdraw` every count goes to the other, while those that came before may still be acknowledged."""
    leaving, staying = Inbox(LIMITS), Inbox(LIMITS)
    with (
        member(own_mosquitto, unique, leaving) as one,
        member(own_mosquitto, unique, staying) as other,
        TestClient(own_mosquitto, f"{unique}-node") as node,
    ):
        wait_until(lambda: one.subscribed and other.subscribed, what="the subscriptions")
        node.publish(counts(unique, 20))
        wait_until(lambda: len(leaving) + len(staying) == 20, what="20 counts")
        one.withdraw(10)
        had = len(leaving)
        one.acknowledge(taken(leaving))
        node.publish(counts(unique, 20))
        wait_until(lambda: len(staying) == 40 - had, what="the others")

        assert 0 < had < 20
        assert len(leaving) == 0
        assert not one.subscribed
        assert other.subscribed


def test_a_member_that_is_gone_collects_nothing(mosquitto: Broker, unique: str) -> None:
    """The broker keeps no share for it, whose repetitions would be kept too: everything goes to who is there."""
    staying = Inbox(LIMITS)
    with member(mosquitto, unique, staying) as other, TestClient(mosquitto, f"{unique}-node") as node:
        with member(mosquitto, unique, Inbox(LIMITS)) as one:
            wait_until(lambda: one.subscribed and other.subscribed, what="the subscriptions")
        node.publish(counts(unique, 20))
        wait_until(lambda: len(staying) == 20, what="all counts")


def test_members_have_names_of_their_own(own_mosquitto: Broker, unique: str) -> None:
    """Two in one process, on one machine, from one settings file: the broker drops neither for the other."""
    with (
        member(own_mosquitto, unique, Inbox(LIMITS)) as one,
        member(own_mosquitto, unique, Inbox(LIMITS)) as other,
    ):
        wait_until(lambda: one.subscribed and other.subscribed, what="the subscriptions")

    assert "already connected" not in own_mosquitto.log.read_text()


def test_the_group_has_a_name_that_only_who_has_the_password_knows() -> None:
    """Members with the same settings meet in it; without a password, as in the demo, it is called as it is set."""
    found = {
        password: IngestMqttSettings(share="jena", password=SecretStr(password)).group for password in ("", "a", "b")
    }

    assert found[""] == "jena"
    assert len(set(found.values())) == 3
    assert found["a"] == IngestMqttSettings(share="jena", password=SecretStr("a"), client_id="another").group
    assert IngestMqttSettings(password=SecretStr("a")).group is None
