"""A finding about security that is left standing has its reason beside it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("contract", "role", "edge", "ingest", "api", "firmware-sim", "deploy", "tools")


def test_every_suppressed_finding_has_its_reason() -> None:
    """After `noqa: S…` (ruff's rules of bandit) follows a comment that says why it is no weakness."""
    lines = [
        (path, number, line)
        for folder in SOURCES
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"# noqa:.*\bS\d", line)
    ]

    assert len(lines) > 30
    bare = [f"{path}:{number}" for path, number, line in lines if not re.search(r"# noqa: [A-Z0-9, ]+  # \w+", line)]
    assert not bare, "say why, as in `# noqa: S608  # constants of this module`: " + ", ".join(bare)
