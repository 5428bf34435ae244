"""Two sensors of one id, on two nodes or on two boxes of one name: said, kept aside, and nothing counted twice."""

from collections import Counter

from footfall_testing.clockwork import Chain, passages
from footfall_testing.ingest_store import NOON


def test_one_sensor_id_on_two_nodes(chain: Chain) -> None:
    """The sensor is the first node's; what the second one reports is in quarantine, whole, with the reason."""
    first, second = chain.box("jena-sued"), chain.box("jena-nord")
    for _ in range(12):
        first.device.passes(2)
        chain.run(10)
        second.device.passes(3, direction=1)

    found = chain.settle(aside={"wrong-node"})
    assert passages(found) == first.device.reported
    assert chain.set_aside() == second.device.reported
    assert {node for node, _, _ in found.quarantine} == {"jena-nord"}
    assert all("belongs to node jena-sued" in row[1] for row in found.quarantine.values())
    assert second.outbox.tally().numbered <= 2, "the second edge is told that its reports were received, and goes on"
    assert max(found.coverage.values()) == 60


def test_the_second_node_before_the_first(chain: Chain) -> None:
    """Whoever reports first owns the sensor, for good: the other one's reports are kept aside from the first on."""
    late = chain.box("jena-nord")
    late.kill()
    first = chain.box("jena-sued")
    late.device.passes(5)
    first.device.passes(1)
    chain.run(60)
    late.start()
    late.device.passes(5)
    chain.run(60)

    found = chain.settle(aside={"wrong-node"})
    assert passages(found) == first.device.reported == Counter({("markt-1", 0, 0): 1})
    assert chain.set_aside() == Counter({("markt-1", 0, 0): 10})


def test_one_sensor_id_on_two_boxes_of_one_name(chain: Chain) -> None:
    """Nothing tells the boxes apart but their seconds: of a minute that is full, all that comes more is kept aside.

    Report by report, whichever comes first is in. So no minute has more than 60 s, and what is stored and what is
    aside are together what both have reported.
    """
    one, two = chain.box(), chain.box()
    chain.ingest.every_s = 10
    for _ in range(30):
        one.device.passes(2)
        two.device.passes(3, direction=1)
        chain.run(10)

    found = chain.settle(aside={"second-writer"})
    assert passages(found) + chain.set_aside() == one.device.reported + two.device.reported
    whole = [NOON + 60 * n for n in range(1, 4)]
    assert [found.coverage["markt-1", minute] for minute in whole] == [60] * 3
    assert len({detail for _, detail, *_ in found.quarantine.values()}) > 1
    assert all("would be measured" in row[1] for row in found.quarantine.values())


def test_what_is_not_detected_of_two_boxes_of_one_name(chain: Chain) -> None:
    """As long as the seconds of both fit into the minute nothing gives the second box away: its counts are added.

    Here the first box stops after 20 s of a minute and the other begins after 40 s: a box that was exchanged looks
    just so, and is allowed.
    """
    one = chain.box()
    one.device.passes(2)
    chain.run(20)
    one.device.close()
    chain.run(10)
    one.kill()
    two = chain.box()
    chain.run(10)
    two.device.passes(3)
    chain.run(40)

    found = chain.store()
    assert passages(found) == Counter({("markt-1", 0, 0): 5})
    assert found.quarantine == {}
