"""What was found wrong in a file: each with its kind, its file and its line."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SHOWN = 20
"""So many findings of a kind are shown to people; the report as a file has all."""


class Kind(StrEnum):
    """What may be wrong. The values are words of the report: they do not change."""

    FILE = "file"
    COLUMNS = "columns"
    ROW = "row"
    TIME = "time"
    NO_SUCH_HOUR = "no-such-hour"
    DOUBLED_HOUR = "doubled-hour"
    VALUE = "value"
    NEGATIVE = "negative"
    FRACTION = "fraction"
    TOO_MANY = "too-many"
    WORD = "word"
    PLACE = "unknown-place"
    NOT_INSTALLED = "not-installed"
    LENGTH = "length"
    FUTURE = "future"
    TOO_OLD = "too-old"
    REPEATED = "repeated"
    CONTRADICTION = "contradiction"
    PARTS = "parts"
    OVERLAP = "overlap"
    TOTAL = "total"
    SHUFFLED = "shuffled"
    HOLE = "hole"
    ZEROS = "zeros"
    MONTH_END = "month-end"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth to know. A `fault` could make a count wrong, and refuses the file."""

    kind: Kind
    fault: bool
    text: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file} line {self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{where}{self.text}"

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "kind": str(self.kind),
            "fault": self.fault,
            "file": self.file or None,
            "line": self.line or None,
            "text": self.text,
        }


@dataclass
class Findings:
    """All that was found, in the order in which it was."""

    items: list[Finding] = field(default_factory=list)

    def fault(self, kind: Kind, text: str, file: str = "", line: int = 0) -> None:
        """Something that could make a count wrong."""
        self.items.append(Finding(kind, True, text, file, line))

    def note(self, kind: Kind, text: str, file: str = "", line: int = 0) -> None:
        """Something that is odd, and does not make a count wrong."""
        self.items.append(Finding(kind, False, text, file, line))

    @property
    def faults(self) -> list[Finding]:
        """Those that refuse the file."""
        return [item for item in self.items if item.fault]

    def of(self, kind: Kind) -> list[Finding]:
        """Those of one kind."""
        return [item for item in self.items if item.kind is kind]


def shown(items: Iterable[Finding]) -> list[str]:
    """The findings for people: of each kind the first ones, and how many more there are."""
    kept: Counter[tuple[Kind, bool]] = Counter()
    lines: list[str] = []
    items = list(items)
    for item in items:
        kept[item.kind, item.fault] += 1
        if kept[item.kind, item.fault] <= SHOWN:
            lines.append(f"{'fault' if item.fault else 'note '}  {item.kind}: {item}")
    more = {what: number - SHOWN for what, number in kept.items() if number > SHOWN}
    return lines + [f"…      {kind}: {number} more" for (kind, _), number in more.items()]


def lines_of(lines: Sequence[int]) -> str:
    """Line numbers for a sentence."""
    first = ", ".join(map(str, lines[:5]))
    return f"line{'s' if len(lines) > 1 else ''} {first}{f' and {len(lines) - 5} more' if len(lines) > 5 else ''}"


def number_of(number: int, what: str) -> str:
    """A number of things for people."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
