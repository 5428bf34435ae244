"""Topics are built and taken apart in one place, and fit the filters with which they are subscribed."""

from collections.abc import Callable

import pytest
from hypothesis import given
from paho.mqtt.client import topic_matches_sub

from footfall_contract import topics
from footfall_contract.errors import ContractError
from footfall_contract.topics import Kind, Topic
from footfall_testing.reports import ids


def test_topics_are_as_written_in_the_contract() -> None:
    """The text of the four topics: firmware and broker rules depend on it."""
    assert topics.counts("jena-nord", "markt-1") == "footfall/v1/jena-nord/markt-1/counts"
    assert topics.health("jena-nord", "markt-1") == "footfall/v1/jena-nord/markt-1/health"
    assert topics.status("jena-nord") == "footfall/v1/jena-nord/status"
    assert topics.committed("jena-nord") == "footfall/v1/jena-nord/committed"


@given(ids, ids)
def test_a_topic_is_taken_apart_into_what_it_was_built_from(node: str, sensor: str) -> None:
    """`parse` undoes each builder, whatever the ids are: a sensor may be called status."""
    assert topics.parse(topics.counts(node, sensor)) == Topic(Kind.COUNTS, node, sensor)
    assert topics.parse(topics.health(node, sensor)) == Topic(Kind.HEALTH, node, sensor)
    assert topics.parse(topics.status(node)) == Topic(Kind.STATUS, node, None)
    assert topics.parse(topics.committed(node)) == Topic(Kind.COMMITTED, node, None)


@given(ids, ids)
def test_a_filter_matches_its_topics_and_no_others(node: str, sensor: str) -> None:
    """As an MQTT broker matches: each filter takes the topics of its kind alone."""
    built = {
        topics.counts(node, sensor): topics.ALL_COUNTS,
        topics.health(node, sensor): topics.ALL_HEALTH,
        topics.status(node): topics.ALL_STATUS,
        topics.committed(node): None,
    }

    for topic, own in built.items():
        for wanted in (topics.ALL_COUNTS, topics.ALL_HEALTH, topics.ALL_STATUS):
            assert topic_matches_sub(wanted, topic) is (wanted == own)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "counts",
        "footfall/v1",
        "footfall/v1/node/counts",
        "footfall/v1/node/sensor/status",
        "footfall/v1/node/sensor/committed",
        "footfall/v1/node/sensor/counts/",
        "footfall/v1/node/sensor/extra/counts",
        "/footfall/v1/node/sensor/counts",
        "footfall/v2/node/sensor/counts",
        "Footfall/v1/node/sensor/counts",
        "footfall/v1/node/sensor/Counts",
        "footfall/v1//sensor/counts",
        "footfall/v1/node//counts",
        "footfall/v1/Node/sensor/counts",
        "footfall/v1/node/-sensor/counts",
        "footfall/v1/+/sensor/counts",
        "footfall/v1/node/sensor\n/counts",
        "$share/ingest/footfall/v1/node/sensor/counts",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    """What is not one of the four topics with sound ids is refused, and the error names topic, node or sensor."""
    with pytest.raises(ContractError) as refusal:
        topics.parse(topic)

    assert refusal.value.field in {"topic", "node", "sensor"}


@pytest.mark.parametrize("build", [topics.status, topics.committed, lambda bad: topics.counts(bad, "sensor")])
@pytest.mark.parametrize("bad", ["", "+", "#", "a/b", "ä", "A", "-a", "a" * 64, "a\n"])
def test_an_id_that_would_change_the_topic_is_refused(build: Callable[[str], str], bad: str) -> None:
    """Nothing but an id gets into a topic: no wildcard, no level more."""
    with pytest.raises(ContractError, match=r"^node: "):
        build(bad)
