"""Rows into readings: what a file says, place by place, with every value that cannot be used named by its line.

Readings are kept as columns of numbers, because years of many sensors are millions of them. A count is a number of
passages, `MISSING` where the file says that nothing was measured, or `FAULTY` where what it says cannot be used: then
nothing about that interval can be believed.
"""

from __future__ import annotations  # array[int] is no type at run time

import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import cache, reduce
from math import ceil
from pathlib import Path
from typing import Final

from footfall_contract.words import MAX_COUNT, Direction, PassageClass
from footfall_ingest.history import mapping as mappings
from footfall_ingest.history.findings import Findings, Kind, lines_of, number_of
from footfall_ingest.history.labels import (
    Clock,
    Doubled,
    Label,
    LabelError,
    NoSuchTimeError,
    Pattern,
    Span,
    iso,
    joined,
)
from footfall_ingest.history.table import Table, TableError, opened

MISSING: Final = -1
FAULTY: Final = -2

WHOLE: Final = 1 << 16
"""In a cell: the file calls it the sum over all directions or classes."""

_MOST_DIGITS: Final = 12


def cell_of(direction: Direction, class_: PassageClass) -> int:
    """Direction and class as one number."""
    return direction << 8 | class_


@cache
def parts_of(cell: int) -> tuple[Direction, PassageClass]:
    """The direction and class of a cell."""
    return Direction(cell >> 8 & 0xFF), PassageClass(cell & 0xFF)


@dataclass
class Readings:
    """What the files say about one place, as columns."""

    start: array[int] = field(default_factory=lambda: array("q"))
    """UTC unix seconds."""
    end: array[int] = field(default_factory=lambda: array("q"))
    cell: array[int] = field(default_factory=lambda: array("l"))
    count: array[int] = field(default_factory=lambda: array("q"))
    observed: array[int] = field(default_factory=lambda: array("l"))
    """Measured seconds."""
    file: array[int] = field(default_factory=lambda: array("l"))
    line: array[int] = field(default_factory=lambda: array("q"))

    def add(self, span: Span, cell: int, count: int, observed: int, where: tuple[int, int]) -> None:
        """Add one; `where` is the number of the file, and the line."""
        self.start.append(span.start)
        self.end.append(span.end)
        self.cell.append(cell)
        self.count.append(count)
        self.observed.append(observed)
        self.file.append(where[0])
        self.line.append(where[1])

    def extend(self, other: Readings) -> None:
        """Add all of another place that is the same one here."""
        for name in ("start", "end", "cell", "count", "observed", "file", "line"):
            getattr(self, name).extend(getattr(other, name))

    def __len__(self) -> int:
        return len(self.start)


@dataclass
class Read:
    """What all files say: readings by the name that the files give a place, and how many rows there were."""

    places: dict[str, Readings] = field(default_factory=dict)
    first_seen: dict[str, tuple[str, int]] = field(default_factory=dict)
    """File and line in which each place is first named."""
    rows: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class _Pending:
    """A reading of the doubled hour, whose time is not known yet."""

    label: Doubled
    cell: int
    count: int
    share: float
    """Measured part."""
    recovered: bool
    line: int


@dataclass(frozen=True, slots=True)
class _Column:
    """A column with counts in one file."""

    at: int
    name: str
    place: str
    cell: int
    fallback: bool


class _RowError(Exception):
    def __init__(self, kind: Kind, text: str) -> None:
        self.kind = kind
        super().__init__(text)


def read(
    paths: Sequence[Path],
    mapping: mappings.Mapping,
    findings: Findings,
    *,
    step: Callable[[int], None] = lambda _rows: None,
) -> Read:
    """What `paths` say by `mapping`. `step` is told how many rows were read, now and then."""
    found = Read()
    clock = Clock(mapping.time.zone)
    for number, path in enumerate(paths):
        reader = _FileReader(number, path, mapping, clock=clock, findings=findings, found=found, step=step)
        try:
            with opened(path, mapping.file) as table:
                reader.read(table)
        except TableError as error:
            findings.fault(Kind.FILE, str(error), str(path), error.line)
    return found


class _FileReader:
    def __init__(
        self,
        number: int,
        path: Path,
        mapping: mappings.Mapping,
        *,
        clock: Clock,
        findings: Findings,
        found: Read,
        step: Callable[[int], None],
    ) -> None:
        self._number, self._name = number, str(path)
        self._mapping, self._clock, self._findings, self._found, self._step = mapping, clock, findings, found, step
        self._number_of = _number_reader(mapping.file)
        self._times: dict[tuple[str, ...], Span | Doubled | LabelError] = {}
        self._pending: dict[str, list[_Pending]] = defaultdict(list)
        self._last: dict[str, int] = {}
        self._shuffled: dict[str, list[int]] = defaultdict(list)
        self._shuffled_days: dict[str, set[int]] = defaultdict(set)
        self._names: dict[str, int] = {}
        self._zeros_in_no_hour: list[int] = []
        self._skipped: list[int] = []
        self._said: dict[tuple[Kind, bool, str, int], list[str]] = defaultdict(list)

    def read(self, table: Table) -> None:
        """Read all rows."""
        self._names = self._columns(table.header)
        values = self._values(table.header)
        if not self._complete(values):
            return
        for line, row in table.rows():
            self._found.rows += 1
            if self._found.rows % 1000 == 0:
                self._step(self._found.rows)
            if len(row) != len(table.header):
                self._fault(Kind.ROW, f"{len(row)} columns; the header has {len(table.header)}", line)
                continue
            try:
                self._row(row, values, line)
            except _RowError as error:
                self._fault(error.kind, str(error), line)
        self._settle()
        for place, lines in self._shuffled.items():
            text = f"{number_of(len(lines), 'row')} after later ones ({lines_of(lines)}): sorted"
            self._say(Kind.SHUFFLED, text, lines[0], place, fault=False)
        for (kind, fault, text, line), places in self._said.items():
            (self._findings.fault if fault else self._findings.note)(kind, _of(places) + text, self._name, line)
        if self._skipped:
            lines = self._skipped
            text = f"{number_of(len(lines), 'row')} passed over, as the mapping says ({lines_of(lines)})"
            self._findings.note(Kind.SKIPPED, text, self._name)
        if self._zeros_in_no_hour:
            lines = self._zeros_in_no_hour
            text = (
                f"{number_of(len(lines), 'zero')} for the hour that March leaves out ({lines_of(lines)}): passed over"
            )
            self._findings.note(Kind.NO_SUCH_HOUR, text, self._name)

    def _fault(self, kind: Kind, text: str, line: int) -> None:
        self._findings.fault(kind, text, self._name, line)

    def _say(self, kind: Kind, text: str, line: int, place: str, *, fault: bool) -> None:
        """Something about one place; what is the same of many, as it is in wide files, is said once."""
        self._said[kind, fault, text, line].append(place)

    # -- the header ---------------------------------------------------------------------------------------------------

    def _columns(self, header: Sequence[str]) -> dict[str, int]:
        if twice := sorted({name for name in header if name and header.count(name) > 1}):
            self._findings.fault(Kind.COLUMNS, f"the header has {', '.join(twice)} more than once", self._name)
        return {name: at for at, name in enumerate(header)}

    def _needed(self) -> list[str]:
        mapping = self._mapping
        return [
            *mapping.time.columns,
            *mapping.time.end_columns,
            *([mapping.place.column] if mapping.place.column else []),
            *(role.column for role in (mapping.direction, mapping.class_, mapping.state, mapping.coverage) if role),
            *(skip.column for skip in mapping.skip),
        ]

    def _complete(self, values: Sequence[_Column]) -> bool:
        wanted = self._needed() + [item.column for item in self._mapping.value if item.column and not item.optional]
        missing = sorted({name for name in wanted if name not in self._names})
        if missing:
            form = self._mapping.file
            hint = ""
            if len(self._names) == 1:
                other = next(
                    (mark for mark in ";,\t|" if mark != form.delimiter and mark in next(iter(self._names))), ""
                )
                hint = f" The columns seem to be separated by {other!r}: delimiter in [file]." if other else ""
            has = ", ".join(repr(name) for name in list(self._names)[:12])
            self._findings.fault(
                Kind.COLUMNS, f"there is no column {', '.join(map(repr, missing))}; it has {has}.{hint}", self._name
            )
        elif not values:
            self._findings.fault(Kind.COLUMNS, "no column has counts by this mapping", self._name)
        return not missing and bool(values)

    def _values(self, header: Sequence[str]) -> list[_Column]:
        used = set(self._needed())
        found: list[_Column] = []
        for value in self._mapping.value:
            cell = cell_of(
                mappings.DIRECTIONS[value.direction], mappings.CLASSES.get(value.class_, PassageClass.UNKNOWN)
            )
            if value.column:
                if value.column in self._names:
                    used.add(value.column)
                    found.append(_Column(self._names[value.column], value.column, value.place, cell, value.fallback))
                continue
            for at, name in enumerate(header):
                if not name or name in used or not (match := value.matcher.fullmatch(name)):
                    continue
                used.add(name)
                named = match.groupdict().get("place", "")
                place = (value.place or "{place}").replace("{place}", named)
                found.append(_Column(at, name, place.strip(), cell, value.fallback))
        return found

    # -- one row ------------------------------------------------------------------------------------------------------

    def _row(self, row: Sequence[str], columns: Sequence[_Column], line: int) -> None:
        mapping, names = self._mapping, self._names
        for skip in mapping.skip:
            if row[names[skip.column]].strip() in skip.words:
                self._found.skipped += 1
                self._skipped.append(line)
                return
        named = row[names[mapping.place.column]].strip() if mapping.place.column else None
        if named == "":
            raise _RowError(Kind.PLACE, f"column {mapping.place.column}: empty; it should name the place")
        try:
            span = self._time(row)
        except NoSuchTimeError as error:
            self._in_no_hour(row, columns, line, error)
            return
        except LabelError as error:
            raise _RowError(Kind.TIME, str(error)) from None
        try:
            cell, whole = self._cell(row)
            share, recovered, missing = self._quality(row)
        except _RowError:
            # Whatever it counted, it counted in this time: nothing about it can be believed.
            for column in columns:
                where = column.place if named is None else named
                self._keep(where, span, column.cell, FAULTY, share=0, recovered=False, line=line)
            raise
        for place, cells in self._counts(row, columns, line, missing=missing).items():
            where = named if named is not None else place
            for key, count in cells.items():
                self._keep(
                    where,
                    span,
                    (key if cell is None else cell(key)) | whole,
                    count,
                    share=share,
                    recovered=recovered,
                    line=line,
                )

    def _time(self, row: Sequence[str]) -> Span | Doubled:
        time, names = self._mapping.time, self._names
        key = tuple(row[names[name]] for name in (*time.columns, *time.end_columns))
        found = self._times.get(key)
        if found is None:
            try:
                found = self._resolve(key)
            except LabelError as error:
                found = error
            if len(self._times) >= 1 << 16:
                self._times.clear()
            self._times[key] = found
        if isinstance(found, LabelError):
            raise found
        return found

    def _resolve(self, key: Sequence[str]) -> Span | Doubled:
        time = self._mapping.time
        texts, ends = key[: len(time.columns)], key[len(time.columns) :]
        label = _label(" ".join(texts), time.pattern, included=time.end_included)
        if ends:
            text = " ".join(ends)
            end = _label(text, time.end_pattern, included=False)
            if time.end_included:
                end = Label(end.start + _unit(time.end_pattern))
            label = joined(label, end)
        if label.start.time() < time.night:
            label = label.later(days=1)
        return self._clock.span(
            label,
            length_s=time.length_s,
            days=time.days,
            marks_end=time.marks == "end",
            by_clock=time.doubled_hour != "both",
        )

    def _cell(self, row: Sequence[str]) -> tuple[Callable[[int], int] | None, int]:
        """How the row's own words change a column's cell, and whether they call it a whole."""
        mapping, whole = self._mapping, 0
        direction: Direction | None = None
        class_: PassageClass | None = None
        if mapping.direction:
            word = _word(row[self._names[mapping.direction.column]], mapping.direction.column, mapping.direction.words)
            whole |= WHOLE if word == "all" else 0
            direction = mappings.DIRECTIONS.get(word, Direction.UNDIRECTED)
        if mapping.class_:
            word = _word(row[self._names[mapping.class_.column]], mapping.class_.column, mapping.class_.words)
            whole |= WHOLE << 1 if word == "all" else 0
            class_ = mappings.CLASSES.get(word, PassageClass.UNKNOWN)
        if direction is None and class_ is None:
            return None, 0

        def changed(cell: int) -> int:
            before = parts_of(cell)
            return cell_of(before[0] if direction is None else direction, before[1] if class_ is None else class_)

        return changed, whole

    def _quality(self, row: Sequence[str]) -> tuple[float, bool, bool]:
        """The measured part, whether it is a recovered sum, whether the row says that nothing was measured."""
        mapping = self._mapping
        state = row[self._names[mapping.state.column]].strip() if mapping.state else ""
        missing = bool(mapping.state and state in mapping.state.missing)
        recovered = bool(mapping.state and state in mapping.state.recovered)
        share = 1.0
        if mapping.coverage and (text := row[self._names[mapping.coverage.column]].strip()):
            share = _share(text, mapping.coverage.column)
        return share, recovered, missing

    def _counts(
        self, row: Sequence[str], columns: Sequence[_Column], line: int, *, missing: bool
    ) -> dict[str, dict[int, int]]:
        """The counts of a row by place and cell; columns of the same cell are added."""
        found: dict[str, dict[int, int]] = {}
        totals: list[tuple[_Column, int]] = []
        for column in columns:
            count = MISSING if missing else self._count(row[column.at], column.name, line)
            if column.fallback:
                totals.append((column, count))
                continue
            cells = found.setdefault(column.place, {})
            if MISSING in (before := cells.get(column.cell, count), count) and before != count:
                text = f"column {column.name}: of the columns that are added up some have a count and some have none"
                self._fault(Kind.PARTS, text, line)
                count = FAULTY
            cells[column.cell] = _added(cells[column.cell], count) if column.cell in cells else count
        for column, total in totals:
            cells = found.setdefault(column.place, {})
            if all(count == MISSING for count in cells.values()):
                found[column.place] = {column.cell: total}
            elif total >= 0 and all(count >= 0 for count in cells.values()) and total != sum(cells.values()):
                self._fault(
                    Kind.TOTAL,
                    f"column {column.name}: {total}, but the other columns are {sum(cells.values())} together",
                    line,
                )
                found[column.place] = dict.fromkeys(cells, FAULTY)
        return found

    def _count(self, text: str, column: str, line: int) -> int:
        text = text.strip()
        if text.isdigit() and len(text) < _MOST_DIGITS and text.isascii():
            count = int(text)
        elif text in self._mapping.file.missing:
            return MISSING
        else:
            try:
                count = self._number_of(text)
            except _RowError as error:
                self._fault(error.kind, f"column {column}: {error}", line)
                return FAULTY
        if count > MAX_COUNT:
            self._fault(Kind.TOO_MANY, f"column {column}: {text} is more than can be stored", line)
            return FAULTY
        return count

    def _keep(
        self, place: str, span: Span | Doubled, cell: int, count: int, *, share: float, recovered: bool, line: int
    ) -> None:
        readings = self._found.places.get(place)
        if readings is None:
            readings = self._found.places[place] = Readings()
            self._found.first_seen[place] = (self._name, line)
        if isinstance(span, Doubled):
            self._pending[place].append(_Pending(span, cell, count, share, recovered, line))
            return
        last = self._last.get(place)
        if last is not None and span.start < last:
            if not self._shuffled[place] or self._shuffled[place][-1] != line:
                self._shuffled[place].append(line)
                self._shuffled_days[place].add(span.start // 86_400)
        else:
            self._last[place] = span.start
        readings.add(span, cell, count, _observed(span, count, share, recovered=recovered), (self._number, line))

    def _in_no_hour(self, row: Sequence[str], columns: Sequence[_Column], line: int, error: NoSuchTimeError) -> None:
        counts = [self._count(row[column.at], column.name, line) for column in columns]
        if any(count > 0 for count in counts):
            raise _RowError(Kind.NO_SUCH_HOUR, f"{error}, and {max(counts)} are said to have passed in it")
        if any(count == 0 for count in counts):
            self._zeros_in_no_hour.append(line)

    # -- the hour that October has twice ------------------------------------------------------------------------------

    def _settle(self) -> None:
        for place, pending in self._pending.items():
            nights: dict[object, list[_Pending]] = defaultdict(list)
            for item in pending:
                nights[item.label.local.date()].append(item)
            for night in nights.values():
                self._settle_night(place, night)

    def _settle_night(self, place: str, night: Sequence[_Pending]) -> None:
        times: dict[tuple[Doubled, int], list[_Pending]] = defaultdict(list)
        for item in night:
            times[item.label, item.cell].append(item)
        lines = sorted({item.line for item in night})
        what = f"the hour that the night of {night[0].label.local:%Y-%m-%d} has twice"
        often = {len({item.line for item in items}) for items in times.values()}
        policy = self._mapping.time.doubled_hour
        if often == {2}:
            self._both(place, times, what, lines)
        elif often != {1}:
            self._undecided(place, night, f"{what} is not there once or twice throughout ({lines_of(lines)})")
        elif policy == "summed":
            self._summed(place, night, what, lines)
        elif policy in ("earlier", "later"):
            for item in night:
                self._place(place, item, self._clock.of_two(item.label, int(policy == "later")))
            text = f"{what} is there once, that of the {policy} hour; the other one was not measured"
            self._say(Kind.DOUBLED_HOUR, text, lines[0], place, fault=False)
        elif policy == "leave":
            text = f"{what} is there once ({lines_of(lines)}), and nothing says of which hour it is: left out"
            self._say(Kind.DOUBLED_HOUR, text, lines[0], place, fault=False)
        else:
            say = "say with doubled_hour in [time] whether it is the sum of both, the earlier or the later one"
            self._undecided(place, night, f"{what} is there once ({lines_of(lines)}); {say}, or leave it out")

    def _undecided(self, place: str, night: Sequence[_Pending], text: str) -> None:
        self._say(Kind.DOUBLED_HOUR, text, min(item.line for item in night), place, fault=True)
        for item in night:
            for which in (0, 1):
                span = self._clock.of_two(item.label, which)
                self._found.places[place].add(span, item.cell, FAULTY, 0, (self._number, item.line))

    def _both(
        self, place: str, times: Mapping[tuple[Doubled, int], Sequence[_Pending]], what: str, lines: Sequence[int]
    ) -> None:
        items = [item for group in times.values() for item in group]
        same = all(len({(item.count, item.share, item.recovered) for item in group}) == 1 for group in times.values())
        day = self._clock.of_two(items[0].label, 0).start // 86_400
        if not same and self._shuffled_days[place] & {day - 1, day, day + 1}:
            # Which row is the earlier hour's can no longer be told, only what both are together.
            self._summed(place, items, f"{what} is there twice, in rows that are shuffled, and so", lines)
            return
        for group in times.values():
            for which, item in enumerate(sorted(group, key=lambda item: item.line)):
                self._place(place, item, self._clock.of_two(item.label, which))
        text = f"{what} is there twice, taken in the order of the lines ({lines_of(lines)})"
        self._say(Kind.DOUBLED_HOUR, text, lines[0], place, fault=False)

    def _summed(self, place: str, night: Sequence[_Pending], what: str, lines: Sequence[int]) -> None:
        span = self._clock.of_both([item.label for item in night])
        labels = {item.label for item in night}
        cells = {item.cell for item in night}
        if span is None or len({(item.label, item.cell) for item in night}) != len(labels) * len(cells):
            self._undecided(
                place, night, f"{what} is not there from end to end ({lines_of(lines)}): the sum is not known"
            )
            return
        for cell in cells:
            mine = [item for item in night if item.cell == cell]
            counts = [item.count for item in mine]
            count = reduce(_added, counts)
            share = sum(item.share for item in mine) / len(mine)
            whole = _Pending(mine[0].label, cell, count, share, any(item.recovered for item in mine), mine[0].line)
            self._place(place, whole, span)
        hours = (span.end - span.start) / 3600
        text = f"{what} holds the sum of both ({lines_of(lines)}), which cannot be divided: one span of {hours:g} hours"
        self._say(Kind.DOUBLED_HOUR, text, lines[0], place, fault=False)

    def _place(self, place: str, item: _Pending, span: Span) -> None:
        observed = _observed(span, item.count, item.share, recovered=item.recovered)
        self._found.places[place].add(span, item.cell, item.count, observed, (self._number, item.line))


def _of(places: Sequence[str]) -> str:
    """The places of a finding, to begin its sentence with."""
    if len(places) > 3:
        return f"{len(places)} places ({', '.join(places[:3])}, …): "
    return f"{', '.join(places)}: " if any(places) else ""


def _added(one: int, other: int) -> int:
    """Two counts together; if one of them is missing or faulty, so is the sum."""
    worst = min(one, other)
    return worst if worst < 0 else one + other


def _observed(span: Span, count: int, share: float, *, recovered: bool) -> int:
    # Up, because the API writes coverage cut to four digits: so what it wrote is what it writes again.
    return 0 if count < 0 or recovered else ceil(Decimal(str(share)) * (span.end - span.start))


def _label(text: str, pattern: Pattern | None, *, included: bool) -> Label:
    return iso(text) if pattern is None else pattern.read(text, end_included=included)


def _unit(pattern: Pattern | None) -> timedelta:
    return timedelta(seconds=1) if pattern is not None and "second" in pattern.parts else timedelta(minutes=1)


def _word(text: str, column: str, words: Mapping[str, str]) -> str:
    text = text.strip()
    if text not in words:
        known = ", ".join(repr(word) for word in words)
        raise _RowError(Kind.WORD, f"column {column}: {text!r} is none of {known}")
    return words[text]


def _share(text: str, column: str) -> float:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal("NaN")
    if not (share.is_finite() and 0 <= share <= 1):
        raise _RowError(Kind.VALUE, f"column {column}: {text!r} is not a number from 0 to 1")
    return float(share)


def _number_reader(form: mappings.FileFormat) -> Callable[[str], int]:
    """What turns a text into a count, by the file's marks."""
    groups = re.compile(rf"[+-]?\d{{1,3}}(?:{re.escape(form.thousands)}\d{{3}})+(?!\d)") if form.thousands else None

    def number(text: str) -> int:
        plain = text
        if groups and (found := groups.match(plain)):
            plain = found[0].replace(form.thousands, "") + plain[found.end() :]
        if form.decimal != ".":
            plain = plain.replace(".", "?").replace(form.decimal, ".")
        try:
            value = Decimal(plain) if re.fullmatch(r"[+-]?\d+(\.\d*)?", plain, re.ASCII) else None
        except InvalidOperation:
            value = None
        if value is None:
            raise _RowError(Kind.VALUE, f"{text!r} is no number of passages")
        if value < 0:
            raise _RowError(Kind.NEGATIVE, f"{text} passages are less than none")
        if value != value.to_integral_value():
            raise _RowError(Kind.FRACTION, f"{text} is no whole number: is it a mean, or scaled?")
        return int(value)

    return number
