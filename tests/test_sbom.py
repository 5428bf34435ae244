"""The bills of materials: valid CycloneDX 1.6, complete, and the same bytes from the same commit."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import deployed
import licences
import sbom

ROOT = Path(__file__).resolve().parent.parent
CLOCK = "1789000000"
NAMES = [one.name for one in deployed.DEPLOYABLES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both bills, written once."""
    made = tmp_path_factory.mktemp("sbom")
    run(made)
    return made


def run(out: Path, *words: str, **environment: str) -> None:
    """The tool as a program, in an environment of its own."""
    subprocess.run(
        [sys.executable, str(ROOT / "tools" / "sbom.py"), "--out", str(out), *words],
        env={"PATH": os.environ["PATH"], sbom.CLOCK: CLOCK, **environment},
        cwd=out,
        check=True,
        capture_output=True,
    )


def path_of(folder: Path, name: str) -> Path:
    return folder / f"footfall-{sbom.footfall_version()}-{name}.cdx.json"


def read(folder: Path, name: str) -> Any:
    return json.loads(path_of(folder, name).read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_standard_accepts_it(folder: Path, name: str) -> None:
    """The schema of CycloneDX 1.6, strictly, with its formats and the list of SPDX licences."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    text = path_of(folder, name).read_text("utf-8")

    assert validator.validate_str(text) is None
    for right, wrong in [('"library"', '"libary"'), ('"id": "MIT"', '"id": "MITT"'), ('"name"', '"nom"')]:
        assert right in text
        assert validator.validate_str(text.replace(right, wrong, 1)) is not None, "the validator looks"


def test_the_same_commit_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """In another folder, time zone, language and with another seed of hashes."""
    run(tmp_path, TZ="Pacific/Auckland", LC_ALL="C", PYTHONHASHSEED="7")

    for name in NAMES:
        assert path_of(tmp_path, name).read_bytes() == path_of(folder, name).read_bytes()


def test_another_content_has_another_number(folder: Path, tmp_path: Path) -> None:
    """The serial number names one content; the time is that of the commit."""
    run(tmp_path, **{sbom.CLOCK: "1789000001"})

    before, after = read(folder, "edge"), read(tmp_path, "edge")
    assert before["metadata"]["timestamp"] == "2026-09-10T00:26:40+00:00"
    assert after["metadata"]["timestamp"] == "2026-09-10T00:26:41+00:00"
    assert before["serialNumber"] != after["serialNumber"]
    assert before["components"] == after["components"]
    assert read(folder, "edge")["serialNumber"] != read(folder, "server")["serialNumber"]


@pytest.mark.parametrize("deployable", deployed.DEPLOYABLES, ids=lambda one: one.name)
def test_it_lists_what_is_locked(folder: Path, deployable: deployed.Deployable) -> None:
    """Each locked package for this machine with each of its hashes and its licence, and nothing else."""
    listed = {part["purl"]: part for part in read(folder, deployable.name)["components"]}
    locked = [
        entry
        for entry in deployed.read_lock((ROOT / deployable.lock).read_text("utf-8"))
        if entry.marker is None or entry.marker.evaluate()
    ]
    page = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"] if deployable.web else {}
    page = {place: one for place, one in page.items() if place and not one.get("dev")}

    for entry in locked:
        (files,) = listed[f"pkg:pypi/{entry.name}@{entry.version}"]["externalReferences"]
        assert files["type"] == "distribution"
        assert {(one["alg"], one["content"]) for one in files["hashes"]} == {("SHA-256", sum_) for sum_ in entry.sums}
    for place, one in page.items():
        purl = f"pkg:npm/{place.removeprefix('node_modules/').replace('@', '%40')}@{one['version']}"
        assert [digits["alg"] for digits in listed[purl]["externalReferences"][0]["hashes"]] == ["SHA-512"]
    assert len(listed) == len(locked) + len(page)
    assert all(part["licenses"] for part in listed.values())


@pytest.mark.parametrize("name", NAMES)
def test_who_needs_what_is_whole(folder: Path, name: str) -> None:
    """From footfall down every package is reached, and no arrow leads to something that is not listed."""
    made = read(folder, name)
    top = made["metadata"]["component"]["bom-ref"]
    needs = {one["ref"]: one.get("dependsOn", []) for one in made["dependencies"]}
    listed = {part["bom-ref"] for part in made["components"]}

    reached, open_ends = set(), [top]
    while open_ends:
        for needed in needs[open_ends.pop()]:
            if needed not in reached:
                reached.add(needed)
                open_ends.append(needed)

    assert reached == listed
    assert needs.keys() == listed | {top}
    pydantic = next(ref for ref in listed if ref.startswith("pkg:pypi/pydantic@"))
    assert any(needed.startswith("pkg:pypi/pydantic-core@") for needed in needs[pydantic])


def test_what_is_compiled_in_stands_inside(folder: Path) -> None:
    """OpenSSL comes twice with the server, inside of what carries it."""
    parts = {part["name"]: part.get("components", []) for part in read(folder, "server")["components"]}

    assert {name for name, inside in parts.items() if inside} == licences.CARRIED.keys()
    assert "OpenSSL" in {one["name"] for one in parts["psycopg-binary"]}
    assert "OpenSSL" in {one["name"] for one in parts["cryptography"]}


def test_it_names_the_wheel(tmp_path: Path) -> None:
    """With the wheel given, its hashes stand beside the name of footfall."""
    wheel = tmp_path / "footfall.whl"
    wheel.write_bytes(b"wheel")

    run(tmp_path, "--wheel", str(wheel))

    for name in NAMES:
        top = read(tmp_path, name)["metadata"]["component"]
        assert top["version"] == sbom.footfall_version()
        assert {one["alg"]: one["content"] for one in top["hashes"]} == {
            "SHA-256": hashlib.sha256(b"wheel").hexdigest(),
            "SHA-512": hashlib.sha512(b"wheel").hexdigest(),
        }


def test_without_a_time_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clock of the machine is never used."""
    monkeypatch.delenv(sbom.CLOCK, raising=False)

    assert sbom.main(["--out", str(tmp_path)]) == 1

    assert "SOURCE_DATE_EPOCH must be the time of the commit" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
