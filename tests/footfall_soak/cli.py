"""The command line of the soak."""

import argparse
import json
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from footfall_demo.broker import find_mosquitto
from footfall_soak import report
from footfall_soak.city import City
from footfall_soak.faults import ALL, by_name
from footfall_soak.layout import jena
from footfall_soak.schedule import ScheduleError, plan
from footfall_soak.soak import Options, Result, Soak

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a soak. 0: nothing lost, nothing double, nothing else wrong; 1: something was; 2: it could not be run."""
    words = _parser().parse_args(argv)
    seed = random.SystemRandom().randrange(100_000) if words.seed is None else words.seed
    layout = jena(words.workers)
    if find_mosquitto() is None:
        sys.stderr.write("footfall-soak: mosquitto is not installed; the soak strikes it (apt install mosquitto)\n")
        return 2
    try:
        strikes = plan(seed, words.seconds, layout, ALL)
    except ScheduleError as error:
        sys.stderr.write(f"footfall-soak: {error}\n")
        return 2
    again = f"make soak SOAK={words.seconds:g} SEED={seed} WORKERS={words.workers}"
    print(f"{len(strikes)} faults in {words.seconds:g} s; seed {seed}; again: {again}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    result = run(Options(seed, layout, strikes, by_name(), words.seconds), again)
    if result is None:
        return INTERRUPTED
    if words.json is not None:
        words.json.write_text(json.dumps(report.as_json(result), indent=1) + "\n", "utf-8")
    if result.interrupted:
        return INTERRUPTED
    return 0 if result.good else 1


def run(options: Options, again: str) -> Result | None:
    """One run, reported on standard output; None if it was broken off.

    Its folder goes with it, unless something was wrong: then it stays, and is named.
    """
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="footfall-soak-"))
    city = City(options.layout, folder, options.seed)
    keep = True
    try:
        with city:
            soak = Soak(city, options, console.progress)
            result = soak.run()
        console.clear()
        print(report.text(result, again), end="")
        keep = bool(result.balance.differences or result.faults or result.settled_s is None)
        if keep:
            print(report.what_to_look_at(result, city.logs()), end="")
    except KeyboardInterrupt:
        console.clear()
        print("broken off")
        keep = False
        return None
    finally:
        if keep:
            print(f"everything is kept in {folder}", flush=True)
        else:
            city.remove()
    return result


class Console:
    """Progress: one line that changes on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._changes = sys.stdout.isatty()

    def progress(self, line: str) -> None:
        """Say how far it is."""
        print(f"\r\033[K{line}" if self._changes else line, end="" if self._changes else "\n", flush=True)

    def clear(self) -> None:
        """Make room for something else."""
        if self._changes:
            print("\r\033[K", end="", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make soak",
        description="Strike a whole city of real processes with a seeded schedule of faults, and hold what is stored "
        "against what was true.",
    )
    parser.add_argument("--seconds", type=float, default=300, help="how long faults strike (default: 300)")
    parser.add_argument("--seed", type=int, help="repeats a run's schedule and people (default: by lot, and told)")
    parser.add_argument("--workers", type=int, default=1, help="aggregators on one subscription (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result for programs")
    return parser
