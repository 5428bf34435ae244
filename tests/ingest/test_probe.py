"""The judgement over a broker that is to be shared, with times made up."""

import pytest

from footfall_contract import topics
from footfall_contract.errors import ContractError
from footfall_ingest.probe import PATIENCE_S, ROUND_S, SILENCE_S, VERDICT_S, Probe


def granted_at(now_s: float, *, proven_before: bool = False) -> Probe:
    """A probe that began at 0 and whose filters were granted."""
    probe = Probe("group", 0.0, proven_before=proven_before)
    probe.granted([True, True], now_s)
    return probe


def test_the_probe_is_alone_in_its_group_and_on_its_topics() -> None:
    """No other member can take its message, no node can have its topic, and it disturbs no other probe."""
    first, second = Probe("group", 0.0), Probe("group", 0.0)
    first.granted([True, True], 0.0)
    shared, plain = first.to_publish(0.0)

    assert first.filters[1] == plain
    assert first.filters[0].startswith("$share/group-probe-")
    assert first.filters[0].split("/", 2)[2] == shared
    assert not set(first.filters) & set(second.filters)
    assert topics.is_probe(shared)
    assert topics.is_probe(plain)
    assert not topics.is_probe(topics.counts("probe", "x"))
    for topic in (shared, plain):
        with pytest.raises(ContractError):
            topics.parse(topic)


def test_the_shared_copy_proves_it() -> None:
    """Whatever came before or comes after."""
    probe = granted_at(1.0)
    shared, plain = probe.to_publish(1.0)
    probe.heard(plain, 1.1)
    before = probe.delivered
    probe.heard(shared, 5.9)

    assert not before
    assert probe.delivered
    assert probe.verdict(1000.0) is None
    assert probe.to_publish(1000.0) == ()


def test_only_the_plain_copy_convicts_the_broker() -> None:
    """A few seconds after the plain copy; before that, and if neither came, however long it takes, nothing is said.

    published 0 ──── plain copy 100 ──── 105 verdict
    """
    probe = granted_at(0.0)
    _, plain = probe.to_publish(0.0)
    waiting = probe.verdict(99.0)
    probe.heard(plain, 100.0)

    assert waiting is None
    assert probe.verdict(100.0 + VERDICT_S - 0.1) is None
    assert "does not deliver them" in (probe.verdict(100.0 + VERDICT_S) or "")


def test_a_broker_that_delivered_before_gets_longer() -> None:
    """It may be starting, or one of several that lost sight of each other."""
    convicted = granted_at(0.0, proven_before=True)
    convicted.heard(convicted.to_publish(0.0)[1], 0.0)
    refused = Probe("group", 0.0, proven_before=True)
    refused.granted([False, True], 0.0)

    for probe in (convicted, refused):
        assert probe.verdict(PATIENCE_S - 1) is None
        assert probe.verdict(PATIENCE_S) is not None


def test_a_refusal_is_believed_at_once_and_asked_about_again_where_there_is_patience() -> None:
    """A broker that has not delivered yet is given up; one that has is asked every few seconds, one question open."""
    stranger, friend = Probe("group", 0.0), Probe("group", 0.0, proven_before=True)
    for probe in (stranger, friend):
        probe.granted([False, True], 1.0)

    assert "refuses shared subscriptions" in (stranger.verdict(1.0) or "")
    assert friend.verdict(1.0) is None
    assert friend.to_publish(1.0 + ROUND_S) == ()
    assert friend.to_subscribe(1.0) == ()
    assert friend.to_subscribe(1.0 + ROUND_S) == friend.filters
    assert friend.to_subscribe(1.0 + 2 * ROUND_S) == ()
    friend.granted([True, True], 6.0)
    assert len(friend.to_publish(6.0)) == 2
    assert friend.verdict(1000.0) is None


def test_it_is_published_again_until_it_is_back() -> None:
    """Every other second, and not before the subscription is granted."""
    probe = Probe("group", 0.0)
    early = probe.to_publish(50.0)
    probe.granted([True, True], 50.0)
    rounds = [bool(probe.to_publish(now_s)) for now_s in (50.0, 50.1, 50.0 + ROUND_S, 50.1 + ROUND_S)]

    assert early == ()
    assert rounds == [True, False, True, False]


def test_silence_is_said_and_not_too_often() -> None:
    """After ten seconds, then each time that it has lasted twice as long."""
    probe = granted_at(0.0)
    said = [now_s for now_s in range(100) if probe.silent(float(now_s)) is not None]

    assert said == [SILENCE_S, 2 * SILENCE_S, 4 * SILENCE_S, 8 * SILENCE_S]
