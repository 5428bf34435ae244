"""Entry point of ``footfall-sim`` and ``python -m footfall_sim``."""

import sys
from collections.abc import Sequence

from footfall_role import extras


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulator; exit status 2 and a sentence if something it needs is missing or wrong."""
    extras.require("sim", ("numpy", "pydantic_settings"))
    from footfall_sim import cli  # noqa: PLC0415  # only now is it sure that its imports are there

    return cli.run(argv)


if __name__ == "__main__":
    sys.exit(main())
