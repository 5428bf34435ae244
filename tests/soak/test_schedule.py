"""The schedule of a soak: the same for the same seed, everything in it, and nothing struck twice at once."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_soak.faults import ALL, Strike, by_name
from footfall_soak.layout import jena
from footfall_soak.schedule import ScheduleError, held_s, plan

SEEDS = st.integers(0, 1 << 32)


@given(SEEDS, st.integers(1, 3))
@settings(max_examples=25)
def test_five_minutes_have_every_kind_twice_and_a_hundred_in_all(seed: int, workers: int) -> None:
    """Whatever the seed, and for any number of aggregators."""
    strikes = plan(seed, 300, jena(workers), ALL)
    counted = Counter(strike.fault for strike in strikes)

    assert len(strikes) >= 100
    assert set(counted) == {fault.name for fault in ALL}
    assert min(counted.values()) >= 2


@given(SEEDS, st.sampled_from([45.0, 100.0, 300.0]))
@settings(max_examples=25)
def test_nothing_is_struck_twice_at_once_and_all_ends_in_time(seed: int, seconds: float) -> None:
    """Two faults never hold the same process, link or line at the same time; every target exists."""
    layout, faults = jena(), by_name()
    strikes = plan(seed, seconds, layout, ALL, each=1, total=len(ALL), haste=0.6)
    held: dict[str, list[tuple[float, float]]] = {}
    for strike in strikes:
        fault = faults[strike.fault]
        end = strike.at_s + held_s(fault, layout, strike.target, strike.length_s)
        assert strike.target in fault.targets(layout)
        assert strike.at_s >= 0
        assert end <= seconds
        assert set(fault.concerns(layout, strike.target)) <= set(layout.sensors)
        for name in fault.takes(layout, strike.target):
            assert not any(strike.at_s < till and since < end for since, till in held.get(name, []))
            held.setdefault(name, []).append((strike.at_s, end))


def test_the_seed_says_it_all() -> None:
    """The same seed gives the same plan, another one another."""
    assert plan(7, 300, jena(), ALL) == plan(7, 300, jena(), ALL)
    assert plan(7, 300, jena(), ALL) != plan(8, 300, jena(), ALL)


def test_an_hour_is_as_dense_as_five_minutes() -> None:
    """A longer run has more faults."""
    assert len(plan(1, 3600, jena(), ALL)) == 1440


def test_every_target_is_struck() -> None:
    """Over some plans each process, link and line has its turn with each kind that can strike it."""
    struck: set[tuple[str, str]] = set()
    for seed in range(30):
        struck |= {(strike.fault, strike.target) for strike in plan(seed, 300, jena(2), ALL)}

    wanted = {(fault.name, target) for fault in ALL for target in fault.targets(jena(2))}
    assert wanted - struck == set()


def test_what_does_not_fit_is_said() -> None:
    """Twice every kind in ten seconds is refused rather than left out."""
    with pytest.raises(ScheduleError, match="faults do not fit into 10 s; give more time"):
        plan(1, 10, jena(), ALL)


def test_no_faults_are_a_plan_too() -> None:
    """A run that is not struck."""
    none: tuple[Strike, ...] = ()
    assert plan(1, 10, jena(), ()) == none
