"""``footfall-api``: says which extra is missing, if one is, before anything else is imported."""

import sys
from collections.abc import Sequence

from footfall_role import extras

_NEEDED = (
    "fastapi", "uvicorn", "psycopg", "psycopg_pool", "jinja2", "babel", "pydantic_settings", "prometheus_client",
    "pyarrow", "rdflib", "shapely", "numpy", "paho", "urllib3", "holidays",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    extras.require("api", _NEEDED)
    from footfall_api import cli  # noqa: PLC0415  # only now is it known to be importable

    return cli.run(argv)


if __name__ == "__main__":
    sys.exit(main())
