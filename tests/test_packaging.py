"""The built wheel works where there is no checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROLES = ("edge", "ingest", "api", "sim", "demo")

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
