"""What is deployed: every package of the edge and of the server, with what is known of it.

The lock files say which versions and which files, the installed packages what they need and under which licence they
are, ``package-lock.json`` the same of the page's JavaScript. `licences` and `sbom` are made from it. Markers are those
of the Python that runs: what is for another system or another Python is left out.
"""

import base64
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


class Deployable(NamedTuple):
    """Something a city puts on a machine: its lock file, the extras it is made of, whether it carries the web page."""

    name: str
    extras: tuple[str, ...]
    web: bool

    @property
    def lock(self) -> str:
        """The lock file, from the root of the project."""
        return f"requirements/{self.name}.txt"


DEPLOYABLES = (Deployable("edge", ("edge",), web=False), Deployable("server", ("ingest", "api"), web=True))


class Locked(NamedTuple):
    """An entry of a lock file. `sums`: SHA-256 in hexadecimal of each file that may be installed, sorted."""

    name: str
    version: str
    marker: Marker | None
    sums: tuple[str, ...]


class Package(NamedTuple):
    """A package of a deployable.

    Attributes:
        kind: ``pypi`` or ``npm``, as in package URLs.
        name: Canonical; with its scope in front where npm has one (``@maplibre/mlt``).
        version: As its index has it.
        algorithm: Of `sums`: ``SHA-256`` or ``SHA-512``.
        sums: In hexadecimal, one for each file of this version that may be installed.
        needs: The packages of the same kind that it needs here, each as ``name@version``, sorted.
        expression: Its licence as it says in SPDX's words; empty if it does not.
        words: What else it says of its licence: the old field and the classifiers.
        libraries: Names of shared libraries of others that are packed into it, as ``libssl``, sorted.
        inside: Licences of the parts that its own bill of materials names (PEP 770), sorted.
    """

    kind: str
    name: str
    version: str
    algorithm: str
    sums: tuple[str, ...]
    needs: tuple[str, ...]
    expression: str
    words: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()


class DeployedError(Exception):
    """What is installed is not what is locked; the message is a sentence that names the way out."""


def packages(deployable: Deployable, root: Path = ROOT) -> list[Package]:
    """All packages of it, sorted by kind and name.

    Raises:
        DeployedError: a package is not installed here in its locked version, or is needed and not locked.
    """
    found = python_packages(deployable, root)
    if deployable.web:
        found += web_packages(root)
    return sorted(found, key=lambda package: (package.kind, package.name))


def wanted(deployable: Deployable, root: Path = ROOT) -> list[Requirement]:
    """What footfall itself asks for in it, from ``pyproject.toml``."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [project["optional-dependencies"][extra] for extra in deployable.extras]
    return [Requirement(line) for lines in [project["dependencies"], *extras] for line in lines]


def read_lock(text: str) -> Iterator[Locked]:
    """The entries of a lock file as `lock` writes it."""
    starts = [found.start() for found in re.finditer(r"^[a-z0-9]", text, re.MULTILINE)]
    for start, end in pairwise([*starts, len(text)]):
        entry = text[start:end]
        requirement = Requirement(entry.splitlines()[0].rstrip("\\ "))
        version = str(requirement.specifier).removeprefix("==")
        sums = sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
        yield Locked(canonicalize_name(requirement.name), version, requirement.marker, tuple(sums))


def python_packages(deployable: Deployable, root: Path = ROOT) -> list[Package]:
    """The Python packages of it that go to a machine like this one."""
    entries = list(read_lock((root / deployable.lock).read_text("utf-8")))
    locked = {entry.name: entry for entry in entries if entry.marker is None or entry.marker.evaluate()}
    installed = {name: _installed(entry, deployable) for name, entry in locked.items()}
    needs = _needs(wanted(deployable, root), installed, deployable)
    return [
        Package(
            kind="pypi",
            name=name,
            version=entry.version,
            algorithm="SHA-256",
            sums=entry.sums,
            needs=tuple(f"{other}@{locked[other].version}" for other in sorted(needs.get(name, ()))),
            expression=installed[name].metadata.get("License-Expression", ""),
            words=tuple(_licence_words(installed[name])),
            libraries=tuple(sorted(set(_libraries(installed[name])))),
            inside=tuple(sorted(set(_licences_inside(installed[name])))),
        )
        for name, entry in locked.items()
    ]


def _installed(entry: Locked, deployable: Deployable) -> metadata.Distribution:
    try:
        found = metadata.distribution(entry.name)
    except metadata.PackageNotFoundError:
        version = "not"
    else:
        version = found.version
    if version != entry.version:
        raise DeployedError(
            f"{deployable.lock} has {entry.name} {entry.version}, and {version} is installed here. "
            "What is installed must be what is locked: run it by make, which sees to it"
        )
    return found


def _needs(
    asked: Iterable[Requirement], installed: dict[str, metadata.Distribution], deployable: Deployable
) -> dict[str, set[str]]:
    """Which package needs which others; the walk begins at `asked`, and goes on as long as it meets something new."""
    needs: dict[str, set[str]] = {}
    met: set[tuple[str, str]] = set()
    open_ends = [("footfall", requirement) for requirement in asked if applies(requirement)]
    while open_ends:
        asking, requirement = open_ends.pop()
        name = canonicalize_name(requirement.name)
        needs.setdefault(asking, set()).add(name)
        if name not in installed:
            raise DeployedError(f"{deployable.lock} has no {name}, which {asking} needs. Run: make lock ARGS=--keep")
        lines = [Requirement(line) for line in installed[name].requires or []]
        for extra in {"", *requirement.extras}:
            if (name, extra) not in met:
                met.add((name, extra))
                open_ends += [(name, line) for line in lines if applies(line, extra)]
    return needs


def applies(requirement: Requirement, extra: str = "") -> bool:
    """Whether it is asked for on this machine, where `extra` is asked for."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _licence_words(distribution: metadata.Distribution) -> Iterator[str]:
    """The first line of the old field (some put a whole licence there), and the last word of each classifier."""
    old: str = distribution.metadata.get("License", "")
    if old.strip():
        yield old.strip().splitlines()[0]
    for classifier in distribution.metadata.get_all("Classifier", []):
        if classifier.startswith("License ::"):
            yield classifier.rpartition("::")[2].strip()


def _libraries(distribution: metadata.Distribution) -> Iterator[str]:
    """What auditwheel put beside the package: ``psycopg_binary.libs/libssl-6a9b88ec.so.3`` is ``libssl``."""
    for path in distribution.files or []:
        found = re.match(r"lib\w+", path.name)
        if found and path.parent.name.endswith(".libs"):
            yield found[0]


def _licences_inside(distribution: metadata.Distribution) -> Iterator[str]:
    """The licences in the package's own bills of materials; parts without one are passed over."""
    for path in distribution.files or []:
        if path.parent.name == "sboms" and path.name.endswith(".json"):
            bill = json.loads(distribution.locate_file(path).read_text("utf-8"))
            for part in bill.get("components", []):
                for licence in part.get("licenses", []):
                    yield licence.get("expression") or licence["license"].get("id") or licence["license"]["name"]


def web_packages(root: Path = ROOT) -> list[Package]:
    """The JavaScript packages that the page's files are made of; what only checks or bundles them is none of them."""
    places = _web_places(root)
    return [
        Package(
            kind="npm",
            name=_name_at(place),
            version=package["version"],
            algorithm="SHA-512",
            sums=(base64.b64decode(package["integrity"].removeprefix("sha512-"), validate=True).hex(),),
            needs=tuple(sorted(_web_needs(places, place, package.get("dependencies", {})))),
            expression=package.get("license", ""),
        )
        for place, package in places.items()
    ]


def web_wanted(root: Path = ROOT) -> list[str]:
    """The JavaScript packages that footfall itself asks for, as `Package.needs` names them."""
    declared = json.loads((root / "package.json").read_text("utf-8"))
    return sorted(_web_needs(_web_places(root), "", declared["dependencies"]))


def _web_places(root: Path) -> dict[str, Any]:
    lock = json.loads((root / "package-lock.json").read_text("utf-8"))
    return {place: package for place, package in lock["packages"].items() if place and not package.get("dev")}


def _name_at(place: str) -> str:
    return place.rpartition("node_modules/")[2]


def _web_needs(places: dict[str, Any], place: str, names: Iterable[str]) -> Iterator[str]:
    """What Node finds from `place` under each name: in its own folder, else further out."""
    for name in names:
        folder = place
        while (found := f"{folder}/node_modules/{name}".removeprefix("/")) not in places:
            if not folder:
                raise DeployedError(f"package-lock.json has no {name}, which {place or 'package.json'} needs")
            folder = folder.rpartition("/node_modules/")[0]
        yield f"{name}@{places[found]['version']}"
