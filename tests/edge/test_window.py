"""Which report is sent when: the window, the oldest, and patience that grows."""

import pytest

from footfall_edge.window import FIRST_RESEND_S, INGEST_SILENT_S, LONGEST_RESEND_S, STALLED_S, WINDOW, Window


def window(*ids: int, at: float = 0.0, limit: int = WINDOW) -> Window:
    """A window without jitter in which reports `ids` were sent at `at` and taken by the broker."""
    made = Window(limit, jitter=lambda: 0.5)
    for report_id in ids:
        made.sent(report_id, at)
        made.taken(report_id)
    return made


def test_there_is_room_for_64() -> None:
    """A report leaves room when a notice covers it, not when the broker took it."""
    full = window(*range(64))
    assert (full.room, len(full)) == (0, 64)

    full.committed([3, 999])
    assert full.room == 1
    assert 3 not in full
    assert 4 in full


def test_only_the_oldest_is_sent_again() -> None:
    """Nothing is due before 30 s; then it is the oldest, and no other, however old they are."""
    under_way = window(5, 6, 7)

    assert under_way.due(29.9) is None
    assert under_way.due(30) == 5
    under_way.sent(5, 30)
    under_way.taken(5)
    assert under_way.due(31) is None


def test_patience_doubles_up_to_a_quarter_of_an_hour() -> None:
    """30 s, 1, 2, 4, 8, 15, 15 min after the last time."""
    under_way = window(1)
    waits = []
    now = 0.0
    for _ in range(8):
        last = now
        while under_way.due(now) is None:
            now += 1
        under_way.sent(1, now)
        under_way.taken(1)
        waits.append(now - last)

    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_the_first_wait_is_a_setting() -> None:
    """Where news is quick the oldest may be sent again sooner; the wait doubles from there, to the same 15 min."""
    under_way = Window(jitter=lambda: 0.5, first_resend_s=2)
    waits = []
    now = 0.0
    for _ in range(11):
        under_way.sent(1, now)
        under_way.taken(1)
        last = now
        while under_way.due(now) is None:
            now += 1
        waits.append(now - last)

    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_news_after_a_long_silence_brings_back_the_first_wait() -> None:
    """Also where that wait is a setting."""
    under_way = Window(jitter=lambda: 0.5, first_resend_s=2)
    now = 0.0
    for _ in range(9):
        under_way.sent(1, now)
        under_way.taken(1)
        now += 512
    under_way.sent(1, now)
    under_way.taken(1)
    assert under_way.due(now + 2) is None

    under_way.noticed(now + 2)
    assert under_way.due(now + 2) == 1


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 27), (0.999, 33)])
def test_boxes_do_not_resend_in_step(jitter: float, wait: float) -> None:
    """The wait varies by a tenth to either side."""
    under_way = Window(jitter=lambda: jitter)
    under_way.sent(1, 0)
    under_way.taken(1)

    assert under_way.due(wait - 0.1) is None
    assert under_way.due(wait) == 1


def test_progress_brings_the_next_at_once() -> None:
    """When the oldest is committed, a next one sent longer than 30 s ago goes without waiting: a round trip each."""
    under_way = window(1, 2, 3)
    now = 1000.0
    for report_id in (1, 2, 3):
        assert under_way.due(now) == report_id
        under_way.sent(report_id, now)
        under_way.taken(report_id)
        assert under_way.due(now) is None
        now += 0.3
        under_way.committed([report_id])
        under_way.noticed(now)

    assert under_way.due(now) is None


def test_what_the_mqtt_client_still_has_is_not_sent_again() -> None:
    """Until the broker took it the client sends it by itself after a reconnect; a second copy would only pile up."""
    under_way = window()
    under_way.sent(1, 0)

    assert under_way.due(10_000) is None
    under_way.taken(1)
    assert under_way.due(10_000) == 1


def test_a_notice_after_a_long_silence_ends_the_patience() -> None:
    """Ingest was away for hours and the oldest would wait 15 min: its first word, whatever it says, makes it due."""
    under_way = window(1)
    under_way.noticed(0)
    now = 0.0
    for _ in range(8):
        now += LONGEST_RESEND_S
        under_way.sent(1, now)
        under_way.taken(1)
    now += FIRST_RESEND_S + 1
    assert under_way.due(now) is None

    under_way.noticed(now)
    assert under_way.due(now) == 1


def test_notices_of_others_do_not_end_it() -> None:
    """A sensor whose report is never taken does not send it at every notice for its neighbours."""
    under_way = window(1)
    times = 0
    for second in range(0, 3600, int(INGEST_SILENT_S // 2)):
        under_way.noticed(second)
        if under_way.due(second) is not None:
            times += 1
            under_way.sent(1, second)
            under_way.taken(1)

    assert times <= 8


def test_a_broker_that_owes_acknowledgements_is_noticed() -> None:
    """Two minutes without one are too long, counted from the connect at the earliest."""
    under_way = window(1)
    assert not under_way.stalled(0, 1e6)

    under_way.sent(2, 100)
    assert not under_way.stalled(0, 100 + STALLED_S)
    assert under_way.stalled(0, 101 + STALLED_S)
    assert not under_way.stalled(50 + STALLED_S, 101 + STALLED_S)
