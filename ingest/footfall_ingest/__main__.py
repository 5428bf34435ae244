"""``footfall-ingest``: says which extra is missing, if one is, before anything else is imported."""

import sys
from collections.abc import Sequence

from footfall_role import extras

_NEEDED = ("numpy", "paho", "psycopg", "alembic", "pydantic_settings", "prometheus_client")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return its exit status."""
    extras.require("ingest", _NEEDED)
    from footfall_ingest import cli  # noqa: PLC0415  # it imports what the line above checks

    return cli.run(argv)


if __name__ == "__main__":
    sys.exit(main())
