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


def resends(under_way: Window, until_s: int, *, refused: set[int], every_s: int = 1) -> list[tuple[int, int]]:
    """(second, report) of what is sent again; a notice answers each, and covers it unless it is refused."""
    sent = []
    for second in range(0, until_s, every_s):
        while (due := under_way.due(second)) is not None:
            sent.append((second, due))
            under_way.sent(due, second)
            under_way.taken(due)
            under_way.noticed(second)
            if due not in refused:
                under_way.committed([due])
    return sent


def test_one_that_is_refused_does_not_hold_up_those_behind_it() -> None:
    """Ingest answers and does not take the oldest: after three tries the lost ones behind it are sent again at once."""
    under_way = window(1, 2, 3)
    under_way.noticed(0)

    sent = resends(under_way, 3600, refused={1})

    assert sent[:5] == [(30, 1), (90, 1), (210, 1), (210, 2), (210, 3)]
    assert {report for _, report in sent[5:]} == {1}
    assert len(under_way) == 1


def test_a_window_of_refused_ones_stays_bounded() -> None:
    """However many are refused: each has its own patience, and the last one has its turn within hours."""
    under_way = window(*range(64))

    sent = resends(under_way, 86_400, refused=set(range(63)), every_s=10)

    assert next(second for second, report in sent if report == 63) < 4 * 3600
    last_hour = [report for second, report in sent if second >= 86_400 - 3600]
    assert len(last_hour) <= 63 * (3600 // LONGEST_RESEND_S + 1)


def test_while_ingest_is_silent_only_the_oldest_is_sent_again() -> None:
    """A broker whose subscriber is away gets one report in a quarter of an hour, not the window over and over."""
    under_way = window(1, 2, 3)
    under_way.noticed(0)
    sent = []
    for second in range(4 * 3600):
        if (due := under_way.due(second)) is not None:
            sent.append(due)
            under_way.sent(due, second)
            under_way.taken(due)

    assert set(sent) == {1}
    assert len(sent) < 25


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
