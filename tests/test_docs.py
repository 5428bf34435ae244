"""The documents say what is there: names can be imported, links lead somewhere, commands exist."""

import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = re.compile(r"`(footfall_[a-z_.]+):([A-Za-z_.]+)`")
TESTS = re.compile(r"`(tests/[a-z_/]+\.py)(?:::([a-z0-9_]+))?`")


def names_in(document: Path) -> list[tuple[str, str]]:
    return NAMES.findall(document.read_text("utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_name_in_a_document_can_be_imported(document: Path) -> None:
    """`module:name` in a document is a name of that module."""
    for module, path in names_in(document):
        found: object = importlib.import_module(module)
        for part in path.split("."):
            assert hasattr(found, part), f"{document.name}: {module} has no {path}"
            found = getattr(found, part)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_in_a_document_exists(document: Path) -> None:
    """A test that a document names is in the file that it names."""
    for file, function in TESTS.findall(document.read_text("utf-8")):
        assert (ROOT / file).is_file(), f"{document.name}: {file}"
        if function:
            assert f"def {function}(" in (ROOT / file).read_text("utf-8"), f"{document.name}: {file}::{function}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    """A relative link or picture in a document is a file of the project."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_flow_names_each_arrow() -> None:
    """The table of the main flow has names and tests to check: an empty one would pass the tests above."""
    flow = ROOT / "docs" / "flow.md"

    assert len(names_in(flow)) >= 8
    assert len(TESTS.findall(flow.read_text("utf-8"))) >= 8


def test_the_readme_is_short_and_its_commands_exist() -> None:
    """The first screen stays one, and each make target that it or CONTRIBUTING names is in the help."""
    readme = (ROOT / "README.md").read_text("utf-8")
    text = readme + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    helped = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert len(readme.splitlines()) < 60
    for target in set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)):
        assert f"make {target}" in helped
