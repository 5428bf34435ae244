"""The built wheel works where there is no checkout."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROLES = ("edge", "ingest", "api", "sim", "demo")
COMMITTED_S = 1789000000
"""A time for archives to bear."""

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("packaging")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (found,) = folder.glob("footfall-*.whl")
    return found


def bare_environment(folder: Path, wheel: Path) -> Path:
    """An environment with nothing but the wheel of its own; dependencies are those of this one. Its scripts' folder."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    words = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(words, check=True, capture_output=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # A path in such a file is searched last, and the files like it there are not read: the checkout stays unknown.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def environment(folder: Path, requirement: str) -> Path:
    """A clean environment with `requirement` in it; the folder of its scripts."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    done = subprocess.run(
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    if done.returncode and "No matching distribution" in done.stderr and "footfall" not in done.stderr.splitlines()[-1]:
        pytest.skip(f"no package index reached from here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def run(script: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a console script in a folder and an environment that know nothing of the checkout."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FOOTFALL"))}
    return subprocess.run(
        [str(script), *words], check=False, capture_output=True, text=True, cwd=script.parent, env=clean, timeout=60
    )


def test_the_wheel_carries_what_is_not_python(wheel: Path) -> None:
    """Schemas, migrations, mappings, templates, messages, third-party JavaScript and the stations of Jena are in it."""
    names = zipfile.ZipFile(wheel).namelist()

    for part in (
        "footfall_contract/schema/",
        "footfall_ingest/migrations/versions/",
        "footfall_ingest/mappings/",
        "footfall_api/schema/",
        "footfall_api/templates/",
        "footfall_api/messages/",
        "footfall_api/static/vendor/",
        "footfall_api/static/bundle/",
        "footfall_demo/jena/stations.geojson",
        "footfall_demo/jena/areas.geojson",
        "footfall_demo/jena/streets.geojson",
        "footfall_role/py.typed",
    ):
        assert any(name.startswith(part) for name in names), f"{part} is missing"
    assert not [name for name in names if name.startswith("tests/") or "node_modules" in name]


def checkout(folder: Path, *, private: bool) -> Path:
    """The committed files in another folder, of another age and with other rights, as another person has them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        mode = source.stat().st_mode & 0o700
        target.chmod(mode if private else mode | 0o66)
        os.utime(target, (1e9, 1e9) if private else None)
    # What npm fetched is the same everywhere: its hashes are locked. Our scripts are bundled anew.
    vendor = Path("api/footfall_api/static/vendor")
    shutil.copytree(ROOT / vendor, folder / vendor)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    return folder


def built(folder: Path, *words: str, **environment: str) -> dict[str, Path]:
    """The archives built there, by the end of their names."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *words, str(folder)],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(COMMITTED_S), **environment},
        check=True,
        capture_output=True,
    )
    return {path.suffix: path for path in (folder / "dist").iterdir()}


def test_the_same_commit_makes_the_same_bytes(tmp_path: Path) -> None:
    """Wheel and source archive do not depend on folder, age, rights, language and time zone.

    Nor does the wheel on whether it is made from the checkout or from the source archive.
    """
    first = built(checkout(tmp_path / "here", private=True), TZ="UTC", LC_ALL="C", PYTHONHASHSEED="1")
    second = built(
        checkout(tmp_path / "some" / "where else", private=False),
        *("--wheel", "--sdist"),
        TZ="Pacific/Auckland",
        LC_ALL="C.UTF-8",
        PYTHONHASHSEED="2",
    )

    assert first.keys() == second.keys() == {".whl", ".gz"}
    for kind, archive in first.items():
        sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (archive, second[kind])]
        assert sums[0] == sums[1], archive.name
    moment = datetime.fromtimestamp(COMMITTED_S, UTC)
    with zipfile.ZipFile(first[".whl"]) as wheel, tarfile.open(first[".gz"]) as source:
        assert {one.date_time for one in wheel.infolist()} == {moment.timetuple()[:6]}
        assert {one.mtime for one in source} == {COMMITTED_S}
        assert {one.mode & 0o777 for one in source} <= {0o644, 0o755}


def test_make_hands_over_the_time_of_the_commit() -> None:
    """`make wheel`, `make sbom` and `make release` take it from git, or from the environment where it says one."""
    head = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    if head.returncode:
        pytest.skip("this is no git checkout")
    plain = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}

    def dry(environment: dict[str, str]) -> str:
        words = ["make", "--dry-run", "wheel", "sbom", "release"]
        return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    assert dry(plain).count(f"SOURCE_DATE_EPOCH={head.stdout.strip()} ") == 4
    assert dry({**plain, "SOURCE_DATE_EPOCH": "12345"}).count("SOURCE_DATE_EPOCH=12345 ") == 4


def test_every_script_of_the_wheel_answers(wheel: Path, tmp_path: Path) -> None:
    """Each console script of the wheel prints its help and its version, away from the checkout."""
    _each_answers(bare_environment(tmp_path / "bare", wheel))


@pytest.mark.full
def test_every_script_answers_with_what_the_index_has(wheel: Path, tmp_path: Path) -> None:
    """The same where the extra of the demo brought all dependencies."""
    _each_answers(environment(tmp_path / "all", f"footfall[demo] @ {wheel.as_uri()}"))


def _each_answers(scripts: Path) -> None:
    for role in ROLES:
        helped = run(scripts / f"footfall-{role}", "--help")
        versioned = run(scripts / f"footfall-{role}", "--version")

        assert (helped.returncode, versioned.returncode) == (0, 0), helped.stderr + versioned.stderr
        assert "usage" in helped.stdout.lower()
        assert "0.1.0" in versioned.stdout


@pytest.mark.parametrize(
    ("role", "works"), [("edge", {"edge"}), pytest.param("api", {"api", "sim"}, marks=pytest.mark.full)]
)
def test_with_one_extra_the_other_scripts_name_theirs(wheel: Path, tmp_path: Path, role: str, works: set[str]) -> None:
    """With one role installed, it works, and what needs nothing more; each other one says which extra it needs."""
    scripts = environment(tmp_path / role, f"footfall[{role}] @ {wheel.as_uri()}")

    for own in works:
        assert run(scripts / f"footfall-{own}", "--help").returncode == 0
    for other in set(ROLES) - works:
        asked = run(scripts / f"footfall-{other}", "--help")

        assert asked.returncode == 2, f"{other}: {asked.stdout}{asked.stderr}"
        assert f"pip install 'footfall[{other}]'" in asked.stderr
        assert "Traceback" not in asked.stderr
