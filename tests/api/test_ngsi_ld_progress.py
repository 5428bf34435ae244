"""How far a push has come: nothing is left out or sent twice without need, and the newest comes last."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st

from footfall_api.answers import Answer, State
from footfall_api.intervals import Resolution
from footfall_api.ngsi_ld.progress import (
    Place,
    Progress,
    ProgressError,
    digest_of,
    is_correction,
    locked,
    settled,
    taken,
    wanted,
)
from footfall_api.published import GRACE_S, Published
from footfall_api.stations import Station

STEP = 900
STATION = Station("markt", "Markt", ZoneInfo("UTC"), 11.5, 50.9, None, (), ())
TARGET = {"url": "http://broker.example", "tenant": "", "city": "Jena"}


def interval(number: int, count: int = 1, *, final: bool = True) -> Published:
    """The interval of a number, from 0."""
    answer = Answer(State.MEASURED if final else State.PARTIAL, None, 1.0, counted=True, final=final)
    return Published(STATION, Resolution.QUARTER_HOUR, number * STEP, (number + 1) * STEP, {"in": count}, answer)


def numbers(found: list[Published]) -> list[int]:
    return [one.start_s // STEP for one in found]


def test_new_intervals_go_in_order() -> None:
    """Those after the place, all of them where there is none."""
    published = [interval(n) for n in range(4)]

    assert numbers(wanted(None, published, 4 * STEP)) == [0, 1, 2, 3]
    assert numbers(wanted(Place(2 * STEP, 2 * STEP), published, 4 * STEP)) == [2, 3]
    assert wanted(Place(4 * STEP, 4 * STEP), published, 4 * STEP) == []


def test_one_that_is_not_whole_waits_and_all_after_it() -> None:
    """90 seconds for its reports; then as it is."""
    published = [interval(0), interval(1, final=False), interval(2)]

    assert numbers(wanted(None, published, 2 * STEP + GRACE_S - 1)) == [0]
    assert numbers(wanted(None, published, 2 * STEP + GRACE_S)) == [0, 1, 2]


def test_a_correction_is_followed_by_the_newest() -> None:
    """What was not final and has changed; what was final is not looked at; the newest is shown again."""
    place: Place | None = None
    before = [interval(0), interval(1, 5, final=False), interval(2, 6, final=False), interval(3)]
    for one in before:
        place = taken(place, one, 0)
    assert place is not None
    after = [interval(0, 99), interval(1, 7), interval(2, 6, final=False), interval(3)]

    found = wanted(place, after, 9 * STEP)

    assert numbers(found) == [1, 3]
    assert [is_correction(place, one) for one in found] == [True, False]
    between = taken(place, found[0], 0)
    assert (between.until_s, between.shown_s) == (4 * STEP, 2 * STEP)
    assert numbers(wanted(between, after, 9 * STEP)) == [3]


def test_a_correction_before_something_new_needs_no_more() -> None:
    """What is new is shown after it anyway."""
    place = taken(None, interval(0, 1, final=False), 0)
    place = taken(place, interval(1), 0)

    assert numbers(wanted(place, [interval(0, 2), interval(1), interval(2)], 9 * STEP)) == [0, 2]


def test_the_newest_is_shown_again_if_it_is_not_known_what_is() -> None:
    """After a correction that was the last thing a process did."""
    place = Place(3 * STEP, None)

    assert numbers(wanted(place, [interval(n) for n in range(3)], 9 * STEP)) == [2]
    assert numbers(wanted(replace(place, shown_s=3 * STEP), [interval(n) for n in range(3)], 9 * STEP)) == []


def test_what_is_final_or_old_is_forgotten() -> None:
    """Only what may still change, and not too long ago, is looked at again."""
    place = taken(None, interval(0, final=False), 0)
    place = taken(place, interval(1, final=False), 0)
    place = taken(place, interval(2, final=False), 0)
    # In short: 0 is too old, 1 is final as it was sent, 2 is final and has changed.
    became_final = [replace(interval(n), answer=replace(interval(n, final=False).answer, final=True)) for n in (0, 1)]

    assert set(settled(place, [*became_final, interval(2, 9)], STEP).open) == {2 * STEP}
    assert taken(place, interval(3, final=False), 99 * STEP).open == {}


@dataclass
class World:
    """Intervals of one station, what the broker has, and the place in the file."""

    counts: list[int] = field(default_factory=list)
    final: list[bool] = field(default_factory=list)
    place: Place | None = None
    sent: list[tuple[int, str]] = field(default_factory=list)
    """Start and digest of each interval that the broker took."""

    def published(self) -> list[Published]:
        return [
            interval(n, count, final=final)
            for n, (count, final) in enumerate(zip(self.counts, self.final, strict=True))
        ]

    def round(self, crash_after: int | None = None, *, noted: bool = True) -> None:
        """Send what is wanted. The process ends after so many; the last of these may be noted or not."""
        for number, one in enumerate(wanted(self.place, self.published(), 10**9)):
            if crash_after == number:
                return
            if is_correction(self.place, one):
                assert self.place is not None
                self.place = replace(self.place, shown_s=None)
            self.sent.append((one.start_s, digest_of(one)))
            if crash_after == number + 1 and not noted:
                return
            self.place = taken(self.place, one, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("late"), st.integers(0, 40), st.booleans()),
        st.tuples(st.just("round"), st.none() | st.integers(0, 4), st.booleans()),
    ),
    max_size=30,
)


@hypothesis.given(STEPS)
@hypothesis.settings(max_examples=500)
def test_however_it_is_ended_the_broker_has_everything_in_the_end(steps: list[tuple[str, int | None, bool]]) -> None:
    """Intervals end, reports come late, processes die before, between and after: one more round puts all right.

    Each interval is there and for the first time in order, with its last value, and the newest is what came last. A
    round after that sends nothing.
    """
    world = World()
    for what, number, flag in steps:
        if what == "new":
            world.counts.append(number or 0)
            world.final.append(flag)
        elif what == "late":
            open_ones = [n for n, final in enumerate(world.final) if not final]
            if open_ones:
                chosen = open_ones[(number or 0) % len(open_ones)]
                world.counts[chosen] += 1
                world.final[chosen] = flag
        else:
            world.round(number, noted=flag)
    world.round()

    first = list(dict.fromkeys(start for start, _ in world.sent))
    assert first == [one.start_s for one in world.published()]
    assert dict(world.sent) == {one.start_s: digest_of(one) for one in world.published()}
    if first:
        assert world.sent[-1][0] == first[-1]
    many = len(world.sent)
    world.round()
    assert len(world.sent) == many


@hypothesis.given(STEPS)
def test_without_a_fault_nothing_is_sent_twice(steps: list[tuple[str, int | None, bool]]) -> None:
    """An interval comes again only with another value, or because the newest is shown after a correction."""
    world = World()
    for what, number, flag in steps:
        if what == "new":
            world.counts.append(number or 0)
            world.final.append(flag)
        elif what == "late":
            for n, final in enumerate(world.final):
                if not final and n == number:
                    world.counts[n] += 1
        else:
            world.round()
    corrections, seen = 0, dict[int, str]()
    newest = -1
    for start, digest in world.sent:
        if start < newest:
            corrections += 1
        if seen.get(start) == digest:
            assert start == newest, "only the newest is shown again"
            corrections -= 1
        seen[start] = digest
        newest = max(newest, start)
    assert corrections >= 0


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """By another process; it can be read by people."""
    path = tmp_path / "push.json"
    place = Place(2 * STEP, None, {STEP: "abc"})
    Progress(path, TARGET).update({("markt", "15min"): place})

    assert Progress(path, TARGET).get(("markt", "15min")) == place
    assert Progress(path, TARGET).get(("markt", "1h")) is None
    assert json.loads(path.read_text())["places"][0]["until"] == "1970-01-01T00:30:00Z"
    assert [found.name for found in tmp_path.iterdir()] == ["push.json"]


def test_a_file_that_was_half_written_is_never_read(tmp_path: Path) -> None:
    """What a crash leaves beside it changes nothing."""
    path = tmp_path / "push.json"
    progress = Progress(path, TARGET)
    progress.update({("markt", "15min"): Place(STEP, STEP)})
    (tmp_path / "push.json.new").write_text('{"version": 1, "tar')

    again = Progress(path, TARGET)
    again.update({("markt", "15min"): Place(2 * STEP, 2 * STEP)})

    assert Progress(path, TARGET).get(("markt", "15min")) == Place(2 * STEP, 2 * STEP)


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    """A round in which nothing happens does not touch the disk."""
    path = tmp_path / "push.json"
    progress = Progress(path, TARGET)
    progress.update({("markt", "15min"): Place(STEP, STEP)})
    path.unlink()

    progress.update({("markt", "15min"): Place(STEP, STEP)})

    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a file of a push"),
        ("[]", "not a file of a push"),
        ('{"version": 1, "target": {}, "places": [{}]}', "not a file of a push"),
        (json.dumps({"version": 1, "target": TARGET, "places": [
            {"station": "a", "resolution": "1h", "until": "2026-06-10T12:00:00", "shown": None, "open": {}}]}),
         "has no offset"),
        (json.dumps({"version": 2, "target": TARGET, "places": []}), "of version 2"),
        (json.dumps({"version": 1, "target": {**TARGET, "tenant": "other"}, "places": []}), "tenant other"),
        ("\udcff", "cannot be read"),
    ],
)  # fmt: skip
def test_another_file_is_refused_and_kept(tmp_path: Path, content: str, message: str) -> None:
    """With its name and what would be right; nothing is written over it."""
    path = tmp_path / "push.json"
    path.write_text(content, "utf-8", errors="surrogateescape")
    before = path.read_bytes()

    with pytest.raises(ProgressError, match=message) as refused:
        Progress(path, TARGET)

    assert str(path) in str(refused.value)
    assert path.read_bytes() == before


def test_two_do_not_push_with_one_file(tmp_path: Path) -> None:
    """The second says so; after the first has left it may."""
    path = tmp_path / "push.json"
    with locked(path), pytest.raises(ProgressError, match="another process"), locked(path):
        pass
    with locked(path):
        pass


def test_a_digest_stands_for_all_that_is_sent() -> None:
    """Numbers by direction, coverage, state, reason; numbers that may not be given make no difference."""
    answer = Answer(State.PARTIAL, "silent", 0.5, counted=True, final=False)
    one = replace(interval(0), answer=answer)
    none = replace(one, answer=replace(answer, counted=False))
    others: list[Mapping[str, object]] = [
        {"passages": {"out": 1}}, {"passages": {"in": 2}}, {"answer": replace(answer, coverage=0.6)},
        {"answer": replace(answer, state=State.MEASURED)}, {"answer": replace(answer, reason=None)},
        {"answer": replace(answer, counted=False)},
    ]  # fmt: skip

    assert len({digest_of(one), *(digest_of(replace(one, **changed)) for changed in others)}) == 7  # type: ignore[arg-type]
    assert digest_of(none) == digest_of(replace(none, passages={"in": 77}))
    assert digest_of(one) == digest_of(replace(one, answer=replace(answer, final=True)))
