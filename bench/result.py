"""What a benchmark came to: figures with their spread, targets and whether they were reached; as text and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.measure import Spread


@dataclass(frozen=True)
class Figure:
    """One measured quantity."""

    what: str
    unit: str
    spread: Spread

    @classmethod
    def of(cls, what: str, unit: str, values: Sequence[float] | float) -> "Figure":
        """From the values of the rounds, or one value."""
        return cls(what, unit, Spread.of(values))


@dataclass(frozen=True)
class Target:
    """What was to be reached, in the unit of the spread; `aim` is what would be better still."""

    what: str
    unit: str
    spread: Spread
    at: Literal["least", "most"]
    limit: float
    aim: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the median keeps the limit."""
        return self._keeps(self.limit)

    @property
    def verdict(self) -> str:
        """``reached``, ``aim reached`` or ``NOT REACHED``."""
        if self.aim is not None and self._keeps(self.aim):
            return "aim reached"
        return "reached" if self.reached else "NOT REACHED"

    def _keeps(self, limit: float) -> bool:
        return self.spread.median >= limit if self.at == "least" else self.spread.median <= limit

    @property
    def wanted(self) -> str:
        """The limit in words."""
        aim = "" if self.aim is None else f" (aim {number(self.aim)})"
        return f"at {self.at} {number(self.limit)}{aim}"


@dataclass(frozen=True)
class Curve:
    """How something went on over time: one row for each look."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[float]]


@dataclass
class Result:
    """All of one benchmark. `skipped` says why there is nothing else."""

    name: str
    title: str
    size: Mapping[str, Any]
    figures: list[Figure] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    servers: dict[str, str] = field(default_factory=dict)
    """The servers that took part, with their versions and what matters of their settings."""
    skipped: str | None = None
    command: str = ""
    """What repeats it."""
    tiny: bool = False
    """Only to see that it runs: the figures say nothing."""
    machine: dict[str, Any] = field(default_factory=dict)

    def figure(self, what: str, unit: str, values: Sequence[float] | float) -> None:
        """Add a figure."""
        self.figures.append(Figure.of(what, unit, values))

    def at_least(self, what: str, values: Sequence[float] | float, limit: float, **more: Any) -> None:
        """Add a target: what `values` must reach, as `aim` and in the `unit` that `more` names."""
        self._target("least", what, values, limit, **more)

    def at_most(self, what: str, values: Sequence[float] | float, limit: float, **more: Any) -> None:
        """Add a target: what `values` must not exceed."""
        self._target("most", what, values, limit, **more)

    def _target(
        self,
        at: Literal["least", "most"],
        what: str,
        values: Sequence[float] | float,
        limit: float,
        *,
        aim: float | None = None,
        unit: str = "×",
    ) -> None:
        self.targets.append(Target(what, unit, Spread.of(values), at, limit, aim))

    def as_json(self) -> dict[str, Any]:
        """For a file; `read` takes it back."""
        content = asdict(self)
        content["targets"] = [
            asdict(target) | {"reached": target.reached, "verdict": target.verdict} for target in self.targets
        ]
        return content

    def write(self, path: Path) -> None:
        """Write the file of this result."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), ensure_ascii=False, indent=2) + "\n", "utf-8")


def read(path: Path) -> Result:
    """The result in a file that `Result.write` wrote."""
    content = json.loads(path.read_text("utf-8"))
    content["figures"] = [Figure(f["what"], f["unit"], Spread(**f["spread"])) for f in content["figures"]]
    content["targets"] = [
        Target(t["what"], t["unit"], Spread(**t["spread"]), t["at"], t["limit"], t["aim"]) for t in content["targets"]
    ]
    content["curves"] = [Curve(**curve) for curve in content["curves"]]
    return Result(**content)


def number(value: float) -> str:
    """Three significant digits, thousands apart, no exponent."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        digits = 0 if size < 100_000 else -3
        return f"{round(value, digits):,.0f}".replace(",", " ")
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def between(spread: Spread) -> str:
    """Lowest to highest of the rounds; nothing if there was one."""
    return "" if spread.rounds == 1 else f"{number(spread.low)} … {number(spread.high)}"


def text(result: Result) -> str:
    """For a terminal."""
    lines = ["", f"{result.name}: {result.title}"]
    if result.skipped:
        return "\n".join([*lines, f"  SKIPPED: {result.skipped}"])
    if result.tiny:
        lines.append("  (tiny: this shows that it runs; the figures say nothing)")
    lines += [f"  {what}: {which}" for what, which in result.servers.items()]
    for figure in result.figures:
        spread = f"   {between(figure.spread)}" if figure.spread.rounds > 1 else ""
        lines.append(f"  {figure.what:<66} {number(figure.spread.median):>10} {figure.unit}{spread}")
    for target in result.targets:
        lines.append(
            f"  → {target.what}: {number(target.spread.median)} {target.unit}, {target.wanted}: {target.verdict}"
        )
    for curve in result.curves:
        width = [max(len(column), 9) for column in curve.columns]
        lines += [f"  {curve.title}", "  " + "  ".join(f"{c:>{w}}" for c, w in zip(curve.columns, width, strict=True))]
        lines += [
            "  " + "  ".join(f"{number(value):>{w}}" for value, w in zip(row, width, strict=True)) for row in curve.rows
        ]
    return "\n".join(lines + [f"  {note}" for note in result.notes])
