"""``make bench``, or ``python -m bench NAME …`` for some of the benchmarks."""

import argparse
import importlib
import platform
import sys

import numpy as np

NAMES = ("aggregate", "decoding", "ingest", "memory", "workers")


def main() -> int:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(description="Measure speed and memory against named peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    chosen = parser.parse_args().names or NAMES
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}")
    for name in chosen:
        importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
