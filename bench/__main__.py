"""``make bench``, ``PYTHONPATH=tests python -m bench NAME …`` for some, ``python -m bench report`` for the page."""

import argparse
import dataclasses
import importlib
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.result import Result, text
from bench.servers import ROOT

NAMES = (
    "aggregate",
    "decoding",
    "sensors",
    "accuracy",
    "ingest",
    "city",
    "workers",
    "memory",
    "writing",
    "disk",
    "api",
    "things",
    "questions",
    "pages",
)
RESULTS = ROOT / "bench" / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all; or make the page."""
    parser = _parser()
    options = parser.parse_args(argv)
    chosen = options.names or NAMES
    if chosen == ["report"]:
        return report.main(options.json or RESULTS, check=options.check)
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
    sizes = _sizes(parser, options.size, chosen)
    folder = options.json or (None if options.tiny or sizes else RESULTS)
    print(", ".join(f"{key} {value}" for key, value in machine.describe().items()))
    for name in chosen:
        result = run(name, sizes, tiny=options.tiny)
        print(text(result), flush=True)
        if folder is not None:
            result.write(folder / f"{name}.json")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure speed, memory and size against named peers."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all); or report")
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="FIELD=NUMBER",
        help="how much to do, e.g. --size reports=1000; the benchmarks that have such a size take it",
    )
    parser.add_argument("--tiny", action="store_true", help="only see that it runs: the figures say nothing")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FOLDER",
        help="where NAME.json is written, and read by report (default: "
        f"{RESULTS.relative_to(ROOT)}, but nowhere for other sizes than the usual ones)",
    )
    parser.add_argument(
        "--check", action="store_true", help="report: say whether the page is up to date, change nothing"
    )
    return parser


def run(name: str, sizes: Mapping[str, int], *, tiny: bool = False) -> Result:
    """Run one benchmark with the sizes that it has among `sizes`."""
    module = importlib.import_module(f"bench.{name}")
    size = module.TINY if tiny else module.Size()
    mine = {field.name: sizes[field.name] for field in dataclasses.fields(size) if field.name in sizes}
    described, begin = machine.describe(), time.monotonic()
    result: Result = module.run(dataclasses.replace(size, **mine))
    result.machine = described
    result.notes.append(f"It took {time.monotonic() - begin:.0f} s.")
    result.tiny = tiny
    words = [name, *(f"--size {field}={value}" for field, value in mine.items()), *(["--tiny"] if tiny else [])]
    result.command = f'make bench ARGS="{" ".join(words)}"'
    return result


def _sizes(parser: argparse.ArgumentParser, given: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    known: dict[str, Any] = {}
    for name in names:
        known |= {field.name: name for field in dataclasses.fields(importlib.import_module(f"bench.{name}").Size)}
    sizes = {}
    for word in given:
        field, _, value = word.partition("=")
        if field not in known:
            parser.error(f"--size {word}: there is no such size; there are: {', '.join(sorted(known))}")
        if not value.isdecimal():
            parser.error(f"--size {word}: must be like {field}=1000")
        sizes[field] = int(value)
    return sizes


if __name__ == "__main__":
    sys.exit(main())
