"""docs/import.md: its example is run as it stands there."""

import re
from pathlib import Path

import pytest

from footfall_ingest.__main__ import main

PAGE = Path(__file__).parents[2] / "docs" / "import.md"
FILES = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
STEPS = re.compile(
    r"<!-- replace in (?P<file>\S+): (?P<old>\S+) = (?P<new>\S+) -->"
    r"|```console\n\$ footfall-ingest (?P<words>.*?)\n(?P<said>.*?)```",
    re.DOTALL,
)


def test_the_example_of_hand_counts_says_what_the_page_says(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files of the page, its commands in its order, and the output that it shows."""
    page = PAGE.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    for name, content in FILES.findall(page):
        Path(name).write_text(content, encoding="utf-8")

    shown, said = [], []
    for step in STEPS.finditer(page):
        if step["file"]:
            path = Path(step["file"])
            path.write_text(path.read_text("utf-8").replace(step["old"], step["new"]), encoding="utf-8")
            continue
        main(step["words"].split())
        said.append(capsys.readouterr().out)
        shown.append(step["said"])

    assert len(shown) == 3
    assert said == shown
