"""Write an answer as JSON or CSV, in pieces large enough to send.

The fields and their names are a promise (docs/api.md). The rows are put together as text, not by a model for each: a
year of minutes has a million of them. Sending each row by itself would be slower still, so rows are gathered to
`PIECE_CHARS`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.answers import Answer
from footfall_api.counts import Block, Column
from footfall_api.question import Dimension, Format, Question

PIECE_CHARS: Final = 65_536
"""Least length of a piece, the last one excepted."""

HEADER: Final = (
    "station", "interval_start", "interval_end", "direction", "class", "sensor",
    "count", "coverage", "state", "reason", "final",
)  # fmt: skip
"""The columns of CSV, in this order for ever."""

BOM: Final = "\ufeff"
"""Tells Excel that the file is UTF-8."""

_Row = Callable[[str, str, Column, Answer, int | None], str]


@dataclass(frozen=True, slots=True)
class CsvStyle:
    """How a flavour of CSV is written."""

    delimiter: str
    decimal: str
    line_end: str
    begin: str


CSV_STYLES: Final = {
    Format.CSV: CsvStyle(",", ".", "\n", ""),
    Format.CSV_DE: CsvStyle(";", ",", "\r\n", BOM),  # what German Excel opens with a double click
}


def csv_header(style: CsvStyle) -> str:
    """The first line."""
    return style.begin + style.delimiter.join(HEADER) + style.line_end


def csv_pieces(block: Block, question: Question, style: CsvStyle) -> list[str]:
    """The lines of a block."""
    d, end = style.delimiter, style.line_end
    first = _cell(question.station, d)
    middles = {id(c): f"{d}{c.direction}{d}{c.class_}{d}{_cell(c.sensor, d)}{d}" for c in block.columns}

    def row(start: str, stop: str, column: Column, answer: Answer, count: int | None) -> str:
        coverage = "" if answer.coverage is None else str(answer.coverage).replace(".", style.decimal)
        return (
            f"{first}{d}{start}{d}{stop}{middles[id(column)]}{'' if count is None else count}{d}{coverage}{d}"
            f"{answer.state}{d}{answer.reason or ''}{d}{'true' if answer.final else 'false'}{end}"
        )

    return list(_gather(_rows(block, question.zone, row), ""))


def _cell(text: str, delimiter: str) -> str:
    if delimiter in text or any(character in '"\r\n' for character in text):
        return '"' + text.replace('"', '""') + '"'
    return text


def json_begin(question: Question, licence: str, attribution: str) -> str:
    """Everything before the values."""
    head = {
        "resolution": question.resolution,
        "timezone": question.zone.key,
        "unit": "passages",
        "licence": licence,
        "attribution": attribution,
    }
    return json.dumps(head, ensure_ascii=False, separators=(",", ":"))[:-1] + ',"values":['


def json_pieces(block: Block, question: Question) -> list[str]:
    """The values of a block, joined by commas, without one at either end."""
    first = f'{{"station":{json.dumps(question.station)},"start":"'
    middles = {
        id(c): f'","direction":"{c.direction}","class":"{c.class_}","sensor":{json.dumps(c.sensor)},"count":'
        for c in block.columns
    }

    def row(start: str, stop: str, column: Column, answer: Answer, count: int | None) -> str:
        reason = "null" if answer.reason is None else f'"{answer.reason}"'
        coverage = "null" if answer.coverage is None else answer.coverage
        return (
            f'{first}{start}","end":"{stop}{middles[id(column)]}{"null" if count is None else count},'
            f'"coverage":{coverage},"state":"{answer.state}","reason":{reason},'
            f'"final":{"true" if answer.final else "false"}}}'
        )

    return list(_gather(_rows(block, question.zone, row), ","))


def json_end(next_link: str | None) -> str:
    """Everything after the values."""
    return f'],"next":{json.dumps(next_link)}}}'


def file_name(question: Question) -> str:
    """A name for the answer as a file; it says what is in it, and which of the flavours of CSV it is."""
    days = [
        datetime.fromtimestamp(instant_s, question.zone).date().isoformat()
        for instant_s in (question.from_s, question.to_s - 1)
    ]
    by = "_by-" + "-".join(d for d in Dimension if d in question.split) if question.split else ""
    suffix = ".excel-de.csv" if question.format is Format.CSV_DE else ".csv"
    return f"footfall_{question.station}_{question.resolution}{by}_{days[0]}_{days[1]}{suffix}"


def _rows(block: Block, zone: ZoneInfo, row: _Row) -> Iterator[str]:
    start = _time(block.edges_s[0], zone)
    for i, edge_s in enumerate(block.edges_s[1:]):
        end = _time(edge_s, zone)
        for column in block.columns:
            answer = block.answers[column.group][i]
            yield row(start, end, column, answer, None if answer.count is None else column.counts[i])
        start = end


def _time(instant_s: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(instant_s, zone).isoformat()


def _gather(rows: Iterator[str], joint: str) -> Iterator[str]:
    """Rows joined to pieces of at least `PIECE_CHARS` characters; between pieces stands no joint."""
    gathered: list[str] = []
    length = 0
    for row in rows:
        gathered.append(row)
        length += len(row)
        if length >= PIECE_CHARS:
            yield joint.join(gathered)
            gathered, length = [], 0
    if gathered:
        yield joint.join(gathered)
