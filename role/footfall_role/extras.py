"""Say which extra a role needs, instead of a traceback about a missing module."""

import importlib.util
import sys
from collections.abc import Sequence


def missing(modules: Sequence[str]) -> list[str]:
    """The top-level modules among `modules` that cannot be imported here."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def require(extra: str, modules: Sequence[str]) -> None:
    """Leave the process with exit status 2 and one sentence if a module of `extra` is not installed.

    Called first thing in a role's ``main``, before any third-party import. `modules` are top-level import names.
    """
    absent = missing(modules)
    if absent:
        sys.stderr.write(
            f"footfall-{extra} needs the extra '{extra}', which is not installed (missing: {', '.join(absent)}).\n"
            f"Install it with: pip install 'footfall[{extra}]'\n"
        )
        raise SystemExit(2)
