"""``footfall-api push ngsi-ld``: send each interval that is over and public to a context broker.

Read what is due, send it in batches, note what was taken, wait, again. Everything is read anew each time, so a fault
needs no more than another round: the place in the file (`progress`) says where to go on.

- Of an entity the intervals go one after another in order of time, and a batch has each entity once: the newest value
  is what the broker holds in the end, whatever it does with doubles. What one entity is refused holds up no other.
- An interval is sent when it is whole, or 90 seconds after its end. What was not final then is looked at again, and
  sent again if it has changed, with the newest interval after it.
- Batches go as ``upsert?options=update``, which leaves alone what others have added to the entity. That would also
  leave an old ``peopleCount`` under a new date where there is no number any more. So what lacks an attribute that the
  broker may have is sent without the option, which replaces the entity; and so is the first of each entity after a
  start or a fault, when it is not known what the broker has.
"""

import argparse
import asyncio
import logging
import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic, time
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg

from footfall_api.answers import SETTLED_AFTER_S
from footfall_api.asked import Places, read_places
from footfall_api.database import new_pool, snapshot
from footfall_api.intervals import Resolution, edges_from, interval_of
from footfall_api.ngsi_ld.broker import Broker, HttpBroker, Outcome, RefusedError, UnreachableError
from footfall_api.ngsi_ld.entity import CONTEXT_PATH, About, Entity, about, attributes_of, entity, entity_id
from footfall_api.ngsi_ld.progress import (
    Key,
    Place,
    Progress,
    is_correction,
    locked,
    settled,
    taken,
    wanted,
)
from footfall_api.publication import STANDARD, Publication, rules_of_doors
from footfall_api.published import Published, by_zone, check_standard, last_ended, read_published
from footfall_api.question import QuestionError
from footfall_api.sending import PushMetrics, add_port, serve
from footfall_api.settings import ApiSettings
from footfall_api.times import EARLIEST, LATEST
from footfall_role import extras
from footfall_role.logs import facts
from footfall_role.settings import SettingsError, secret_variable
from footfall_role.stop import StopSignal

log = logging.getLogger(__name__)

TOKEN_VARIABLE: Final = "FOOTFALL_PUSH_TOKEN"  # noqa: S105  # the name of a variable

PIECE_INTERVALS: Final = 500
"""Intervals of each station that are read at a time."""

CORRECTIONS_EVERY_S: Final = 600.0
"""How often intervals that were not final are looked at again: a fortnight of them takes a moment to read."""

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
"""The wait after a fault doubles from the first to the second."""

_OUTCOMES: Final = {UnreachableError: "unreachable", RefusedError: "refused"}
"""What the metrics call a round that ended so; any other fault is the database's."""

_LARGEST_BATCH: Final = 1000
"""A widespread broker takes no more entities at a time."""


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", config: argparse.ArgumentParser
) -> None:
    """Add the command ``push`` and what it can push to."""
    push = commands.add_parser("push", help="send what is public to somebody else's server")
    parser = push.add_subparsers(dest="target", required=True).add_parser(
        "ngsi-ld",
        parents=[config],
        help="to a context broker, as CrowdFlowObserved",
        description="Send each interval that is over and public to an NGSI-LD context broker, for ever, and go on "
        f"where it was left. A token for the broker is taken from the variable {TOKEN_VARIABLE}, or from the file that "
        f"{TOKEN_VARIABLE}_FILE names.",
    )
    parser.add_argument("--url", required=True, type=_url, help="address of the broker, without /ngsi-ld/v1")
    parser.add_argument(
        "--state", required=True, type=Path, metavar="FILE", help="where to keep how far it has come; it is made"
    )
    parser.add_argument(
        "--resolution", action="append", type=Resolution, choices=STANDARD, metavar="LENGTH",
        help=f"length of the intervals: {', '.join(STANDARD)}, as far as they are public; may be given several times. "
        "Default: 15min, or the finest that is",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="from_", type=_moment, metavar="TIME",
        help="with an offset; where to begin with a station of which nothing was sent yet. Default: its last interval",
    )  # fmt: skip
    parser.add_argument("--once", action="store_true", help="send what there is and leave; status 1 if not all of it")
    parser.add_argument("--every", type=_seconds, default=60.0, metavar="S", help="seconds between rounds; %(default)g")
    parser.add_argument(
        "--batch", type=_batch, default=100, metavar="N", help=f"entities at a time, at most {_LARGEST_BATCH}; 100"
    )
    parser.add_argument(
        "--corrections", type=_hours, default=SETTLED_AFTER_S // 3600, metavar="HOURS",
        help="how long intervals that were not final are sent again when they change; 0: never. Default: %(default)d",
    )  # fmt: skip
    parser.add_argument("--tenant", type=_header_value, help="sent as NGSILD-Tenant")
    parser.add_argument(
        "--header", action="append", type=_header, default=[], metavar="'NAME: VALUE'",
        help="sent with each batch; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--token-header", type=_header_name, default="Authorization", metavar="NAME",
        help="header of the token: as 'Bearer …' in Authorization, which is the default, alone in any other",
    )  # fmt: skip
    parser.add_argument(
        "--context", action="append", default=[], type=_url, metavar="URL",
        help="@context of the entities instead of ours, which is under public_url, and that of the Smart Data Models; "
        "may be given several times",
    )  # fmt: skip
    add_port(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, settings: ApiSettings) -> int:
    """Push until asked to stop, or once; the exit status.

    Raises:
        SettingsError: the settings do not allow it; a sentence says what would be right.
        ProgressError: the file with the progress cannot be used.
        OSError: the same, in the system's words.
    """
    extras.require("api", ["urllib3"])
    rules = rules_of_doors(settings)
    base = settings.http.public_url
    if not base and not options.context:
        raise SettingsError(
            f"the broker must be able to read our terms at {CONTEXT_PATH}: set public_url in [http], or say with "
            "--context where they are"
        )
    resolutions = options.resolution or rules.standard[:1]
    for resolution in resolutions:
        try:
            check_standard(rules, resolution)
        except QuestionError as error:
            raise SettingsError(f"--resolution: {error}") from error
    headers, secrets = headers_of(options, secret_variable(TOKEN_VARIABLE))
    broker = HttpBroker(options.url, headers, secrets)
    job = Job(
        tuple(dict.fromkeys(resolutions)),
        about(settings, base, options.context),
        None if options.from_ is None else int(options.from_.timestamp()),
        options.batch,
        options.corrections * 3600,
    )
    with locked(options.state), asyncio.Runner() as loop, StopSignal() as stop:
        progress = Progress(options.state, target_of(options, job.about))
        source = Source(settings, rules, loop)
        pusher = Pusher(broker, progress, source, job)
        serve(options, settings.metrics, "push", pusher.metrics.registry)
        return push(pusher, stop, every_s=options.every, once=options.once)


def headers_of(options: argparse.Namespace, token: str) -> tuple[dict[str, str], list[str]]:
    """The headers that are sent, and what of them must be in no message."""
    headers = dict(options.header)
    if options.tenant:
        headers["NGSILD-Tenant"] = options.tenant
    if token:
        is_bearer = options.token_header.lower() == "authorization"
        headers[options.token_header] = f"Bearer {token}" if is_bearer else token
    return headers, [token, *(value for _, value in options.header)]


def target_of(options: argparse.Namespace, about: About) -> dict[str, str]:
    """What a file with the progress is of: another broker, tenant or city has nothing of what this one has."""
    return {"url": options.url.rstrip("/"), "tenant": options.tenant or "", "city": about.city}


@dataclass(frozen=True, slots=True)
class Job:
    """What is pushed, and how."""

    resolutions: tuple[Resolution, ...]
    about: About
    from_s: int | None
    """Where a station of which nothing was sent yet begins (UTC unix seconds); None: with its last interval."""
    batch: int
    corrections_s: int
    """How long after its start an interval that was not final is sent again when it changes."""


class Source:
    """The database, as everybody may see it. A connection is made for each round: none is kept, none grows stale."""

    def __init__(self, settings: ApiSettings, rules: Publication, loop: asyncio.Runner) -> None:
        self._settings = settings.database
        self._loop = loop
        self.rules = rules

    def places(self) -> Places:
        """All stations.

        Raises:
            psycopg.Error: the database cannot be asked.
        """

        async def read() -> Places:
            async with new_pool(self._settings) as pool, snapshot(pool) as connection:
                return await read_places(connection, (), ())

        return self._loop.run(read())

    def read(
        self, places: Places, resolution: Resolution, edges_s: Sequence[int], now_s: int
    ) -> dict[str, list[Published]]:
        """By station the intervals between the edges, in order of time.

        Raises:
            psycopg.Error: the database cannot be asked.
        """

        async def read() -> list[Published]:
            async with new_pool(self._settings) as pool, snapshot(pool) as connection:
                return await read_published(connection, places, resolution, edges_s, self.rules, now_s)

        found: dict[str, list[Published]] = {}
        for one in self._loop.run(read()):
            found.setdefault(one.station.id, []).append(one)
        return found


class Pusher:
    """Sends what is due. `round` does it once; whatever goes wrong, the next one goes on where this one came to."""

    def __init__(self, broker: Broker, progress: Progress, source: Source, job: Job) -> None:
        self._broker = broker
        self._progress = progress
        self._source = source
        self._job = job
        self.metrics = PushMetrics()
        self._has: dict[str, frozenset[str]] = {}
        """By entity the attributes that the broker has of it; absent: not known."""

    def round(self, now_s: int, *, corrections: bool, stop: Callable[[], bool] = lambda: False) -> Mapping[str, str]:
        """Send all that is due at `now_s` (UTC unix seconds), with `corrections` also what has changed since.

        Ends early when `stop` says so. Returns the ids of entities that were refused, each with the broker's words.

        Raises:
            UnreachableError, RefusedError: the broker took no batch.
            psycopg.Error: the database cannot be asked.
            OSError: the progress cannot be written.
        """
        refused: dict[str, str] = {}
        for zone, places in by_zone(self._source.places()):
            for resolution in self._job.resolutions:
                for edges_s in self._pieces(places, resolution, zone, now_s, corrections=corrections):
                    found = self._source.read(places, resolution, edges_s, now_s)
                    self._send_all(found, resolution, now_s, refused, stop)
                    if stop():
                        return refused
        return refused

    def _pieces(
        self, places: Places, resolution: Resolution, zone: ZoneInfo, now_s: int, *, corrections: bool
    ) -> Iterator[list[int]]:
        """The edges of all that may be due, in pieces."""
        start_s, end_s = last_ended(self._source.rules, resolution, zone, now_s)
        begins = [
            self._begin_s(self._progress.get((station.id, resolution)), start_s, resolution, zone, corrections)
            for station in places.stations
        ]
        piece: list[int] = []
        for edge in edges_from(resolution, min(begins, default=end_s), zone):
            piece.append(edge)
            if len(piece) > PIECE_INTERVALS or edge >= end_s:
                if len(piece) > 1 and edge <= end_s:
                    yield piece
                piece = [edge]
            if edge >= end_s:
                return

    def _begin_s(
        self, place: Place | None, last_s: int, resolution: Resolution, zone: ZoneInfo, corrections: bool
    ) -> int:
        """From when on a station's intervals have to be looked at; `last_s` is the start of the newest one."""
        if place is None:
            return last_s if self._job.from_s is None else min(last_s, self._job.from_s)
        looked = min(place.open, default=None) if corrections else None
        if looked is None and place.shown_s == place.until_s:
            return place.until_s
        newest_s = interval_of(resolution, place.until_s - 1, zone)[0]
        return newest_s if looked is None else min(looked, newest_s)

    def _send_all(
        self,
        found: Mapping[str, Sequence[Published]],
        resolution: Resolution,
        now_s: int,
        refused: dict[str, str],
        stop: Callable[[], bool],
    ) -> None:
        """Send what is due of some intervals: of each station the first, then of each the second, and so on."""
        oldest_s = now_s - self._job.corrections_s
        queues: dict[Key, deque[Published]] = {}
        calm: dict[Key, Place] = {}
        for station, published in found.items():
            key = (station, str(resolution))
            place = self._progress.get(key)
            if place is not None:
                calm[key] = settled(place, published, oldest_s)
            if due := wanted(place, published, now_s):
                queues[key] = deque(due)
        self._progress.update(calm)
        while queues and not stop():
            # What comes after something that was refused waits for it, else it would be left out.
            heads = {key: queue.popleft() for key, queue in queues.items() if self._name(key) not in refused}
            queues = {key: queue for key, queue in queues.items() if queue and key in heads}
            for batch in _batches(heads, self._job.batch):
                refused |= self._send(batch, oldest_s)

    def _name(self, key: Key) -> str:
        return entity_id(self._job.about.city, key[0], Resolution(key[1]))

    def _send(self, batch: Mapping[Key, Published], oldest_s: int) -> Mapping[str, str]:
        """Send one interval of each of some entities, note what was taken, and return what was refused."""
        self._progress.update(
            {
                key: replace(place, shown_s=None)
                for key, one in batch.items()
                if (place := self._progress.get(key)) is not None and is_correction(place, one)
            }
        )
        written = {key: entity(one, self._job.about) for key, one in batch.items()}
        known = {key for key, one in written.items() if self._may_update(one)}
        refused: dict[str, str] = {}
        for update, keys in ((False, written.keys() - known), (True, known)):
            entities = [one for key, one in written.items() if key in keys]
            if not entities:
                continue
            outcome = self._upsert(entities, update=update)
            self._progress.update(
                {
                    key: taken(self._progress.get(key), batch[key], oldest_s)
                    for key in keys
                    if written[key]["id"] in outcome.taken
                }
            )
            refused |= outcome.refused
        return refused

    def _may_update(self, entity: Entity) -> bool:
        """Whether nothing of what the broker has of it would be left behind."""
        has = self._has.get(entity["id"])
        return has is not None and has <= attributes_of(entity)

    def _upsert(self, entities: Sequence[Entity], *, update: bool) -> Outcome:
        for one in entities:
            self._has.pop(one["id"], None)  # not known until there is an answer
        outcome = self._broker.upsert(entities, update=update)
        self.metrics.sent(len(outcome.taken), len(outcome.refused))
        self._has |= {one["id"]: attributes_of(one) for one in entities if one["id"] in outcome.taken}
        for name, words in outcome.refused.items():
            log.error("the broker refused an entity", extra=facts(entity=name, words=words))
        log.info("sent", extra=facts(entities=len(outcome.taken), refused=len(outcome.refused), whole=not update))
        return outcome


def _batches(heads: Mapping[Key, Published], size: int) -> Iterator[dict[Key, Published]]:
    keys = list(heads)
    for start in range(0, len(keys), size):
        yield {key: heads[key] for key in keys[start : start + size]}


def push(pusher: Pusher, stop: StopSignal, *, every_s: float, once: bool) -> int:
    """Do round after round until asked to stop, or one; the exit status: 1 if `once` and not all of it was taken.

    Raises:
        OSError: the progress cannot be written.
    """
    faults = 0
    looked_s = -CORRECTIONS_EVERY_S
    while not stop:
        wait_s = every_s
        looks = once or monotonic() - looked_s >= CORRECTIONS_EVERY_S
        try:
            refused = pusher.round(int(time()), corrections=looks, stop=lambda: bool(stop))
        except (UnreachableError, RefusedError, psycopg.Error) as error:
            faults += 1
            pusher.metrics.round(_OUTCOMES.get(type(error), "database"))
            wait_s = _wait_s(error, faults, every_s)
            _log_fault(error, None if once else wait_s)
            if once:
                return 1
        else:
            pusher.metrics.round("done")
            faults = 0
            looked_s = monotonic() if looks else looked_s
            if once:
                return 1 if refused else 0
        stop.wait(wait_s)
    return 0


def _wait_s(error: Exception, faults: int, every_s: float) -> float:
    """How long to wait after so many faults in a row, the last of which was this one."""
    # The exponent is bounded: 2.0 ** 1024 is no number any more.
    wait_s = min(FIRST_WAIT_S * 2.0 ** min(faults - 1, 20), LONGEST_WAIT_S)
    wait_s *= random.uniform(0.8, 1.2)  # noqa: S311  # so that not all come back at once
    if isinstance(error, RefusedError):  # which will not pass by itself
        return max(wait_s, every_s)
    asked_s = error.after_s if isinstance(error, UnreachableError) else None
    return wait_s if asked_s is None else max(asked_s, FIRST_WAIT_S)


def _log_fault(error: Exception, wait_s: float | None) -> None:
    what = {
        UnreachableError: "the broker cannot be reached",
        RefusedError: "the broker refused what was sent",
    }.get(type(error), "the database cannot be asked")
    again = {} if wait_s is None else {"again_in_s": round(wait_s, 1)}
    level = logging.ERROR if isinstance(error, RefusedError) else logging.WARNING
    log.log(level, what, extra=facts(reason=str(error).strip(), **again))


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is no address that begins with http:// or https://")
    if parts.username or parts.password:
        raise argparse.ArgumentTypeError(f"an address must not have a password in it; set {TOKEN_VARIABLE} or --header")
    if parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} has more than a path")
    return text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:  # what stands there may be a secret
        raise argparse.ArgumentTypeError("a header is written 'Name: value'")
    return _header_name(name.strip()), _header_value(value.strip())


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text):
        raise argparse.ArgumentTypeError("what stands before the colon is no name of a header")
    return text


def _header_value(text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]+", text):
        raise argparse.ArgumentTypeError("a header has a value of printable ASCII characters")
    return text


def _moment(text: str) -> datetime:
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and EARLIEST <= moment <= LATEST:
            return moment
    raise argparse.ArgumentTypeError(f"{text!r} is no time with an offset, such as 2026-03-01T00:00:00+01:00")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 1 <= float(text) <= 86_400:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 86400")


def _batch(text: str) -> int:
    return _whole(text, 1, _LARGEST_BATCH)


def _hours(text: str) -> int:
    return _whole(text, 0, SETTLED_AFTER_S // 3600)


def _whole(text: str, least: int, most: int) -> int:
    with suppress(ValueError):
        if least <= int(text) <= most:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
