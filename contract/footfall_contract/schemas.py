"""The JSON Schemas of the contract (draft 7, which every tool reads), shipped with the package.

They describe JSON and, but for typed arrays, CBOR. What a schema can say it says exactly as the code does; what it
cannot is named in its description and left to the code.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

__all__ = ["NAMES", "load"]

NAMES: Final = ("report", "commit-notice", "node-status", "sensor-health")


def load(name: str) -> dict[str, Any]:
    """Return the schema called `name`, one of `NAMES`. Raises FileNotFoundError for any other."""
    schema: dict[str, Any] = json.loads((files("footfall_contract") / "schema" / f"{name}.json").read_bytes())
    return schema
