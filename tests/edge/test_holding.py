"""An outbox that was copied to a second computer: what both could send is held, and every passage counts once."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY

from edge.counter import Counter as DeviceOnLine
from edge.device_model import Device
from edge.ingest_model import Ingest
from footfall_contract.report import decode
from footfall_demo.broker import Broker
from footfall_edge import agent
from footfall_edge.clock import Moment
from footfall_edge.counts import Cursor
from footfall_edge.framer import CobsFramer
from footfall_edge.holding import DISCARDED_KEPT_S
from footfall_edge.outbox import Entry, Outbox, OutboxError
from footfall_edge.reference import DRIVER
from footfall_edge.settings import EdgeSettings
from footfall_edge.slots import Piece
from footfall_ingest.flush import Message, write_batch
from footfall_testing.waiting import wait_until

NOON = 1_764_072_000
SENSOR = "markt-1"
FOREVER = 2**33


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the first computer has its outbox."""
    return tmp_path / "first" / "outbox.sqlite"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    """The outbox of the first computer."""
    path.parent.mkdir()
    with Outbox.open(path, machine="first") as opened:
        yield opened


def slot(number: int, count: int = 1, measured_ms: int = 10_000) -> Piece:
    """The 10 s slot `number` after noon."""
    return Piece(NOON + 10 * number, 10, measured_ms, ((0, 0, count),) if count else ())


def book(outbox: Outbox, *pieces: Piece, cursor: Cursor | None = None) -> None:
    outbox.book([Entry(SENSOR, pieces, cursor)])


def number(outbox: Outbox, stream: UUID) -> list[bytes]:
    """Number all there is; the payloads."""
    reports = outbox.number(SENSOR, stream, closed_until=FOREVER, every_s=10, most=64, now_s=NOON)
    return [report.payload for report in reports]


def counted(payloads: list[bytes]) -> tuple[Counter[int], Counter[int]]:
    """Passages and measured seconds by slot."""
    passages: Counter[int] = Counter()
    observed: Counter[int] = Counter()
    for report in map(decode, payloads):
        observed.update({(report.start - NOON) // 10 + n: s for n, s in enumerate(report.observed)})
        for index, count in zip(report.index, report.count, strict=True):
            passages[(report.start - NOON) // 10 + index] += count
    return passages, observed


def clone(path: Path) -> Path:
    """Copy the card of a computer that runs, all files of the outbox as they are."""
    second = path.parent.parent / f"copy-{uuid4().hex[:6]}"
    shutil.copytree(path.parent, second)
    return second / path.name


def held(outbox: Outbox) -> int:
    return sum(outbox.tally().held.values())


def test_the_computer_is_remembered_and_not_compared_where_it_is_unknown(path: Path) -> None:
    """A first start writes it down; the same computer, and one without a mark, go on as ever."""
    path.parent.mkdir()
    with Outbox.open(path) as outbox:
        book(outbox, slot(0))
    for machine in ("first", "first", None):
        with Outbox.open(path, machine=machine) as outbox:
            assert held(outbox) == 0
            assert outbox.tally().unnumbered == 1
    with Outbox.open(path, machine="second") as outbox:
        assert held(outbox) == 1
    with Outbox.open(path, machine="second") as outbox:
        book(outbox, slot(1))
        assert (held(outbox), outbox.tally().unnumbered) == (1, 1)


def test_on_another_computer_only_numbered_reports_are_sent(
    path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """They are the same there, byte for byte. The rest is held, at each start it is said, and counting goes on."""
    book(outbox, slot(0, 5))
    numbered = number(outbox, uuid4())
    book(outbox, slot(1, 3), slot(2, 0), Piece(NOON + 3, 4000, 0, ((1, 0, 7),)))

    for _ in range(2):
        caplog.clear()
        with Outbox.open(copy := clone(path), machine="second") as second:
            assert [report.payload for report in second.uncommitted(SENSOR, 9)] == numbered
            assert number(second, uuid4()) == []
            assert held(second) == 3
            assert second.sensors() == {SENSOR}
        assert "brought here from another computer" in caplog.text
        assert "slots are on hold" in caplog.text
    caplog.clear()
    with Outbox.open(copy, machine="second") as second:
        assert "slots are on hold" in caplog.text
        assert "brought here" not in caplog.text
        book(second, slot(9, 2))
        assert counted(number(second, uuid4())) == ({9: 2}, {9: 10})
    assert outbox.tally().held == {}


def test_new_counts_do_not_mix_with_held_ones(path: Path, outbox: Outbox) -> None:
    """What is counted later in a held slot goes on its own, with the seconds that are left; adopted, all is there."""
    book(outbox, slot(0, 2, measured_ms=4_000), slot(1, 1))

    with Outbox.open(clone(path), machine="second") as second:
        book(second, slot(0, 3, measured_ms=6_000))
        early = number(second, uuid4())
        book(second, slot(1, 4, measured_ms=0))
        assert second.note_silence([(SENSOR, NOON + 10, 10)]) == {SENSOR: 0}
        moved = second.adopt()
        late = number(second, uuid4())
        assert held(second) == 0

    assert counted(early) == ({0: 3}, {0: 6})
    assert (moved.slots, moved.passages) == (2, 3)
    assert counted(late) == ({0: 2, 1: 5}, {0: 4, 1: 10})


def test_adopted_after_the_record_of_the_slot_is_gone(path: Path, outbox: Outbox) -> None:
    """However late the decision, the held slot claims what it measured, and counts what it counted."""
    book(outbox, slot(0, 2, measured_ms=7_000))
    number(outbox, uuid4())
    book(outbox, slot(0, 3, measured_ms=2_000))

    with Outbox.open(clone(path), machine="second") as second:
        second.prune(NOON + 10 * 86400, keep_committed_days=14, max_bytes=10**9)
        second.adopt()
        assert counted(number(second, uuid4())) == ({0: 3}, {0: 2})


def test_discarded_slots_are_not_sent_and_kept_for_a_while(path: Path, outbox: Outbox) -> None:
    """They stay in the file for 90 days, and do not come back with a later decision."""
    book(outbox, slot(0, 2))
    with Outbox.open(clone(path), machine="second") as second:
        moved = second.discard_held(NOON)
        rows = "SELECT count(*) FROM held_cell"
        assert (moved.slots, moved.passages, held(second)) == (1, 2, 0)
        assert second.adopt().slots == 0
        assert number(second, uuid4()) == []
        second.prune(NOON + DISCARDED_KEPT_S, keep_committed_days=14, max_bytes=10**9)
        assert second._database.execute(rows).fetchone() == (1,)
        second.prune(NOON + DISCARDED_KEPT_S + 1, keep_committed_days=14, max_bytes=10**9)
        assert second._database.execute(rows).fetchone() == (0,)


def test_a_third_computer_holds_beside_what_the_second_held(path: Path, outbox: Outbox) -> None:
    """Both are adopted together, each once."""
    book(outbox, slot(0, 2, measured_ms=4_000))
    second = clone(path)
    with Outbox.open(second, machine="second") as opened:
        book(opened, slot(0, 3, measured_ms=6_000), slot(1, 1))
    with Outbox.open(second, machine="third") as opened:
        assert held(opened) == 3
        assert opened.adopt().passages == 6
        assert counted(number(opened, uuid4())) == ({0: 5, 1: 1}, {0: 10, 1: 10})


def test_no_stream_goes_on_in_the_copy(path: Path, outbox: Outbox) -> None:
    """The first computer may have given the next number already."""
    stream = uuid4()
    book(outbox, slot(0))
    number(outbox, stream)

    with Outbox.open(clone(path), machine="second") as second:
        book(second, slot(1))
        with pytest.raises(OutboxError, match="was ended"):
            number(second, stream)


def test_the_totals_of_a_copy_are_no_baseline(path: Path, outbox: Outbox) -> None:
    """The device went on with the first computer, which booked. Moved to the second, its totals have risen by that."""
    device = Device(ring_size=3)
    framer = CobsFramer(1)

    def hear(on: Outbox, at: int) -> None:
        session = DRIVER.session(on.cursors(SENSOR))
        for frame in framer.feed(b"".join(device.frames())):
            step = session.heard(frame, Moment((NOON + at) * 1000, float(at)))
            session = step.session
            if step.booking is not None:
                pieces = tuple(Piece(c.start_ms // 1000, 10, c.measured_ms, c.passages) for c in step.booking.counts)
                on.book([Entry(SENSOR, pieces, step.booking.cursor)])
            if step.acknowledge:
                device.acknowledge(step.acknowledge)

    device.close({(0, 0): 4}, utc_ms=NOON * 1000)
    hear(outbox, 10)
    copy = clone(path)
    for n in range(1, 4):
        device.close({(0, 0): 2}, utc_ms=(NOON + 10 * n) * 1000)
        hear(outbox, 10 * n + 10)
    device.close({(0, 0): 1}, utc_ms=(NOON + 40) * 1000)
    with Outbox.open(copy, machine="second") as second:
        (before,) = second.cursors(SENSOR)
        hear(second, 50)
        (after,) = second.cursors(SENSOR)
        sent = counted(number(second, uuid4()))

    assert (before.totals, before.position) == (None, (1, 0))
    assert sent == ({4: 1}, {4: 10})
    assert after.totals == {(0, 0): 11}


@pytest.mark.parametrize("first_dies", [False, True])
def test_two_computers_with_one_outbox_count_each_passage_once(
    path: Path, outbox: Outbox, database: str, first_dies: bool
) -> None:
    """Work, copy the card of the running computer, let both go on and deliver; then decide. All is there once."""
    now = datetime.fromtimestamp(NOON + 3600, UTC)

    def deliver(box: Outbox, connection: psycopg.Connection[object]) -> None:
        number(box, uuid4())
        messages = [Message("box-1", SENSOR, report.payload) for report in box.uncommitted(SENSOR, 100)]
        outcome = write_batch(connection, messages, now=now)
        assert outcome.quarantined == {}
        for notice in outcome.notices.values():
            box.settle(notice, NOON)

    book(outbox, slot(0, 1), slot(1, 2))
    number(outbox, uuid4())
    book(outbox, slot(2, 4), slot(3, 8, measured_ms=4_000))
    copy = clone(path)
    with psycopg.connect(database, autocommit=True) as connection, Outbox.open(copy, machine="second") as second:
        book(second, slot(20, 16))
        if not first_dies:
            book(outbox, slot(3, 32, measured_ms=6_000), slot(10, 64))
            deliver(outbox, connection)
        deliver(second, connection)
        moved = second.adopt() if first_dies else second.discard_held(NOON)
        deliver(second, connection)

        total = connection.execute("SELECT sum(count) FROM count_minute").fetchone()
        seconds = connection.execute("SELECT sum(observed_s) FROM coverage_minute").fetchone()
    assert (moved.slots, moved.passages) == (2, 12)
    assert total == ((1 + 2 + 4 + 8 + 16,) if first_dies else (127,))
    assert seconds == ((44,) if first_dies else (60,))


def test_a_running_edge_says_what_is_on_hold(
    *,
    mosquitto: Broker,
    configure: Callable[..., EdgeSettings],
    run_edge: Callable[..., AbstractContextManager[None]],
    link: Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In each sensor's health, in a metric; and it goes on counting beside it."""
    settings = configure(mosquitto)
    with Outbox.open(settings.outbox.path, machine="first") as before:
        before.book([Entry(unique, (slot(0, 1000), slot(1, 1)), None)])
    monkeypatch.setattr(agent, "fingerprint", lambda: "second")
    with DeviceOnLine(link) as counter, Ingest(mosquitto, unique) as ingest, run_edge(settings):
        counter.passes(2)
        counter.cut()
        wait_until(lambda: ingest.passages().total() >= 2, timeout=30, what="the new counts")
        wait_until(
            lambda: any("2 slots on hold: footfall-edge outbox says why" in health.detail for health in ingest.healths),
            timeout=90,
            what="the health to say so",
        )
        assert REGISTRY.get_sample_value("footfall_edge_outbox_held_slots", {"sensor": unique}) == 2
    assert ingest.passages().total() == 2
