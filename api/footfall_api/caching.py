"""Spare clients what they do not need: entity tags, dates, 304 for those who have the current answer, headers alone.

The tag of an answer and its date change only when something in the time asked about does. Facts are only ever added, so
the sums over all of that time tell exactly whether any was: passages, measured seconds and reported seconds, sensor by
sensor. A short answer's are those it is made from, interval by interval; for a long one they are read as one interval,
from the same tables as the answer, and so a sum by the hour that takes the place of its minutes changes nothing. To
them come the stations, areas and remarks of that time, and what of the present has a bearing on the answer.

Tags are weak, because an answer is the same whether it was compressed or not.
"""

import hashlib
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from math import ceil
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from footfall_api.answers import SETTLED_AFTER_S
from footfall_api.asked import Plan
from footfall_api.counts import Tallied, tally_groups
from footfall_api.database import Connection
from footfall_api.intervals import Resolution, interval_of
from footfall_api.question import Dimension, Question
from footfall_api.stations import Installation, Station
from footfall_api.tally import LegTally

HEAD_KEY: Final = "footfall.head"
"""In the scope of a request that wants the headers only."""


def is_head(request: Request) -> bool:
    """Whether the client wants the headers only."""
    return HEAD_KEY in request.scope


def tag(*parts: object) -> str:
    """An entity tag for whatever `parts` describe."""
    return f'W/"{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"'


@dataclass(frozen=True, slots=True)
class Version:
    """Which state of the data an answer is of."""

    etag: str
    modified: datetime | None
    """When it last changed, in whole seconds and rounded up; None: it cannot be said yet."""

    def headers(self) -> dict[str, str]:
        """What the client keeps to ask again."""
        dated = {} if self.modified is None else {"Last-Modified": format_datetime(self.modified, usegmt=True)}
        return {"ETag": self.etag, **dated}


def not_modified(request: Request, etag: str, modified: datetime | None = None) -> bool:
    """Whether the client has what `etag` stands for; one that sends no tag is asked for its date."""
    known = request.headers.get("If-None-Match")
    if known is not None:
        return known.strip() == "*" or etag in {part.strip() for part in known.split(",")}
    since = request.headers.get("If-Modified-Since")
    if since is None or modified is None:
        return False
    try:
        date = parsedate_to_datetime(since)
    except ValueError:
        return False
    # A date without zone is in none of HTTP's forms but a sender that leaves it out means the same.
    return modified <= (date if date.tzinfo else date.replace(tzinfo=UTC))


def small_json(request: Request, content: Any, media_type: str, max_age_s: int) -> Response:
    """A short answer as JSON, with a tag made from its content."""
    return small(
        request, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(), media_type, max_age_s
    )


def small(request: Request, body: bytes, media_type: str, max_age_s: int) -> Response:
    """A short answer with a tag made from its content; with `max_age_s` 0 it is asked for again each time."""
    etag = tag(body)
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={max_age_s}" if max_age_s else "public, no-cache"}
    if not_modified(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


STILL_S: Final = 60
"""How long something must be unchanged before its date is told.

Dates are those of the beginning of the transaction that made a change. By then it has ended: a client that knows a date
has seen all that it stands for.
"""


async def version_of(connection: Connection, plan: Plan, tallied: Tallied | None, terms: object, now_s: int) -> Version:
    """The version of the answer to a question asked at `now_s` (UTC unix seconds), in the connection's snapshot.

    `tallied` is what the answer is made from if that was read already, `terms` is what else stands in it.
    """
    question, places = plan.question, plan.places
    if tallied is None:
        edges_s = [question.from_s, question.to_s]
        tallies: Sequence[Sequence[LegTally]] = await tally_groups(connection, plan.groups, edges_s, plan.hidden)
    else:
        tallies = tallied.tallies
    legs = [leg for group in tallies for leg in group]
    dates = await _dates(connection, plan)
    # What was removed can only be missed by those who ask finer than the hours that were kept.
    removed_s = min(dates.minutes_from_s, question.to_s) if _is_fine(question) else 0
    has_removed = removed_s > question.from_s
    present = _present(question, now_s, whole=not dates.has_spans and all(map(_is_whole, legs)))
    etag = tag(
        _asked(question),
        terms,
        [_of_that_time(station, question) for station in places.concerned],
        [(area.id, area.stations, area.geometry) for area in places.areas],
        plan.remarks,
        # A sensor that came later tells directions apart, and earlier answers have them too.
        [group.directions for group in plan.groups] if Dimension.DIRECTION in question.split else None,
        list(map(_sums, legs)),
        dates.epoch,
        removed_s if has_removed else None,
        present,
    )
    if question.to_s > now_s or has_removed:
        return Version(etag, None)
    settled_s = present + SETTLED_AFTER_S if present > question.from_s else 0
    latest_s = ceil(max(dates.changed_s, question.to_s, settled_s))
    return Version(etag, datetime.fromtimestamp(latest_s, UTC) if latest_s <= now_s - STILL_S else None)


def _is_fine(question: Question) -> bool:
    return question.resolution.longest_s < Resolution.HOUR.longest_s


def _asked(question: Question) -> object:
    return (
        question.stations, question.areas, question.from_s, question.to_s, question.resolution, sorted(question.split),
        question.zone.key, question.format, question.after_s, question.remarks,
    )  # fmt: skip


def _present(question: Question, now_s: int, *, whole: bool) -> int:
    """What of the time of asking has a bearing on the answer.

    While the time asked about is not over: each second. Then only which of its intervals are settled, and so final,
    unless the time was measured as a `whole`, when all of them are final already.
    """
    if question.to_s > now_s:
        return now_s
    settled_s = now_s - SETTLED_AFTER_S
    if whole or settled_s <= question.from_s:
        return question.from_s
    if settled_s >= question.to_s:
        return question.to_s
    return interval_of(question.resolution, settled_s, question.zone)[0]


def _is_whole(leg: LegTally) -> bool:
    """Whether each second in which the sensor was installed was measured."""
    return sum(leg.observed_s) == leg.leg.window_to_s - leg.leg.window_from_s


def _sums(leg: LegTally) -> object:
    """All that is known of one sensor in one stretch of installation."""
    return (
        leg.leg.station, leg.leg.sensor_key, *map(_packed, (leg.observed_s, leg.reported_s, leg.recovered_s)),
        sorted((cell, _packed(counts)) for cell, counts in leg.counts.items()),
        [sorted(spans) for spans in leg.cuts.values()],
        sorted(leg.undivided),
    )  # fmt: skip


def _packed(numbers: Sequence[int]) -> str:
    """A short text that stands for a list of numbers: a year has thousands."""
    return hashlib.sha256(array("q", numbers)).hexdigest()


def _of_that_time(station: Station, question: Question) -> object:
    """All of a station that belongs to the time asked about.

    Which directions a sensor has counted is seen where they are split, and changes whenever it first counts one.
    """
    is_split = Dimension.DIRECTION in question.split
    begins = [labels.from_s for labels in station.labels[1:]]
    labels = [
        found
        for found, next_s in zip(station.labels, [*begins, None], strict=False)
        if (found.from_s or 0) < question.to_s and (next_s is None or next_s > question.from_s)
    ]
    installed = [
        (i.sensor, i.role, i.overlap(question.from_s, question.to_s), i.directions if is_split else ())
        for i in station.installations
        if _is_in(i, question)
    ]
    return station.id, station.name, station.zone.key, station.longitude, station.latitude, labels, installed


def _is_in(installation: Installation, question: Question) -> bool:
    begin, end = installation.overlap(question.from_s, question.to_s)
    return begin < end


# An hour that is summed up says when its sums last changed. What the others have came with a report of their sensor,
# and a stream says when its last one did. Bounds are plain values, so that a server with chunks reads those it needs.
_DATES: Final = """
WITH asked AS (
    SELECT * FROM unnest(%(sensors)s::int[], %(froms)s::timestamptz[], %(tos)s::timestamptz[]) AS a (sensor, low, high)
),
span AS (
    SELECT s.changed FROM coverage_span s JOIN asked USING (sensor)
    WHERE s.starts > asked.low - interval '31 days 1 second' AND s.starts < asked.high AND s.ends > asked.low
)
SELECT (SELECT epoch::text FROM store),
       (SELECT CASE WHEN isfinite(minutes_from) THEN extract(epoch FROM minutes_from)::bigint END FROM store),
       extract(epoch FROM greatest(
           (SELECT max(found.changed) FROM asked CROSS JOIN LATERAL (
                SELECT max(changed) AS changed FROM coverage_hour h
                WHERE h.sensor = asked.sensor AND h.bucket >= asked.low AND h.bucket < asked.high
                  AND h.bucket >= %(first)s AND h.bucket < %(last)s
            ) found),
           (SELECT max(touched) FROM stream WHERE sensor IN (
                SELECT d.sensor FROM dirty_hour d JOIN asked USING (sensor)
                WHERE d.hour >= asked.low AND d.hour < asked.high
            )),
           (SELECT max(changed) FROM span),
           (SELECT max(changed) FROM station WHERE id = ANY(%(stations)s)),
           (SELECT max(changed) FROM area WHERE id = ANY(%(areas)s)),
           (SELECT max(changed) FROM sensor WHERE key = ANY(%(directions)s)),
           (SELECT max(r.changed) FROM remark r
            WHERE r.starts < %(last)s AND (
                r.station = ANY(%(stations)s) OR r.sensor IN (SELECT sensor FROM asked)
                OR r.area IN (SELECT area FROM station_area WHERE station = ANY(%(stations)s))
            ))
       ))::float8,
       EXISTS (SELECT FROM span)
"""
"""A remark that was ended is older than its end: all that had begun are asked when they changed."""


@dataclass(frozen=True, slots=True)
class _Dates:
    epoch: str
    """Of the store: another one means that a backup was restored, and that sums may come again by chance."""
    minutes_from_s: int
    """From when on the store has minutes (UTC unix seconds; 0: since ever)."""
    changed_s: float
    """When something that was asked about last changed."""
    has_spans: bool


async def _dates(connection: Connection, plan: Plan) -> _Dates:
    question, places = plan.question, plan.places
    stretches = {
        (member.installation.sensor_key, *member.installation.overlap(question.from_s, question.to_s))
        for group in plan.groups
        for member in group.members
        if _is_in(member.installation, question)
    }
    first_s, last_s = question.from_s // 3600 * 3600, -(-question.to_s // 3600) * 3600
    asked = {
        "sensors": [sensor for sensor, _, _ in stretches],
        "froms": [datetime.fromtimestamp(low // 3600 * 3600, UTC) for _, low, _ in stretches],
        "tos": [datetime.fromtimestamp(high, UTC) for _, _, high in stretches],
        "first": datetime.fromtimestamp(first_s, UTC),
        "last": datetime.fromtimestamp(last_s, UTC),
        "stations": [station.id for station in places.concerned],
        "areas": [area.id for area in places.areas],
        "directions": [
            member.installation.sensor_key
            for group in plan.groups
            for member in group.members
            if Dimension.DIRECTION in question.split
        ],
    }
    row = await (await connection.execute(_DATES, asked)).fetchone()
    assert row is not None
    epoch, minutes_from_s, changed_s, has_spans = row
    return _Dates(epoch, minutes_from_s or 0, changed_s or 0.0, has_spans)
