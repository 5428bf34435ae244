"""What people know about a time at a station, a sensor or an area: add, list, end, withdraw.

A remark is never deleted. One that is over is ended, one that was a mistake is withdrawn with a reason and stays for
whoever asks later. A remark that excludes says that the counts of its time are not to be believed: answers call the
time missing, what is stored stays, and ending or withdrawing the remark brings it back.

Times without offset are those of the place's own clocks: of the station, for a sensor of the station where it hangs at
that time, for an area of the stations in it; Europe/Berlin where there is none.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from footfall_contract import ContractError, check_id
from footfall_ingest.commands import Act, Connection, RefusedError, connected
from footfall_ingest.moments import local_utc
from footfall_ingest.settings import IngestSettings
from footfall_ingest.stations_file import DEFAULT_TIMEZONE

KINDS = ("works", "event", "fault", "note")

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Nothing is counted outside of these: a year typed wrong is better refused than noted."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a remark is about: `kind` is station, sensor or area."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True)
class Stay:
    """Where the clocks of a place are to be read in [`since`, `until`), UTC; None: since ever, until further notice."""

    zone: ZoneInfo
    since: datetime | None = None
    until: datetime | None = None

    def holds(self, when: datetime) -> bool:
        """Whether the moment lies in it."""
        return (self.since is None or self.since <= when) and (self.until is None or when < self.until)


Clocks = Mapping[Place, Sequence[Stay]]
"""All places there are, each with its stays, ascending by time."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A row of `remark`, times in UTC; `ends` None: until further notice."""

    id: int
    place: Place
    starts: datetime
    ends: datetime | None
    kind: str
    text: str
    excludes: bool
    created: datetime
    withdrawn: datetime | None
    withdrawn_why: str | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sensor at a station in [`since`, `until`), UTC, left out of answers, and the stored passages of that time."""

    sensor: str
    station: str
    since: datetime
    until: datetime | None
    passages: int


def clocks(connection: Connection) -> Clocks:
    """All stations, sensors and areas, and whose clocks they go by."""
    found: dict[Place, list[Stay]] = defaultdict(list)
    for station, zone in connection.execute("SELECT id, timezone FROM station ORDER BY id"):
        found[Place("station", station)].append(Stay(ZoneInfo(zone)))
    query = """
        SELECT sensor.id, timezone, valid_from, valid_to
        FROM sensor LEFT JOIN installation ON sensor = key LEFT JOIN station ON station.id = station
        ORDER BY sensor.id, valid_from
    """
    for sensor, zone, since, until in connection.execute(query):
        stays = found[Place("sensor", sensor)]
        if zone is not None:
            stays.append(Stay(ZoneInfo(zone), since, until))
    query = """
        SELECT DISTINCT area.id, timezone
        FROM area LEFT JOIN station_area ON area = area.id LEFT JOIN station ON station.id = station
    """
    for area, zone in connection.execute(query):
        stays = found[Place("area", area)]
        if zone is not None:
            stays.append(Stay(ZoneInfo(zone)))
    return dict(found)


def check_place(place: Place, known: Iterable[Place]) -> None:
    """Make sure that there is such a place.

    Raises:
        RefusedError: there is none; the message names those whose ids are nearest.
    """
    names = sorted(other.id for other in known if other.kind == place.kind)
    if place.id in names:
        return
    if not names:
        raise RefusedError(f"there is no {place}: there is no {place.kind} yet")
    nearest = get_close_matches(place.id, names, n=3, cutoff=0)
    raise RefusedError(f"there is no {place}; nearest {'is' if len(nearest) == 1 else 'are'} {', '.join(nearest)}")


def instant(text: str, option: str, place: Place | None, stays: Sequence[Stay], now: datetime) -> datetime:
    """The UTC minute that `text` means at a place: a date (local midnight), a time, with or without offset, or ``now``.

    Raises:
        RefusedError: it is none, or not a whole minute, or it could be several; the message begins with `option`.
    """
    if text == "now":
        return now.replace(second=0, microsecond=0)
    try:
        found = _reading(text, stays)
    except (ValueError, OverflowError) as error:
        raise RefusedError(
            f"{option}: {error}; right is a date (local midnight), a time like 2026-03-01T09:30, or now"
        ) from error
    if len(found) > 1:
        could = " or ".join(when.strftime("%Y-%m-%dT%H:%MZ") for when in sorted(found))
        raise RefusedError(
            f"{option}: {text!r} could be {could}: {place} has clocks of several time zones; write it with the offset"
        )
    (when,) = found
    if when.second or when.microsecond:
        raise RefusedError(f"{option}: {text!r} is not a whole minute")
    if not EARLIEST <= when <= LATEST:
        raise RefusedError(f"{option}: {text!r} is not between the years {EARLIEST.year} and {LATEST.year - 1}")
    return when


def _reading(text: str, stays: Sequence[Stay]) -> set[datetime]:
    """What a time may mean: as the clocks of each stay show it, if the time then lies in that stay or is its end."""
    found = set()
    fault: Exception | None = None
    for stay in stays:
        try:
            when = local_utc(text, stay.zone)
        except (ValueError, OverflowError) as error:
            fault = fault or error
            continue
        if stay.holds(when) or when == stay.until:
            found.add(when)
    if fault and not found:
        raise fault
    return found or {local_utc(text, ZoneInfo(DEFAULT_TIMEZONE))}


def shown(when: datetime | None, stays: Sequence[Stay]) -> str:
    """A time as the place's clocks show it, with the offset."""
    if when is None:
        return "further notice"
    zone = next((stay.zone for stay in stays if stay.holds(when)), stays[-1].zone if stays else None)
    return when.astimezone(zone or ZoneInfo(DEFAULT_TIMEZONE)).isoformat(timespec="minutes")


def add(
    connection: Connection,
    place: Place,
    *,
    starts: datetime,
    ends: datetime | None,
    kind: str,
    text: str,
    excludes: bool,
) -> int:
    """Note a remark and commit; its number. The place exists.

    Raises:
        RefusedError: it would end before it begins, or is there already.
    """
    if ends and ends <= starts:
        raise RefusedError(f"a remark from {starts.isoformat()} cannot end at {ends.isoformat()}: --to is after --from")
    for known in remarks(connection, place=place):
        if (known.starts, known.ends, known.kind, known.text, known.excludes) == (starts, ends, kind, text, excludes):
            raise RefusedError(f"remark {known.id} says exactly this already; nothing was changed")
    column = place.kind
    value = "(SELECT key FROM sensor WHERE id = %(place)s)" if column == "sensor" else "%(place)s"
    query = f"""
        INSERT INTO remark ({column}, starts, ends, kind, text, excludes)
        VALUES ({value}, %(starts)s, %(ends)s, %(kind)s, %(text)s, %(excludes)s) RETURNING id
    """  # noqa: S608  # the column is one of three words of this module
    values = {"place": place.id, "starts": starts, "ends": ends, "kind": kind, "text": text, "excludes": excludes}
    return int(connection.execute(query, values).fetchall()[0][0])


def end(connection: Connection, number: int, at: datetime) -> Remark:
    """End an open remark, or one that would end later, at a moment; what it was before. Commits.

    Raises:
        RefusedError: there is none, it is withdrawn, or has ended by then, or it would end before it begins.
    """
    with connection.transaction():
        found = the_remark(connection, number, lock=True)
        if at <= found.starts:
            raise RefusedError(
                f"remark {number} begins at {found.starts.isoformat()} and cannot end by {at.isoformat()}; if it was a "
                f"mistake: footfall-ingest remark withdraw {number} --why …"
            )
        if found.ends and at >= found.ends:
            raise RefusedError(
                f"remark {number} has its end at {found.ends.isoformat()} already, which can only be put earlier; for "
                "a longer time add another one that begins then"
            )
        connection.execute("UPDATE remark SET ends = %s, changed = now() WHERE id = %s", [at, number])
    return found


def withdraw(connection: Connection, number: int, why: str) -> Remark:
    """Say that a remark was a mistake: it stays, but means nothing any more; what it was. Commits.

    Raises:
        RefusedError: there is none, or it is withdrawn already.
    """
    with connection.transaction():
        found = the_remark(connection, number, lock=True)
        query = "UPDATE remark SET withdrawn = now(), withdrawn_why = %s, changed = now() WHERE id = %s"
        connection.execute(query, [why, number])
    return found


def the_remark(connection: Connection, number: int, *, lock: bool = False) -> Remark:
    """One remark that holds.

    Raises:
        RefusedError: there is none of that number, or it is withdrawn.
    """
    if lock:
        connection.execute("SELECT FROM remark WHERE id = %s FOR UPDATE", [number])
    found = remarks(connection, number=number, withdrawn=True)
    if not found:
        raise RefusedError(f"there is no remark {number} (`footfall-ingest remark list --all` shows those there are)")
    if found[0].withdrawn:
        raise RefusedError(
            f"remark {number} was withdrawn at {found[0].withdrawn.isoformat(timespec='seconds')}: "
            f"{found[0].withdrawn_why}"
        )
    return found[0]


_REMARKS = """
SELECT remark.id, num_nonnulls(station), num_nonnulls(sensor.id), coalesce(station, sensor.id, area),
       starts, ends, kind, text, excludes, created, withdrawn, withdrawn_why
FROM remark LEFT JOIN sensor ON key = sensor
WHERE (%(number)s::bigint IS NULL OR remark.id = %(number)s)
  AND (%(station)s::text IS NULL OR station = %(station)s)
  AND (%(sensor)s::text IS NULL OR sensor.id = %(sensor)s)
  AND (%(area)s::text IS NULL OR area = %(area)s)
  AND (%(since)s::timestamptz IS NULL OR ends IS NULL OR ends > %(since)s)
  AND (%(until)s::timestamptz IS NULL OR starts < %(until)s)
  AND (%(withdrawn)s OR withdrawn IS NULL)
ORDER BY starts, remark.id
"""


def remarks(
    connection: Connection,
    *,
    number: int | None = None,
    place: Place | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    withdrawn: bool = False,
) -> list[Remark]:
    """The remarks on a place that overlap [`since`, `until`), by their beginning; None: any. Withdrawn ones if asked.

    With `until` at `since` it is those that hold at that moment.
    """
    if since is not None and since == until:
        found = remarks(connection, number=number, place=place, since=since, withdrawn=withdrawn)
        return [remark for remark in found if remark.starts <= since]
    asked: dict[str, Any] = {"number": number, "station": None, "sensor": None, "area": None}
    asked |= {place.kind: place.id} if place else {}
    rows = connection.execute(_REMARKS, {**asked, "since": since, "until": until, "withdrawn": withdrawn}).fetchall()
    return [
        Remark(id_, Place("station" if is_station else "sensor" if is_sensor else "area", name), *rest)
        for id_, is_station, is_sensor, name, *rest in rows
    ]


_INSTALLED = """
SELECT key, sensor.id, station, valid_from, valid_to FROM installation JOIN sensor ON key = sensor
WHERE (%(kind)s = 'station' AND station = %(id)s) OR (%(kind)s = 'sensor' AND sensor.id = %(id)s)
   OR (%(kind)s = 'area' AND station IN (SELECT station FROM station_area WHERE area = %(id)s))
ORDER BY station, sensor.id, valid_from
"""

# Minutes that were removed once they were summed up are in their hours; what came later adds to them as minutes. No
# span is longer than 31 days. One that reaches into the time cannot be split, so it is not to be believed either.
_PASSAGES = """
SELECT (SELECT coalesce(sum(count), 0) FROM count_minute
        WHERE sensor = %(sensor)s AND minute >= minute_of(%(since)s) AND minute < minute_of(%(until)s))
     + (SELECT coalesce(sum(count), 0) FROM count_hour
        WHERE sensor = %(sensor)s AND bucket >= %(since)s AND bucket <= %(until)s - interval '1 hour'
          AND bucket < (SELECT minutes_from FROM store))
     + (SELECT coalesce(sum(count), 0) FROM count_span
        WHERE sensor = %(sensor)s AND starts > %(since)s - interval '32 days' AND starts < %(until)s
          AND ends > %(since)s)
"""


def left_out(connection: Connection, place: Place, starts: datetime, ends: datetime | None) -> list[LeftOut]:
    """Whose counts answers leave out if a remark on a place excludes [`starts`, `ends`), by station and sensor."""
    found = []
    for key, sensor, station, installed, removed in connection.execute(
        _INSTALLED, {"kind": place.kind, "id": place.id}
    ):
        since, until = max(starts, installed), min((t for t in (ends, removed) if t), default=None)
        if until is None or since < until:
            asked = {"sensor": key, "since": since, "until": until or LATEST}
            passages = int(connection.execute(_PASSAGES, asked).fetchall()[0][0])
            found.append(LeftOut(sensor, station, since, until, passages))
    return found


def sentence(remark: Remark, stays: Sequence[Stay]) -> str:
    """A remark for people, times by the place's clocks."""
    when = f"from {shown(remark.starts, stays)} to {shown(remark.ends, stays)}"
    return f"remark {remark.id}: {remark.kind} at {remark.place} {when}: {remark.text}"


def table(found: Sequence[Remark], known: Clocks) -> list[str]:
    """Remarks for people, a line each below a heading."""
    rows = [("id", "about", "from", "to", "kind", "counts", "text")]
    for remark in found:
        stays = known.get(remark.place, ())
        gone = f" (withdrawn: {remark.withdrawn_why})" if remark.withdrawn else ""
        counts = "excluded" if remark.excludes and not remark.withdrawn else "-"
        begin, until = shown(remark.starts, stays), shown(remark.ends, stays)
        rows.append((str(remark.id), str(remark.place), begin, until, remark.kind, counts, remark.text + gone))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def as_json(remark: Remark, stays: Sequence[Stay]) -> dict[str, Any]:
    """A remark for programs; times with the offset of the place."""
    return {
        "id": remark.id,
        remark.place.kind: remark.place.id,
        "from": shown(remark.starts, stays),
        "to": remark.ends and shown(remark.ends, stays),
        "kind": remark.kind,
        "text": remark.text,
        "excludes": remark.excludes,
        "created": remark.created.astimezone(UTC).isoformat(timespec="seconds"),
        "withdrawn": remark.withdrawn and remark.withdrawn.astimezone(UTC).isoformat(timespec="seconds"),
        "withdrawn_why": remark.withdrawn_why,
    }


def _place(options: argparse.Namespace) -> Place | None:
    given = {kind: getattr(options, kind) for kind in ("station", "sensor", "area")}
    return next((Place(kind, name) for kind, name in given.items() if name), None)


def _add(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    known = clocks(connection)
    place = _place(options)
    assert place is not None  # argparse asks for one
    check_place(place, known)
    now = datetime.now(UTC)
    starts = instant(getattr(options, "from"), "--from", place, known[place], now)
    ends = instant(options.to, "--to", place, known[place], now) if options.to else None
    number = add(
        connection,
        place,
        starts=starts,
        ends=ends,
        kind=options.kind,
        text=_text("--text", options.text),
        excludes=options.exclude,
    )
    remark = the_remark(connection, number)
    said = [sentence(remark, known[place])]
    if remark.excludes:
        said += _excluded(left_out(connection, place, starts, ends), known)
    sys.stdout.writelines(f"{line}\n" for line in said)


def _excluded(found: Sequence[LeftOut], known: Clocks) -> list[str]:
    if not found:
        return ["no sensor is installed there in that time: answers leave nothing out"]
    said = []
    for piece in found:
        stays = known[Place("station", piece.station)]
        said.append(
            f"left out of answers: sensor {piece.sensor} at station {piece.station} from {shown(piece.since, stays)} "
            f"to {shown(piece.until, stays)}: {piece.passages} stored passages"
        )
    total = sum(piece.passages for piece in found)
    return [*said, f"hidden in all: {total} stored passages; they stay stored"]


def _end(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    known = clocks(connection)
    place = the_remark(connection, options.id).place
    before = end(connection, options.id, instant(options.at, "--at", place, known[place], datetime.now(UTC)))
    after = the_remark(connection, options.id)
    said = [sentence(after, known[place])]
    if after.excludes:
        until = f" to {shown(before.ends, known[place])}" if before.ends else " on"
        said.append(f"answers have the counts from {shown(after.ends, known[place])}{until} again")
    sys.stdout.writelines(f"{line}\n" for line in said)


def _withdraw(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    found = withdraw(connection, options.id, _text("--why", options.why))
    said = [f"withdrawn: {sentence(found, clocks(connection)[found.place])}"]
    if found.excludes:
        said.append("answers have the counts of that time again")
    sys.stdout.writelines(f"{line}\n" for line in said)


def _list(connection: Connection, _settings: IngestSettings, options: argparse.Namespace) -> None:
    known = clocks(connection)
    place = _place(options)
    if place:
        check_place(place, known)
    stays = known[place] if place else ()
    now = datetime.now(UTC)
    asked = {"--from": getattr(options, "from"), "--to": options.to}
    since, until = (text and instant(text, option, place, stays, now) for option, text in asked.items())
    if since and until and until <= since:
        raise RefusedError(f"--to {options.to!r} is not after --from {asked['--from']!r}")
    if not since and not until and not options.all:
        since = until = now
    found = remarks(connection, place=place, since=since, until=until, withdrawn=options.all)
    if options.json:
        shown_ = [as_json(remark, known.get(remark.place, ())) for remark in found]
        json.dump({"remarks": shown_}, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    if not found:
        sys.stdout.write("no remarks" + ("" if options.all else "; --all shows those of any time") + "\n")
        return
    sys.stdout.writelines(f"{line}\n" for line in table(found, known))


def _text(option: str, text: str) -> str:
    found = text.strip()
    if not found or not found.isprintable():
        raise RefusedError(f"{option} must be a text of printable characters in one line; {text!r} is none")
    return found


def _id(text: str) -> str:
    try:
        return check_id("id", text)
    except ContractError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no id: {error.expected}") from None


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add ``remark`` and its verbs to the parser's `commands`; each sets `run`."""
    verbs = commands.add_parser("remark", help="what people know about a time at a place").add_subparsers(
        metavar="VERB", required=True
    )

    def verb(name: str, act: Act, help_text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = verbs.add_parser(name, parents=[config], help=help_text, description=help_text)
        added.set_defaults(run=connected(act))
        return added

    adding = verb("add", _add, "note what is known about a time; times without offset are local to the place")
    _add_place(adding, required=True)
    adding.add_argument("--from", required=True, metavar="TIME", help="a date, 2026-03-01T09:30, or now")
    adding.add_argument("--to", metavar="TIME", help="without: until further notice")
    adding.add_argument("--kind", required=True, choices=KINDS)
    adding.add_argument("--text", required=True, help="for whoever reads the counts; it is published")
    adding.add_argument("--exclude", action="store_true", help="the counts of that time are not to be believed")

    listing = verb("list", _list, "show the remarks that hold now, or in the time asked for")
    _add_place(listing, required=False)
    listing.add_argument("--from", metavar="TIME", help="those that hold at or after it")
    listing.add_argument("--to", metavar="TIME", help="those that begin before it")
    listing.add_argument("--all", action="store_true", help="of any time, and those that were withdrawn")
    listing.add_argument("--json", action="store_true", help="as JSON")

    ending = verb("end", _end, "end a remark, or put its end earlier")
    ending.add_argument("id", type=int, metavar="ID")
    ending.add_argument("--at", required=True, metavar="TIME", help="a date, 2026-03-01T09:30, or now")

    withdrawing = verb("withdraw", _withdraw, "a remark was a mistake: it stays listed and means nothing any more")
    withdrawing.add_argument("id", type=int, metavar="ID")
    withdrawing.add_argument("--why", required=True, metavar="TEXT", help="for whoever asks later")


def _add_place(parser: argparse.ArgumentParser, *, required: bool) -> None:
    place = parser.add_mutually_exclusive_group(required=required)
    for kind in ("station", "sensor", "area"):
        place.add_argument(f"--{kind}", type=_id, metavar="ID")
