"""The lock files: hashes and no addresses, one version of everything, and what is deployed is what is tested."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import deployed
import lock

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
pytestmark = pytest.mark.timeout(600)  # an index may be slow

WITHIN_DEV = [name for name, made in lock.LOCKS.items() if made.within == "dev.txt"]


def entries(name: str) -> list[deployed.Locked]:
    """What is in the lock file `name`."""
    return list(deployed.read_lock((REQUIREMENTS / name).read_text("utf-8")))


def versions(text: str) -> set[tuple[str, str]]:
    """Names and versions in the text of a lock file."""
    return {(entry.name, entry.version) for entry in deployed.read_lock(text)}


@pytest.mark.parametrize("name", lock.LOCKS)
def test_each_entry_has_hashes_and_no_address(name: str) -> None:
    """An entry is a name, one version, perhaps a marker, and hashes; nothing says which index it came from."""
    text = (REQUIREMENTS / name).read_text("utf-8")

    assert text.startswith(lock.HEADER)
    assert "://" not in text
    for line in text.removeprefix(lock.HEADER).splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[^\s;]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
    assert all(entry.sums for entry in entries(name))


def test_every_lock_file_is_made_by_the_tool() -> None:
    """No file in requirements is without its line in `LOCKS`, and the other way round."""
    assert {path.name for path in REQUIREMENTS.glob("*.txt")} == lock.LOCKS.keys()
    assert {one.lock.removeprefix("requirements/") for one in deployed.DEPLOYABLES} <= lock.LOCKS.keys()


@pytest.mark.parametrize("name", WITHIN_DEV)
def test_what_is_deployed_is_what_is_tested(name: str) -> None:
    """Each version in the lock file is the one in dev.txt, with the same hashes."""
    tested = {(entry.name, entry.version): entry.sums for entry in entries("dev.txt")}

    for entry in entries(name):
        assert tested.get((entry.name, entry.version)) == entry.sums, f"{name}: {entry.name} {entry.version}"


@pytest.mark.parametrize("deployable", deployed.DEPLOYABLES, ids=lambda one: one.name)
def test_what_pyproject_asks_for_is_locked(deployable: deployed.Deployable) -> None:
    """A dependency that was written into pyproject.toml and not locked is found here, not on a city's machine."""
    locked = {entry.name: entry.version for entry in entries(Path(deployable.lock).name)}

    for asked in deployed.wanted(deployable):
        assert asked.specifier.contains(locked[canonicalize_name(asked.name)]), f"{asked}: run make lock ARGS=--keep"


def test_what_developers_ask_for_is_locked() -> None:
    """The same for the development group."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    locked = {entry.name: entry.version for entry in entries("dev.txt")}

    for line in project["dependency-groups"]["dev"]:
        asked = Requirement(line)
        assert asked.specifier.contains(locked[canonicalize_name(asked.name)]), f"{asked}: run make lock ARGS=--keep"


@pytest.mark.parametrize("deployable", deployed.DEPLOYABLES, ids=lambda one: one.name)
def test_each_locked_package_is_needed(deployable: deployed.Deployable) -> None:
    """Nothing goes to a machine that neither footfall nor a package of its asks for."""
    packages = deployed.python_packages(deployable)
    asked = {canonicalize_name(one.name) for one in deployed.wanted(deployable)}
    needed = {name.partition("@")[0] for package in packages for name in package.needs}

    assert {package.name for package in packages} == asked | needed


def edge_with(folder: Path, pattern: str, replacement: str) -> list[deployed.Package]:
    """The packages of the edge where its lock file is another."""
    (folder / "requirements").mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    text, count = re.subn(pattern, replacement, (REQUIREMENTS / "edge.txt").read_text("utf-8"), flags=re.MULTILINE)
    assert count == 1
    (folder / "requirements" / "edge.txt").write_text(text)
    return deployed.python_packages(deployed.DEPLOYABLES[0], folder)


def test_a_package_that_is_not_locked_is_named(tmp_path: Path) -> None:
    """A lock file from which an entry got lost is refused with who needs it, and the way out."""
    with pytest.raises(deployed.DeployedError, match=r"has no pydantic-core, which pydantic needs\. Run: make lock"):
        edge_with(tmp_path, r"^pydantic-core==.*\n(    .*\n)+", "")


def test_another_version_than_the_locked_one_is_named(tmp_path: Path) -> None:
    """Licences and bills of materials are never made from what is not locked."""
    with pytest.raises(deployed.DeployedError, match=r"edge\.txt has pyserial 0\.1, and 3\.5 is installed here"):
        edge_with(tmp_path, r"^pyserial==\S+", "pyserial==0.1")


def test_what_may_change() -> None:
    """All of it once it is old enough; one package of it; or nothing, and what is kept need not be old."""
    locked = "a-b==1 \\\n    --hash=…\nc==2 ; os_name == 'nt' \\\n    --hash=…\n"

    assert lock.what_may_change(locked, None, 7) == ["--upgrade", "--exclude-newer=7 days"]
    assert lock.what_may_change(locked, ["c"], 7) == [
        "--upgrade-package=c",
        "--exclude-newer=7 days",
        "--exclude-newer-package=a-b=false",
    ]
    assert lock.what_may_change(locked, [], 3) == [
        "--exclude-newer=3 days",
        "--exclude-newer-package=a-b=false",
        "--exclude-newer-package=c=false",
    ]
    assert lock.what_may_change(locked, ["c"], 0) == ["--upgrade-package=c"]


def test_where_one_cannot_be_made_all_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dependency that does not exist (or no network) leaves every lock file as it was, and says which it was."""
    shutil.copytree(REQUIREMENTS, tmp_path / "requirements")
    project = (ROOT / "pyproject.toml").read_text("utf-8").replace('"cbor2>=5.6"', '"cbor2>=5.6,<0.1"')
    (tmp_path / "pyproject.toml").write_text(project)
    monkeypatch.setattr(lock, "ROOT", tmp_path)

    assert lock.main(["--keep"]) == 1

    assert "requirements/dev.txt cannot be locked" in capsys.readouterr().err
    for name in lock.LOCKS:
        assert (tmp_path / "requirements" / name).read_bytes() == (REQUIREMENTS / name).read_bytes()


@pytest.mark.full
def test_locking_again_changes_no_version(tmp_path: Path) -> None:
    """The lock files are what pyproject.toml asks for: the tool that makes them, told to keep, makes the same again."""
    try:
        made = lock.make(REQUIREMENTS, tmp_path, [], 0)
    except lock.LockError as error:
        skip_without_index(str(error))
        raise

    for name, text in made.items():
        assert versions(text) == versions((REQUIREMENTS / name).read_text("utf-8")), name


@pytest.mark.full
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("deployable", deployed.DEPLOYABLES, ids=lambda one: one.name)
def test_no_compiler_is_needed(tmp_path: Path, deployable: deployed.Deployable, machine: str) -> None:
    """On 64-bit Debian 12 and Raspberry Pi OS (Python 3.11) every locked package is there as a wheel."""
    words = ["--dry-run", "--quiet", "--ignore-installed", "--no-deps", "--only-binary=:all:", f"--target={tmp_path}"]
    platforms = [f"--platform=manylinux2014_{machine}", f"--platform=manylinux_2_28_{machine}"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", *words, *platforms, "--implementation=cp"),
            *("--python-version=3.11", "--require-hashes", "-r", str(ROOT / deployable.lock)),
        ],
        check=False,
        capture_output=True,
        text=True,
    )

    if done.returncode:
        skip_without_index(done.stderr)
    assert done.returncode == 0, done.stderr


def skip_without_index(said: str) -> None:
    """A machine without an index cannot ask one."""
    if re.search(r"from versions: none|Failed to fetch|error sending request|dns error", said):
        pytest.skip(f"no package index reached from here: {said.strip().splitlines()[-1]}")
