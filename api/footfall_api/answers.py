"""The rule that turns what is known of an interval into an answer: how many, how well measured, and if not, why not.

A count is never given without its state. 0 means that the time was measured and nobody came; no count means that it was
not measured. Pure: no database, no clock (the caller says in which `Phase` the interval is).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MEASURED_PERCENT: Final = 98
"""Coverage in per cent from which an interval counts as measured."""

SETTLED_AFTER_S: Final = 14 * 86_400
"""Seconds after its end from which an interval is final even with gaps: an edge box keeps its reports that long."""

_COVERAGE_STEPS: Final = 10_000
"""Coverage is cut, not rounded, to four digits: 0.97996 must not read as 0.98, which would be `measured`."""


class State(StrEnum):
    """How good a count is."""

    MEASURED = "measured"
    PARTIAL = "partial"
    MISSING = "missing"
    COARSE = "coarse"
    RECOVERED = "recovered"


class Reason(StrEnum):
    """Why a time was not measured. With the state `coarse` a resolution stands in its place."""

    SILENT = "silent"
    NOT_REPORTED = "not_reported"
    NOT_INSTALLED = "not_installed"
    EXCLUDED = "excluded"
    FUTURE = "future"
    WITHHELD = "withheld"
    """It may have been measured, and is not public."""


class Phase(StrEnum):
    """Where an interval lies as seen from now."""

    FUTURE = "future"
    OPEN = "open"
    ENDED = "ended"
    SETTLED = "settled"


def phase_of(start_s: int, end_s: int, now_s: int) -> Phase:
    """The phase of an interval; all in UTC unix seconds."""
    if start_s >= now_s:
        return Phase.FUTURE
    if end_s > now_s:
        return Phase.OPEN
    return Phase.SETTLED if end_s + SETTLED_AFTER_S <= now_s else Phase.ENDED


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the database knows of one interval, summed over the sensors in question. Times in seconds."""

    phase: Phase
    expected_s: int
    """Installed time of all sensors up to now."""
    observed_s: int = 0
    """Of that, really measured."""
    reported_s: int = 0
    """Time about which anything was reported, were it that the sensor was silent."""
    recovered_s: int = 0
    """Unmeasured time of which the number of passages is known all the same, from a running total."""
    excluded_s: int = 0
    """Installed time without a number that is to be believed, because somebody excluded it."""
    withheld_s: int = 0
    """Installed time without a number that is public; of an interval that has not begun for the public, too."""
    passages: bool = False
    """Whether any passages were counted, whatever their direction and class."""
    always_installed: bool = True
    """False: for a part of the interval no sensor was installed."""
    cut: bool = False
    """A longer count overlaps the interval without lying inside it."""
    coarse: str | None = None
    """The finest resolution whose interval holds all of that longer count."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What leaves the API about one interval, but for the number itself.

    `counted`: the number that there is may be given; where it is not, nothing was measured. `coverage` is 0 to 1, or
    None where there was nothing to measure with; `reason` is a `Reason` word or, with `coarse`, a resolution.
    """

    state: State
    reason: str | None
    coverage: float | None
    counted: bool
    final: bool


def judge(evidence: Evidence) -> Answer:
    """The answer that the evidence allows."""
    expected_s, observed_s = evidence.expected_s, min(evidence.observed_s, evidence.expected_s)
    if evidence.phase is Phase.FUTURE:
        reason = Reason.WITHHELD if evidence.withheld_s else Reason.FUTURE
        return Answer(State.MISSING, reason, None, counted=False, final=False)
    final = evidence.phase is Phase.SETTLED or (evidence.phase is Phase.ENDED and observed_s >= expected_s)
    if expected_s == 0:
        return Answer(State.MISSING, Reason.NOT_INSTALLED, None, counted=False, final=final)
    state, why = _state(evidence, observed_s)
    if state is State.MISSING and why == Reason.WITHHELD:
        return Answer(state, why, None, counted=False, final=False)
    counted = state not in {State.MISSING, State.COARSE}
    coverage = observed_s * _COVERAGE_STEPS // expected_s / _COVERAGE_STEPS
    return Answer(state, why, coverage, counted, final)


def withheld(answer: Answer) -> Answer:
    """What is said instead of an answer that is not public; one without a number hides nothing and stays."""
    if not answer.counted:
        return answer
    return Answer(State.MISSING, Reason.WITHHELD, None, counted=False, final=False)


def _state(evidence: Evidence, observed_s: int) -> tuple[State, str | None]:
    if observed_s == 0:
        return _unmeasured(evidence)
    if _enough(observed_s, evidence.expected_s):
        return State.MEASURED, None if evidence.always_installed else Reason.NOT_INSTALLED
    if evidence.recovered_s and _enough(observed_s + evidence.recovered_s, evidence.expected_s):
        return State.RECOVERED, None
    lost_s = {
        Reason.WITHHELD: evidence.withheld_s,
        Reason.EXCLUDED: evidence.excluded_s,
        Reason.SILENT: evidence.reported_s - observed_s,
        Reason.NOT_REPORTED: evidence.expected_s - evidence.reported_s - evidence.excluded_s - evidence.withheld_s,
    }
    return State.PARTIAL, max(lost_s, key=lambda reason: lost_s[reason])  # of equals the first


def _unmeasured(evidence: Evidence) -> tuple[State, str | None]:
    if evidence.passages:
        return State.RECOVERED, None
    if evidence.cut:
        return State.COARSE, evidence.coarse
    if (evidence.excluded_s + evidence.withheld_s) * 2 >= evidence.expected_s:
        is_withheld = evidence.withheld_s >= evidence.excluded_s
        return State.MISSING, Reason.WITHHELD if is_withheld else Reason.EXCLUDED
    return State.MISSING, Reason.SILENT if evidence.reported_s else Reason.NOT_REPORTED


def _enough(part_s: int, whole_s: int) -> bool:
    return part_s * 100 >= whole_s * MEASURED_PERCENT
