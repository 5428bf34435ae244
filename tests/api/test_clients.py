"""How much a client may ask for: buckets, accounts, seats."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.clients import Bucket, Clients, FullError, Seats
from footfall_api.settings import LimitsSettings

Steps = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), max_size=30)
"""Seconds that pass, and what is then taken."""


@given(st.floats(1, 100), st.floats(0.01, 10), Steps)
def test_nobody_gets_more_than_the_bucket_and_what_came_back(
    size: float, per_s: float, steps: Sequence[tuple[float, float]]
) -> None:
    """Who waits as long as told has taken no more than it held and what time has put in."""
    bucket = Bucket(size, per_s)
    begun = now = 1000.0
    taken = 0.0
    for passes, wanted in steps:
        now += passes
        amount = min(wanted, size)
        now += bucket.wait_s(amount, now) + 1e-6
        assert bucket.wait_s(amount, now) < 1e-3
        bucket.take(amount, now)
        taken += amount

        assert taken <= size + (now - begun) * per_s + 1e-3


@given(st.floats(1, 100), st.floats(0.01, 10), st.floats(0, 1000))
def test_what_was_overdrawn_is_paid_back_first(size: float, per_s: float, more: float) -> None:
    """A question costs what it cost, also if that is more than there was."""
    bucket = Bucket(size, per_s)

    bucket.take(size + more, 50.0)

    assert bucket.wait_s(0, 50.0) == pytest.approx(more / per_s)
    assert bucket.wait_s(size, 50.0 + (size + more) / per_s + 1e-3) < 1e-3, "after that it is full, and no fuller"
    assert bucket.wait_s(size, 1e9) == 0


def test_a_bucket_of_no_size_has_no_bounds() -> None:
    """0 switches a limit off."""
    bucket = Bucket(0, 1)
    bucket.take(1e9, 0)

    assert bucket.wait_s(1, 0) == 0


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 5))
def test_those_who_asked_last_are_remembered(asked: list[int], room: int) -> None:
    """Never more than there is room for; who asked among the last so many keeps the account that it had."""
    clients = Clients(LimitsSettings(clients=room), 3)
    accounts = {}
    for place, number in enumerate(asked):
        recent = list(dict.fromkeys(reversed(asked[:place])))[:room]
        found = clients.of(str(number))
        assert len(clients) <= room
        if number in recent:
            assert found is accounts[number]
        accounts[number] = found


def test_an_account_is_as_the_settings_say() -> None:
    """So many requests, seconds of work and wrong tokens in one go; then one comes back after the other."""
    account = Clients(
        LimitsSettings(requests=2, requests_per_minute=60, work_s=5, work_s_per_minute=6, attempts=3), 3
    ).of("a")

    for bucket, size, back_s in ((account.requests, 2, 1), (account.work, 5, 10), (account.attempts, 3, 300)):
        assert bucket.wait_s(size, 0) == 0
        bucket.take(size, 0)
        assert bucket.wait_s(1, 0) == pytest.approx(back_s)


Moves = st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.booleans()), max_size=50)


@given(st.integers(0, 3), st.integers(0, 6), Moves)
def test_seats_are_never_taken_twice(each: int, together: int, moves: list[tuple[str | None, bool]]) -> None:
    """No client has more than its own, all together no more than there are; who leaves makes room again."""
    seats = Seats(each, together)
    had: Counter[str | None] = Counter()
    for client, comes in moves:
        if not comes:
            if had[client]:
                seats.leave(client)
                had[client] -= 1
            continue
        if had.total() >= together:
            with pytest.raises(FullError) as full:
                seats.take(client)
            assert not full.value.alone
        elif client is not None and had[client] >= each:
            with pytest.raises(FullError) as full:
                seats.take(client)
            assert full.value.alone
        else:
            seats.take(client)
            had[client] += 1
        assert seats.taken == had.total()
        assert seats._by_client == {name: number for name, number in had.items() if number and name}


def test_a_seat_is_left_whatever_happens() -> None:
    """Also by an error inside of the block."""
    seats = Seats(1, 1)
    with pytest.raises(ZeroDivisionError), seats.taking("a"):
        raise ZeroDivisionError

    with seats.taking("b"), pytest.raises(FullError), seats.taking("a"):
        pass
    assert seats.taken == 0
