"""``footfall-demo``: from the command line to an exit status, every refusal a sentence."""

import sys
from collections.abc import Sequence

import psycopg

from footfall_demo import demo
from footfall_demo.options import parse
from footfall_demo.refusals import FailedError, RefusedError
from footfall_demo.terminal import Terminal


def run(argv: Sequence[str] | None = None) -> int:
    """Run the demo. Exit status 0: done; 1: something differs or failed; 2: it could not start."""
    options = parse(argv)
    try:
        return demo.run(options, Terminal())
    except RefusedError as error:
        return _refused(error, 2)
    except (FailedError, psycopg.Error) as error:
        return _refused(error, 1)
    except KeyboardInterrupt:
        return 0  # Ctrl-C before anything was started


def _refused(error: Exception, status: int) -> int:
    sys.stderr.write(f"footfall-demo: {error}\n")
    return status
