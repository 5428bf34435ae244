"""Write the bill of materials of each deployable: CycloneDX 1.6 as JSON.

Run by ``make sbom``. From the same commit and Python come the same bytes: the time is ``SOURCE_DATE_EPOCH``, the serial
number is made from the content. A package is named by its package URL; the hashes under ``distribution`` are those of
the lock file, one for each file of that version, of which a machine installs the one that fits it. What is compiled
into a package stands inside it, without a version, because that differs from file to file.
"""

import argparse
import hashlib
import os
import platform
import re
import sys
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import License
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

import deployed
import licences
from deployed import Deployable, Package

MAKER = OrganizationalEntity(name="footfall contributors")
CLOCK = "SOURCE_DATE_EPOCH"
WHAT_IT_IS = {
    "edge": "footfall on the machine beside the sensors: footfall-edge",
    "server": "footfall in the data centre: footfall-ingest, footfall-api and the web page",
}


def bill(deployable: Deployable, packages: Sequence[Package], *, when: datetime, wheel: Path | None = None) -> str:
    """The bill of materials as JSON.

    Args:
        deployable: What it is for.
        packages: All of its packages.
        when: The time it bears.
        wheel: The wheel of footfall, whose hashes it is to name; none: it names none.
    """
    version = footfall_version()
    top = Component(
        type=ComponentType.APPLICATION,
        name=f"footfall-{deployable.name}",
        version=version,
        bom_ref=f"footfall-{deployable.name}@{version}",
        description=WHAT_IT_IS[deployable.name],
        manufacturer=MAKER,
        licenses=_licences("EUPL-1.2"),
        hashes=_hashes_of(wheel) if wheel else (),
    )
    components = {(package.kind, f"{package.name}@{package.version}"): component(package) for package in packages}
    bom = Bom(
        metadata=BomMetaData(
            component=top,
            manufacturer=MAKER,
            timestamp=when,
            lifecycles=[PredefinedLifecycle(LifecyclePhase.BUILD)],
            tools=ToolRepository(components=[_library()]),
            properties=[Property(name="footfall:for", value=_reference())],
        ),
        components=components.values(),
        dependencies=[
            Dependency(top.bom_ref, [Dependency(components[asked].bom_ref) for asked in _asked(deployable, packages)]),
            *(
                Dependency(
                    components[package.kind, f"{package.name}@{package.version}"].bom_ref,
                    [Dependency(components[package.kind, needed].bom_ref) for needed in package.needs],
                )
                for package in packages
            ),
        ],
        serial_number=uuid.UUID(int=0),
    )
    # The serial number says which content it is: another for another content, the same for the same.
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, JsonV1Dot6(bom).output_as_string())
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def component(package: Package) -> Component:
    """The package as the standard writes it."""
    scope, _, name = package.name.rpartition("/")
    place = PackageURL(type=package.kind, namespace=scope or None, name=name, version=package.version)
    algorithm = HashAlgorithm(package.algorithm)
    return Component(
        type=ComponentType.LIBRARY,
        group=scope or None,
        name=name,
        version=package.version,
        bom_ref=place.to_string(),
        purl=place,
        licenses=_licences(licences.expression_of(package)),
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(place.to_string()),
                comment="each file of this version that may be installed",
                hashes=[HashType(alg=algorithm, content=digits) for digits in package.sums],
            )
        ],
        components=[
            Component(
                type=ComponentType.LIBRARY,
                name=carried.name,
                bom_ref=f"{place.to_string()}#{carried.name}",
                licenses=_licences(carried.expression),
            )
            for carried in licences.CARRIED.get(package.name, ())
        ],
    )


def _asked(deployable: Deployable, packages: Iterable[Package]) -> list[tuple[str, str]]:
    """What footfall itself asks for, in the versions that are deployed."""
    names = {deployed.canonicalize_name(one.name) for one in deployed.wanted(deployable) if deployed.applies(one)}
    found = [(one.kind, f"{one.name}@{one.version}") for one in packages if one.kind == "pypi" and one.name in names]
    return found + ([("npm", needed) for needed in deployed.web_wanted()] if deployable.web else [])


def _licences(expression: str) -> list[License]:
    return [LicenseFactory().make_from_string(expression)]


def _hashes_of(path: Path) -> list[HashType]:
    content = path.read_bytes()
    return [
        HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(content).hexdigest()),
        HashType(alg=HashAlgorithm.SHA_512, content=hashlib.sha512(content).hexdigest()),
    ]


def _library() -> Component:
    name = "cyclonedx-python-lib"
    return Component(type=ComponentType.LIBRARY, name=name, version=metadata.version(name))


def _reference() -> str:
    """The machine it holds for: what the markers of the lock file tell apart."""
    major, minor, _ = platform.python_version_tuple()
    return f"{platform.python_implementation()} {major}.{minor} on {platform.system()}"


def footfall_version() -> str:
    """The version of this source tree."""
    text = (deployed.ROOT / "contract" / "footfall_contract" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE)
    assert found, "the contract says its version"
    return found[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Write a bill for each deployable; 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(description="Write the bill of materials of the edge and of the server.")
    parser.add_argument(
        "--out", type=Path, default=deployed.ROOT / "dist", metavar="FOLDER", help="where to write them"
    )
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="the wheel of footfall, to name its hashes")
    words = parser.parse_args(argv)
    clock = os.environ.get(CLOCK, "")
    if not clock.isdecimal():
        sys.stderr.write(f"sbom: {CLOCK} must be the time of the commit in seconds since 1970; make sbom sets it\n")
        return 1
    words.out.mkdir(parents=True, exist_ok=True)
    try:
        for one in deployed.DEPLOYABLES:
            packages = deployed.packages(one)
            text = bill(one, packages, when=datetime.fromtimestamp(int(clock), UTC), wheel=words.wheel)
            path = words.out / f"footfall-{footfall_version()}-{one.name}.cdx.json"
            path.write_text(text, encoding="utf-8")
            print(f"sbom: {len(packages)} packages in {path}")
    except (deployed.DeployedError, licences.UnlicensedError) as error:
        sys.stderr.write(f"sbom: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
