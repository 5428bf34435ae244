"""The rule that turns evidence into an answer: the table of states, and what holds whatever the evidence."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.answers import SETTLED_AFTER_S, Answer, Evidence, Phase, State, judge, phase_of

HOUR = Evidence(Phase.ENDED, expected_s=3600)
"""An hour that is over, about which nothing is known."""

HALF = replace(HOUR, observed_s=1800, reported_s=1800)
"""An hour that is over, of which half was measured."""


@pytest.mark.parametrize(
    ("evidence", "state", "reason", "coverage", "counted"),
    [
        # measured and nobody came, and measured with people
        (replace(HOUR, observed_s=3600, reported_s=3600), "measured", None, 1.0, True),
        (replace(HOUR, observed_s=3600, reported_s=3600, passages=True), "measured", None, 1.0, True),
        # the threshold is exact, and the coverage shown never rounds up to it
        (replace(HOUR, observed_s=3528, reported_s=3600), "measured", None, 0.98, True),
        (replace(HOUR, observed_s=3527, reported_s=3600), "partial", "silent", 0.9797, True),
        (Evidence(Phase.ENDED, expected_s=3999, observed_s=3919, reported_s=3999), "partial", "silent", 0.9799, True),
        # partial says why the larger part of the rest is missing
        (replace(HOUR, observed_s=1800, reported_s=1800, passages=True), "partial", "not_reported", 0.5, True),
        (replace(HOUR, observed_s=1800, reported_s=3000, passages=True), "partial", "silent", 0.5, True),
        # nothing measured: silent if the sensor said so
        (HOUR, "missing", "not_reported", 0.0, False),
        (replace(HOUR, reported_s=60), "missing", "silent", 0.0, False),
        # no sensor, no time
        (replace(HOUR, expected_s=0), "missing", "not_installed", None, False),
        (Evidence(Phase.FUTURE, expected_s=0), "missing", "future", None, False),
        # a longer count that overlaps, known as a whole only
        (replace(HOUR, cut=True, coarse="1d"), "coarse", "1d", 0.0, False),
        (replace(HOUR, cut=True, coarse=None), "coarse", None, 0.0, False),
        (replace(HOUR, cut=True, coarse="1d", observed_s=900, reported_s=900), "partial", "not_reported", 0.25, True),
        # running totals without coverage
        (replace(HOUR, passages=True, recovered_s=3600), "recovered", None, 0.0, True),
        (replace(HOUR, passages=True, reported_s=60), "recovered", None, 0.0, True),
        # measured time and recovered time together: everybody was counted, though not minute by minute
        (replace(HALF, passages=True, recovered_s=1800, reported_s=3600), "recovered", None, 0.5, True),
        (replace(HALF, passages=True, recovered_s=900, reported_s=2700), "partial", "silent", 0.5, True),
        (replace(HOUR, passages=True, observed_s=3600, recovered_s=60, reported_s=3660), "measured", None, 1.0, True),
        # somebody said that it is not to be believed: the reason if that is the larger part of what is missing
        (replace(HOUR, excluded_s=3600), "missing", "excluded", 0.0, False),
        (replace(HOUR, excluded_s=1800, reported_s=1800), "missing", "excluded", 0.0, False),
        (replace(HOUR, excluded_s=1799, reported_s=60), "missing", "silent", 0.0, False),
        (replace(HOUR, excluded_s=1799), "missing", "not_reported", 0.0, False),
        (replace(HALF, excluded_s=900, reported_s=2700), "partial", "excluded", 0.5, True),
        (replace(HALF, excluded_s=800, reported_s=2700), "partial", "silent", 0.5, True),
        (replace(HALF, excluded_s=800), "partial", "not_reported", 0.5, True),
        (replace(HOUR, excluded_s=60, observed_s=3540, reported_s=3540), "measured", None, 0.9833, True),
        (replace(HOUR, excluded_s=600, cut=True, coarse="1d"), "coarse", "1d", 0.0, False),
        # measured as long as a sensor hung there, which was not all the time
        (replace(HOUR, expected_s=600, observed_s=600, always_installed=False), "measured", "not_installed", 1.0, True),
    ],
)  # fmt: skip
def test_the_state_of_an_hour(
    evidence: Evidence, state: str, reason: str | None, coverage: float | None, counted: bool
) -> None:
    """Each kind of evidence has its state, its reason, and a count exactly where something was counted."""
    answer = judge(evidence)

    assert (answer.state, answer.reason, answer.coverage, answer.counted) == (state, reason, coverage, counted)


@pytest.mark.parametrize(
    ("phase", "observed_s", "final"),
    [
        (Phase.FUTURE, 0, False),
        (Phase.OPEN, 3600, False),
        (Phase.ENDED, 3599, False),
        (Phase.ENDED, 3600, True),
        (Phase.SETTLED, 0, True),
    ],
)
def test_final_is_what_is_over_and_whole_or_long_over(phase: Phase, observed_s: int, *, final: bool) -> None:
    """A gap may still be filled by a box that kept its reports; after two weeks it is not expected any more."""
    assert judge(Evidence(phase, expected_s=3600, observed_s=observed_s)).final is final


@pytest.mark.parametrize(
    ("now_s", "phase"),
    [
        (999, Phase.FUTURE),
        (1000, Phase.FUTURE),
        (1001, Phase.OPEN),
        (1999, Phase.OPEN),
        (2000, Phase.ENDED),
        (1999 + SETTLED_AFTER_S, Phase.ENDED),
        (2000 + SETTLED_AFTER_S, Phase.SETTLED),
    ],
)
def test_the_phases_of_an_interval(now_s: int, phase: Phase) -> None:
    """An interval that begins now has not begun; one that ends now has ended."""
    # future ──1000 open 2000── ended ──+14 d── settled
    assert phase_of(1000, 2000, now_s) is phase


seconds = st.integers(0, 4000)
evidences = st.builds(
    Evidence,
    phase=st.sampled_from(Phase),
    expected_s=seconds,
    observed_s=seconds,
    reported_s=seconds,
    recovered_s=seconds,
    excluded_s=seconds,
    passages=st.booleans(),
    cut=st.booleans(),
    coarse=st.sampled_from([None, "1h", "1d"]),
    always_installed=st.booleans(),
)


@given(evidences)
def test_a_number_is_never_without_its_measurement(evidence: Evidence) -> None:
    """A count is given if and only if something was measured or recovered; where it is not, there is a reason."""
    answer: Answer = judge(evidence)

    counted = answer.state in {State.MEASURED, State.PARTIAL, State.RECOVERED}
    assert answer.counted is counted
    assert counted or answer.reason is not None or (answer.state is State.COARSE and evidence.coarse is None)
    if answer.counted and not evidence.passages:
        assert answer.coverage is not None
        assert answer.coverage >= 0
        assert min(evidence.observed_s, evidence.expected_s) > 0
    if answer.coverage is not None:
        assert 0 <= answer.coverage <= 1
        assert (answer.state is State.MEASURED) is (answer.coverage >= 0.98)


@given(evidences)
def test_nothing_is_final_before_its_end(evidence: Evidence) -> None:
    """What is still running or to come is not final."""
    assert not (judge(evidence).final and evidence.phase in {Phase.FUTURE, Phase.OPEN})
