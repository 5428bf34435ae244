"""``python -m bench report``: the tables of the pages with figures, from the files that the benchmarks wrote.

What lies between ``<!-- bench:NAME -->`` and ``<!-- /bench:NAME -->`` is made, the rest of the page is written by hand.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.result import Curve, Result, between, number, read
from bench.servers import ROOT

PAGES = (ROOT / "docs" / "performance.md", ROOT / "docs" / "sensors" / "accuracy.md")

_MARKED = re.compile(r"(<!-- bench:(?P<name>[a-z]+) -->\n).*?(<!-- /bench:(?P=name) -->)", re.DOTALL)

_NOT_VERSIONS = ("when", "cpu", "cores", "memory_gb", "load", "system")


def main(folder: Path, *, check: bool = False, pages: Sequence[Path] = PAGES) -> int:
    """Make the pages anew, or with `check` only say whether that would change one; returns the exit status."""
    status = 0
    for page in pages:
        before = page.read_text("utf-8")
        after = made(before, folder)
        if not check:
            page.write_text(after, "utf-8")
        elif after != before:
            print(f"{page.name} is not what {folder} gives: run python -m bench report", file=sys.stderr)
            status = 1
    return status


def made(page: str, folder: Path) -> str:
    """The page with its marked parts made from the results in `folder`."""
    results = {path.stem: read(path) for path in sorted(folder.glob("*.json"))}

    def part(found: re.Match[str]) -> str:
        name = found["name"]
        if name == "summary":
            lines = _summary(list(results.values()))
        elif name in results:
            lines = _result(results[name])
        else:
            lines = iter([f"There is no result: `make bench ARGS={name}` makes one."])
        return found[1] + "\n" + "\n".join(lines) + "\n\n" + found[3]

    return _MARKED.sub(part, page)


def _summary(results: list[Result]) -> Iterator[str]:
    """Every target of every benchmark in one table; what is not reached or was not measured is said first."""
    if not results:
        yield "There are no results: `make bench` makes them."
        return
    missed = [f"{r.name}: {t.what} ({number(t.spread.median)} {t.unit}, {t.wanted})" for r in results for t in r.targets if not t.reached]  # fmt: skip  # noqa: E501
    if missed:
        yield "**Not reached:**"
        yield ""
        yield from (f"- {line}" for line in missed)
    else:
        yield "Every target that was measured is reached."
    skipped = [f"- {result.name}: not measured, {result.skipped}" for result in results if result.skipped]
    if skipped:
        yield ""
        yield from skipped
    yield ""
    yield "| benchmark | target | wanted | median | lowest … highest | |"
    yield "|---|---|---|---:|---|---|"
    for result in results:
        for target in result.targets:
            yield _row(
                result.name, target.what, f"{target.wanted} {target.unit}", number(target.spread.median),
                between(target.spread), f"**{target.verdict}**" if not target.reached else target.verdict,
            )  # fmt: skip


def _result(result: Result) -> Iterator[str]:
    yield f"`{result.command}`"
    if result.tiny:
        yield ""
        yield "**A tiny run, which only shows that the benchmark runs: these figures say nothing.**"
    yield ""
    if result.skipped:
        yield f"Not measured: {result.skipped}."
        return
    yield "| | median | lowest … highest | unit |"
    yield "|---|---:|---|---|"
    for figure in result.figures:
        yield _row(figure.what, number(figure.spread.median), between(figure.spread), figure.unit)
    if result.targets:
        yield ""
        yield "| target | wanted | median | lowest … highest | |"
        yield "|---|---|---:|---|---|"
    for target in result.targets:
        verdict = target.verdict if target.reached else f"**{target.verdict}**"
        yield _row(target.what, f"{target.wanted} {target.unit}", number(target.spread.median), between(target.spread), verdict)  # fmt: skip  # noqa: E501
    for curve in result.curves:
        yield from _curve(curve)
    yield ""
    size = ", ".join(f"{field} {value}" for field, value in result.size.items())
    machine = result.machine
    versions = ", ".join(f"{name} {value}" for name, value in machine.items() if name not in _NOT_VERSIONS)
    yield f"- size: {size}"
    yield f"- {machine['when']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}; load before: {machine['load']}"  # noqa: E501
    yield f"- {versions}"
    yield from (f"- {what}: {which}" for what, which in result.servers.items())
    yield from (f"- {note}" for note in result.notes)


def _curve(curve: Curve) -> Iterator[str]:
    yield ""
    yield f"{curve.title[0].upper()}{curve.title[1:]}:"
    yield ""
    yield _row(*curve.columns)
    yield "|" + "---:|" * len(curve.columns)
    for row in curve.rows:
        yield _row(*map(number, row))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
