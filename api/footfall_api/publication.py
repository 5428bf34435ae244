"""The publication rules: which counts are for everybody. They hold for every way that leads to counts.

- **Fineness.** The finest intervals for all time, and for the last hours finer ones.
- **Delay.** Counts are public so much later. Until then they are `withheld`.
- **Held back.** Stations, or times at them, whose counts are not public. They are `withheld`.
- **Small counts** where classes are told apart (see `small`).

What is withheld is a value without a number and with that reason, never an absence; and each rule has its reason in
words, which the description of the data repeats. The operator's token and `local` lift the rules of the API (`LIFTED`);
the doors that are made for others, such as SensorThings, dumps and the catalogue, are always the public's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.intervals import Resolution, interval_of
from footfall_api.question import Dimension, Question, TooFineError
from footfall_api.ranges import FAR_S, Range, common, merged
from footfall_api.remarks import FOREVER_S
from footfall_api.settings import ApiSettings, PublicationSettings
from footfall_api.stations import Station
from footfall_api.tally import Exclusions, Hidden

STANDARD: Final = (Resolution.QUARTER_HOUR, Resolution.HOUR, Resolution.DAY, Resolution.WEEK)
"""The intervals of the doors that offer fixed ones, as far as they are public."""

_GRACE_S: Final = 60
"""A question for exactly 24 hours takes a moment to arrive."""


@dataclass(frozen=True, slots=True)
class Words:
    """A reason in German and English."""

    de: str
    en: str


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Counts of some stations in [from_s, to_s) that are not public (UTC unix seconds; `FAR_S` for open ends)."""

    stations: tuple[str, ...]
    from_s: int
    to_s: int
    reason: Words


@dataclass(frozen=True, slots=True)
class Publication:
    """The rules. Times in seconds."""

    finest: Resolution = Resolution.MINUTE
    recent: Resolution = Resolution.MINUTE
    recent_s: int = 0
    delay_s: int = 0
    small_below: int = 0
    held_back: tuple[HeldBack, ...] = ()
    fineness_reason: Words = Words("", "")
    delay_reason: Words = Words("", "")
    small_reason: Words = Words("", "")

    @property
    def standard(self) -> tuple[Resolution, ...]:
        """The intervals of the doors that offer fixed ones."""
        return tuple(resolution for resolution in STANDARD if resolution.longest_s >= self.finest.longest_s)

    @property
    def has_minutes(self) -> bool:
        """Whether the minutes of the last hour are public."""
        return (self.recent if self.recent_s else self.finest) is Resolution.MINUTE

    def known_s(self, now_s: int) -> int:
        """Up to when counts are public at `now_s` (UTC unix seconds).

        Where there is a delay or nothing as fine as a minute is public, that is the end of an interval: to watch a
        running one grow would tell more than is public.
        """
        recent = self.recent if self.recent_s else self.finest
        if recent is Resolution.MINUTE and not self.delay_s:
            return now_s
        return (now_s - self.delay_s) // recent.longest_s * recent.longest_s

    def hidden(self, stations: Sequence[Station], excluded: Exclusions, now_s: int) -> Hidden:
        """What nobody is given of these stations at `now_s`: beside what is `excluded` what is not public."""
        known_s = self.known_s(now_s)
        unread = {key: list(ranges) for key, ranges in excluded.items()}
        withheld: dict[tuple[str, int], list[Range]] = {}
        for station in stations:
            closed = self.ranges(station.id)
            if known_s < now_s:
                closed = merged([*closed, (known_s, FOREVER_S)])
            for installation in station.installations:
                stretch = installation.overlap(-FAR_S, FAR_S)
                found = common(closed, [stretch]) if stretch[0] < stretch[1] else []
                if found:
                    key = (station.id, installation.sensor_key)
                    unread[key] = merged([*unread.get(key, ()), *found])
                    # What is to come is not withheld, it is to come.
                    withheld[key] = merged([*withheld.get(key, ()), *common(found, [(-FAR_S, now_s)])])
        return Hidden(unread, withheld, self.small_below)

    def ranges(self, station: str) -> list[Range]:
        """The times of a station that are held back, merged and in order (UTC unix seconds)."""
        return merged((rule.from_s, rule.to_s) for rule in self.held_back if station in rule.stations)

    def check(self, question: Question, zones: Collection[ZoneInfo], now: datetime) -> None:
        """Refuse what is finer than what is public; `zones` are those of the stations asked about.

        Raises:
            TooFineError: it names the limit and what would be right.
        """
        self.check_resolution(question.resolution, question.from_s, question.zone, now)
        if self.finest.longest_s > Resolution.QUARTER_HOUR.longest_s and question.zone not in zones:
            own = ", ".join(sorted({zone.key for zone in zones}))
            raise TooFineError(
                "tz",
                f"counts are public by {self.finest} of the stations' own clocks ({own}) only: by the clocks of "
                "another zone they could be divided further; leave tz out, or send the operator's token",
            )
        if self.small_below > 1 and question.split >= {Dimension.CLASS, Dimension.SENSOR}:
            raise TooFineError(
                "split",
                "class and sensor together are not public here, because small counts of classes are not; split by one "
                "of them, or send the operator's token",
            )

    def check_resolution(self, resolution: Resolution, from_s: int, zone: ZoneInfo, now: datetime) -> None:
        """Refuse intervals that are finer than what is public of the time from `from_s` (UTC unix seconds) on.

        Raises:
            TooFineError: it names the limit and what would be right.
        """
        if resolution.longest_s >= self.finest.longest_s:
            return
        if not self.recent_s or resolution.longest_s < self.recent.longest_s:
            instead = f"{self.recent} of the last {_hours(self.recent_s)}, or " if self.recent_s else ""
            raise TooFineError(
                "resolution",
                f"counts by {resolution} are not public; ask for {instead}{self.finest} or coarser, or send the "
                "operator's token",
            )
        oldest_s = int(now.timestamp()) - self.recent_s - _GRACE_S
        if from_s < interval_of(resolution, oldest_s, zone)[0]:
            oldest = datetime.fromtimestamp(oldest_s, zone).isoformat()
            raise TooFineError(
                "resolution",
                f"counts by {resolution} are public for the last {_hours(self.recent_s)} only (since {oldest}); before "
                f"that ask for {self.finest} or coarser, or send the operator's token",
            )


LIFTED: Final = Publication()
"""No rule at all."""


def _hours(seconds: int) -> str:
    return f"{seconds // 3600} hours" if seconds != 3600 else "hour"


def publication_of(settings: PublicationSettings) -> Publication:
    """The rules that are configured."""
    return Publication(
        settings.finest,
        settings.recent,
        settings.recent_hours * 3600,
        settings.delay_minutes * 60,
        settings.small_below if settings.small_below > 1 else 0,
        tuple(
            HeldBack(
                rule.stations,
                -FAR_S if rule.from_ is None else int(rule.from_.timestamp()),
                FAR_S if rule.to is None else int(rule.to.timestamp()),
                _words(rule.reason, rule.reason_en),
            )
            for rule in settings.held_back
        ),
        _words(settings.fineness_reason, settings.fineness_reason_en),
        _words(settings.delay_reason, settings.delay_reason_en),
        _words(settings.small_reason, settings.small_reason_en),
    )


def rules_of_doors(settings: ApiSettings) -> Publication:
    """The rules for everybody: no token lifts them, `local` does."""
    return LIFTED if settings.public.local else publication_of(settings.publication)


def _words(de: str, en: str) -> Words:
    return Words(de, en or de)


def unknown_stations(rules: Publication, known: Collection[str]) -> Mapping[str, HeldBack]:
    """The names in the rules that are no station's: what they were to hold back is public."""
    return {name: rule for rule in rules.held_back for name in rule.stations if name not in known}
