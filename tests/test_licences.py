"""Every deployed package is under a licence that goes with the EUPL-1.2; what is not is refused with a sentence."""

import json
from pathlib import Path

import pytest

import deployed
import licences
from deployed import Package

ROOT = Path(__file__).resolve().parent.parent


def package(name: str = "thing", **said: object) -> Package:
    """A package that is accepted, but for what is `said` of it."""
    plain = Package("pypi", name, "1.0", "SHA-256", ("0" * 64,), (), "MIT")
    return plain._replace(**said)  # type: ignore[arg-type]


def every_package() -> set[Package]:
    """All that is deployed."""
    return {one for deployable in deployed.DEPLOYABLES for one in deployed.packages(deployable)}


def test_everything_deployed_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tool finds nothing to say against any package, and lists each with its licence."""
    status = licences.main(["--out", str(tmp_path / "licences.md")])

    assert status == 0, capsys.readouterr().err
    listed = (tmp_path / "licences.md").read_text("utf-8")
    assert "| psycopg | 3." in listed
    for one in every_package():
        assert f"| {one.version} | {licences.expression_of(one)} | " in listed
    assert "| cbor2 | " in listed
    assert " | edge, server |" in listed
    assert "| echarts (JavaScript) | " in listed


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND Zlib", True),
        ("(MIT AND GPL-2.0-only) OR AGPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("MIT AND (Zlib AND (ISC OR SSPL-1.0))", True),
    ],
)
def test_expressions_are_read_as_spdx_means_them(expression: str, verdict: bool) -> None:
    """Joined by OR one is enough, joined by AND each counts, and an exception belongs to its licence."""
    assert licences.accepts(expression, licences.PERMISSIVE) is verdict


def test_a_licence_that_is_not_accepted_is_refused() -> None:
    """With the name of the package and what can be done."""
    (said,) = licences.complaints(package(expression="AGPL-3.0-only"))

    assert said.startswith("thing is under AGPL-3.0-only, which is not accepted. Do without it")


def test_an_exception_holds_for_its_package_alone() -> None:
    """The LGPL of psycopg opens no door for others, and psycopg's door is not open for the GPL."""
    assert not list(licences.complaints(package("psycopg", expression="LGPL-3.0-only")))
    assert len(list(licences.complaints(package(expression="LGPL-3.0-only")))) == 1
    assert len(list(licences.complaints(package("psycopg", expression="GPL-3.0-only")))) == 1


def test_words_of_its_own_must_have_been_read() -> None:
    """“BSD License” may mean two licences: refused until somebody has read it, and again when the words change."""
    (unread,) = licences.complaints(package(expression="", words=("BSD License",)))
    (silent,) = licences.complaints(package(expression=""))
    (changed,) = licences.complaints(package("jinja2", expression="", words=("Other License",)))

    assert unread.startswith("thing 1.0 says BSD License of its licence. Read its licence text")
    assert "says nothing of its licence" in silent
    assert "says Other License of its licence" in changed
    assert not list(licences.complaints(package("jinja2", expression="", words=("BSD License",))))
    assert licences.expression_of(package(expression="", words=("Apache 2", "Apache-2.0"))) == "Apache-2.0"


def test_a_library_that_was_not_there_before_is_refused() -> None:
    """A new version of a wheel may carry something of others that nobody has looked at."""
    psycopg = package("psycopg-binary", libraries=("libpq", "libnew"))

    (said,) = licences.complaints(psycopg)

    assert said.startswith("psycopg-binary 1.0 carries libnew, of which nothing is known.")


def test_what_is_compiled_in_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that a wheel names itself, and parts that are known of it, are held to the list too."""
    monkeypatch.setitem(licences.CARRIED, "thing", (licences.Carried("engine", "GPL-2.0-only"),))

    said = list(licences.complaints(package(inside=("MIT", "CC-BY-NC-4.0"))))

    assert [sentence.partition(", which")[0] for sentence in said] == [
        "engine in thing is under GPL-2.0-only",
        "a part of thing is under CC-BY-NC-4.0",
    ]


def test_a_refusal_stops_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No list is written where a package is refused."""
    monkeypatch.delitem(licences.EXCEPTIONS, "psycopg")

    assert licences.main(["--out", str(tmp_path / "licences.md")]) == 1

    assert "psycopg is under LGPL-3.0-only, which is not accepted" in capsys.readouterr().err
    assert not (tmp_path / "licences.md").exists()


def test_nothing_is_excused_that_is_not_deployed() -> None:
    """Every entry of the tables is still needed: what is excused is under that licence, what is carried is in there."""
    found = {one.name: one for one in every_package()}

    assert (licences.EXCEPTIONS.keys() | licences.READ.keys() | licences.CARRIED.keys()) <= found.keys()
    for name, exemption in licences.EXCEPTIONS.items():
        carried = {one.expression for one in licences.CARRIED.get(name, ())}
        assert exemption.licences <= carried | {licences.expression_of(found[name])}, name
    assert all(not found[name].expression for name in licences.READ)


def test_the_lock_and_the_packages_of_the_page_agree() -> None:
    """The licence in package-lock.json is the one that the installed package names itself."""
    for one in deployed.web_packages():
        manifest = ROOT / "node_modules" / one.name / "package.json"
        if not manifest.is_file():
            pytest.skip("the page's third-party files are not installed: run tools/web_assets.py")
        said = json.loads(manifest.read_text("utf-8"))
        assert (said["version"], said["license"]) == (one.version, one.expression), one.name
