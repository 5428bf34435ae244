"""Who is who from frame to frame: targets → tracks. Pure.

A sensor that follows people itself gives each target the number of its track: `follow`. One that does not, and hands
its targets out in any order, leaves that to us: `associate` gives each target to the track whose way on it fits best,
in such a way that all of them together fit best (the fewest and shortest jumps), and none farther than a gate.

A sensor loses whoever walks behind somebody else, and gives them another number when they come out again. So a number
that is new goes by the same rule to a track that was lost a moment ago, if there is one whose way on leads there.

Tracks are counted in frames and not in seconds: what a recording shows does not depend on how fast it is read.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from footfall_edge.geometry import Target

GATE_M: Final = 0.6
"""Metres between where somebody was expected and where somebody is seen, that are still the same person. At 10 frames
a second nobody walks so far between two of them."""
GATE_GROWTH_M: Final = 0.15
"""Metres by which the gate grows with each frame in which a track was not seen."""
WIDEST_GATE_M: Final = 2.0
"""Metres beyond which it does not grow."""
JUMP_M: Final = 1.5
"""Metres by which a track that the sensor numbers may be away from where it was expected. Beyond that somebody else has
got its number."""
MOST_MISSES: Final = 11
"""Frames in a row in which a track may be missing before it is given up: a second, at 11 a second."""
SMOOTHING: Final = 0.35
"""Share of the newest step in a track's velocity; the rest is what it was."""


@dataclass(frozen=True, slots=True)
class Track:
    """Somebody on their way."""

    id: int
    x: float
    y: float
    vx: float = 0.0
    """Metres a frame."""
    vy: float = 0.0
    number: int | None = None
    """What the sensor calls it now; None: nothing."""
    age: int = 1
    """Frames in which it was seen, those after a miss left out: false targets jump, and are found again by chance."""
    misses: int = 0
    """Frames since it was last seen."""

    @property
    def seen(self) -> bool:
        """Whether it was seen in the latest frame."""
        return self.misses == 0

    def expected(self) -> tuple[float, float]:
        """Where it should be in the next frame."""
        steps = self.misses + 1
        return self.x + self.vx * steps, self.y + self.vy * steps

    def moved(self, target: Target) -> "Track":
        """The track with `target` as its next point."""
        steps = self.misses + 1
        share = SMOOTHING if self.age > 1 else 1.0
        return Track(
            self.id,
            target.x,
            target.y,
            self.vx + share * ((target.x - self.x) / steps - self.vx),
            self.vy + share * ((target.y - self.y) / steps - self.vy),
            target.id,
            self.age + (self.misses == 0),
        )


def follow(
    tracks: Sequence[Track], targets: Sequence[Target], next_id: int, most_misses: int = MOST_MISSES
) -> tuple[tuple[Track, ...], int]:
    """The tracks after a frame of a sensor that numbers its tracks itself; and the next free id."""
    known = {track.number: track for track in tracks}
    found: dict[int | None, Track] = {}
    new: dict[int | None, Target] = {}
    for target in targets:
        if target.id in found or target.id in new:
            continue  # a frame that was spoilt
        before = known.get(target.id)
        if before is None or math.dist(before.expected(), (target.x, target.y)) > JUMP_M:
            new[target.id] = target
        else:
            found[target.id] = before.moved(target)
    if len(found) == len(tracks) and not new:
        return tuple(found.values()), next_id
    kept = {track.id for track in found.values()}
    # A number that somebody else has now is no longer that of whoever had it.
    lost = [replace(one, number=None) if one.number in new else one for one in tracks if one.id not in kept]
    again, next_id = associate(lost, tuple(new.values()), next_id, most_misses)
    return (*found.values(), *again), next_id


def associate(
    tracks: Sequence[Track], targets: Sequence[Target], next_id: int, most_misses: int = MOST_MISSES
) -> tuple[tuple[Track, ...], int]:
    """The tracks after a frame of a sensor that does not follow anybody; and the next free id."""
    chosen = _best(tracks, targets)
    found = []
    for number, target in enumerate(targets):
        if number in chosen:
            found.append(tracks[chosen[number]].moved(target))
        else:
            found.append(Track(next_id, target.x, target.y, number=target.id))
            next_id += 1
    taken = set(chosen.values())
    lost = [track for number, track in enumerate(tracks) if number not in taken]
    return (*found, *_missed(lost, most_misses)), next_id


def _missed(tracks: Sequence[Track], most: int) -> list[Track]:
    return [replace(track, misses=track.misses + 1) for track in tracks if track.misses < most]


def _best(tracks: Sequence[Track], targets: Sequence[Target]) -> dict[int, int]:
    """Target number → track number, so that the sum of squared distances is least; leaving one alone costs its gate."""
    gains: list[dict[int, float]] = []
    for target in targets:
        fits = {}
        for number, track in enumerate(tracks):
            x, y = track.expected()
            gate = min(WIDEST_GATE_M, GATE_M + GATE_GROWTH_M * track.misses)
            cost = (target.x - x) ** 2 + (target.y - y) ** 2
            if cost <= gate * gate:
                fits[number] = cost - gate * gate
        gains.append(fits)
    chosen = {number: min(fits, key=fits.__getitem__) for number, fits in enumerate(gains) if fits}
    # Mostly nobody is in anybody's way. Where somebody is, a crowd has more ways to share it out than can be tried.
    return chosen if len(set(chosen.values())) == len(chosen) else _shared_out(gains, len(tracks))


def _shared_out(gains: Sequence[Mapping[int, float]], tracks: int) -> dict[int, int]:
    """Target number → track number, so that the sum of `gains`, which are 0 or less, is least.

    The Hungarian method, one target after the other along the cheapest chain of exchanges. To each target belongs a
    track that nobody else can have, at 0: to be left alone.
    """
    holders: dict[int, int] = {}
    of_target = [0.0] * len(gains)
    of_track: dict[int, float] = {}
    for newcomer in range(len(gains)):
        target, track = newcomer, -1
        nearest: dict[int, float] = {}
        came_from: dict[int, int] = {}
        done: list[int] = []
        while True:
            options = {**gains[target], tracks + target: 0.0}
            for number, gain in options.items():
                slack = gain - of_target[target] - of_track.get(number, 0.0)
                if number not in done and slack < nearest.get(number, math.inf):
                    nearest[number], came_from[number] = slack, track
            following = min((number for number in nearest if number not in done), key=nearest.__getitem__)
            step = nearest[following]
            of_target[newcomer] += step
            for number in done:
                of_target[holders[number]] += step
                of_track[number] = of_track.get(number, 0.0) - step
            nearest = {number: slack if number in done else slack - step for number, slack in nearest.items()}
            track = following
            if track not in holders:
                break
            done.append(track)
            target = holders[track]
        while track >= 0:
            before = came_from[track]
            holders[track] = newcomer if before < 0 else holders[before]
            track = before
    return {target: track for track, target in holders.items() if track < tracks}
