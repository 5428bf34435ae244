"""install.sh in a folder that stands for a machine: what it puts there, what it leaves alone, how it goes back."""

import base64
import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from footfall_api.tokens import Tokens
from footfall_testing.service_manager import Manager

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "install.sh"
SCRIPTS = [
    SCRIPT,
    ROOT / "deploy" / "systemd" / "firstboot",
    *sorted((ROOT / "deploy" / "systemd" / "bin").iterdir()),
]

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("packaging")]


def make_wheel(folder: Path, version: str, name: str = "footfall", *, needs: str = "", works: bool = True) -> Path:
    """A wheel with the three programs, each of which says its version, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    module = f"import sys\n\ndef main():\n    print('{version}')\n    sys.exit({0 if works else 1})\n"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {needs}\n" if needs else ""
    )
    programs = "".join(f"footfall-{role} = {name}_fake:main\n" for role in ("edge", "ingest", "api"))
    files = {
        f"{name}_fake.py": module,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if name == "footfall":
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{programs}"
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(path), text)  # of one date, so that it is the same file when made again
    return wheel


class Machine:
    """A folder that stands for a machine, wheels to install on it, and the packages that these need."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.wheels = folder / "wheels"
        needed = make_wheel(self.wheels, "1.0", "needed")
        self.lock = folder / "lock.txt"
        self.lock.write_text(f"needed==1.0 --hash=sha256:{hashlib.sha256(needed.read_bytes()).hexdigest()}\n")
        self.folder = folder

    def wheel(self, version: str, **how: bool) -> Path:
        """A wheel of footfall."""
        return make_wheel(self.folder / "dist", version, needs="needed==1.0", **how)

    def run(self, *words: str | Path, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
        """Run the script in this machine."""
        return subprocess.run(
            [script, "--root", str(self.root), *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            cwd=self.folder,
        )

    def install(self, role: str, what: str | Path, *words: str | Path) -> str:
        """Install something, which has to work; what was said."""
        done = self.run(role, what, "--lock", self.lock, "--wheels", self.wheels, "--python", sys.executable, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def says(self, program: str) -> str:
        """What the program that is in force says."""
        path = self.root / "opt" / "footfall" / "current" / "bin" / program
        return subprocess.run([path], capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def path(self, name: str) -> Path:
        """A file of the machine by its absolute name."""
        return self.root / name.lstrip("/")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with nothing on it."""
    for program in ("systemd-sysusers", "systemctl"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: apt-get install systemd")
    if os.geteuid() != 0:
        pytest.skip("install.sh needs root, also for a folder that stands for a machine")
    return Machine(tmp_path)


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def is_set_up_as_a_box(machine: Machine) -> None:
    """Accounts, settings, units, rules and wrappers are where they belong, with the right permissions."""
    passwd, group = machine.path("/etc/passwd").read_text(), machine.path("/etc/group").read_text()
    assert "footfall-edge:x:" in passwd
    assert "nologin" in passwd
    assert any(line.startswith("dialout:") and line.endswith("footfall-edge") for line in group.splitlines())
    settings = machine.path("/etc/footfall/edge.toml")
    assert settings.read_text() == (ROOT / "deploy" / "edge.toml.example").read_text()
    assert mode(settings) == 0o640
    number = next(line.split(":")[2] for line in group.splitlines() if line.startswith("footfall-edge:"))
    assert settings.stat().st_gid == int(number)
    assert mode(machine.path("/etc/footfall/secrets")) == 0o700
    for unit in ("footfall-edge.service", "footfall-firstboot.service"):
        assert machine.path(f"/etc/systemd/system/multi-user.target.wants/{unit}").is_symlink()
        assert machine.path(f"/usr/local/lib/systemd/system/{unit}").is_file()
    assert not machine.path("/usr/local/lib/systemd/system/footfall-ingest.service").exists()
    for name in ("/etc/udev/rules.d/99-footfall.rules", "/etc/systemd/journald.conf.d/50-footfall.conf"):
        assert mode(machine.path(name)) == 0o644
    assert mode(machine.path("/usr/local/lib/footfall/firstboot")) == 0o755
    assert mode(machine.path("/usr/local/bin/footfall-edge")) == 0o755


def test_a_box_from_nothing_to_an_update_and_back(machine: Machine) -> None:
    """Install, install again, update, go back, update twice: the link decides, and nobody's settings are touched."""
    said = machine.install("edge", machine.wheel("0.1.0"))

    assert "footfall-edge.service waits for: /etc/footfall/secrets/mqtt-password" in said
    assert machine.says("footfall-edge") == "0.1.0"
    is_set_up_as_a_box(machine)
    status = machine.run("status").stdout
    assert "version: 0.1.0" in status
    assert "/etc/footfall/edge.toml is still the example" in status
    assert "missing: /etc/footfall/secrets/mqtt-password" in status

    settings = machine.path("/etc/footfall/edge.toml")
    settings.write_text("# of this box\n")
    machine.path("/etc/udev/rules.d/99-footfall.rules").write_text("# of this box\n")
    secret = machine.path("/etc/footfall/secrets/mqtt-password")
    secret.write_text("geheim\n")
    secret.chmod(0o644)
    assert "0.1.0 is installed already" in machine.install("edge", machine.wheel("0.1.0"))
    assert "footfall-edge.service waits" not in machine.install("edge", "0.1.0")
    assert "not root's alone: /etc/footfall/secrets/mqtt-password" in machine.run("status").stdout
    secret.chmod(0o600)
    assert "not root's alone" not in machine.run("status").stdout
    os.chown(secret, 1234, 0)
    assert "not root's alone: /etc/footfall/secrets/mqtt-password" in machine.run("status").stdout

    machine.install("edge", machine.wheel("0.2.0"))
    assert machine.says("footfall-edge") == "0.2.0"
    installed = machine.path("/usr/local/lib/footfall/install.sh")
    assert machine.run("rollback", script=installed).returncode == 0
    assert machine.says("footfall-edge") == "0.1.0"
    assert "version: 0.1.0 (before: 0.2.0)" in machine.run("status").stdout
    assert machine.run("rollback").returncode == 0
    assert "took away 0.1.0" in machine.install("edge", machine.wheel("0.3.0"))
    assert machine.says("footfall-edge") == "0.3.0"
    assert sorted(found.name for found in machine.path("/opt/footfall").iterdir()) == [
        "0.2.0", "0.3.0", "current", "previous", "roles",
    ]  # fmt: skip
    assert machine.path("/opt/footfall/roles").read_text() == "edge\n"
    assert settings.read_text() == "# of this box\n"
    assert machine.path("/etc/udev/rules.d/99-footfall.rules").read_text() == "# of this box\n"

    outbox = machine.path("/var/lib/footfall-edge/outbox.sqlite")
    outbox.parent.mkdir(parents=True)
    outbox.write_text("counts")
    assert machine.run("remove").returncode == 0
    assert not machine.path("/opt/footfall").exists()
    assert list(machine.path("/usr/local/lib/systemd/system").iterdir()) == []
    assert list(machine.path("/usr/local/bin").iterdir()) == []
    assert not machine.path("/etc/systemd/system/multi-user.target.wants/footfall-edge.service").is_symlink()
    assert (outbox.read_text(), settings.read_text(), secret.read_text()) == ("counts", "# of this box\n", "geheim\n")


def test_a_server_gets_secrets_of_its_own(machine: Machine) -> None:
    """Made up once, root's alone, and such that a connection URL may hold them; a certificate is for boxes."""
    node_exporter = machine.path("/var/lib/prometheus/node-exporter")
    node_exporter.mkdir(parents=True)
    said = machine.install("server", machine.wheel("0.1.0"))

    secrets = machine.path("/etc/footfall/secrets")
    made = {file.name: file.read_text() for file in secrets.iterdir() if file.is_file()}
    passwords = {file.name: file.read_text() for file in (secrets / "database").iterdir()}
    assert sorted(made) == ["api-dsn", "api-operator-token", "backup-dsn", "ingest-dsn", "migrate-dsn"]
    assert sorted(passwords) == [
        "footfall_api_login", "footfall_backup_login", "footfall_ingest_login", "footfall_owner",
    ]  # fmt: skip
    assert len(set(passwords.values())) == 4
    assert all(len(text) == 48 for text in passwords.values())
    token = re.search(r"/betrieb, shown this once; .*: ([0-9a-f]{48})$", said, re.MULTILINE)
    assert token
    opens = Tokens.parse(made["api-operator-token"])
    assert (opens.is_right(token[1]), opens.plain) == (True, False)
    assert made["ingest-dsn"] == (
        f"postgresql://footfall_ingest_login:{passwords['footfall_ingest_login']}@127.0.0.1:5432/footfall"
    )
    assert all(mode(file) == 0o600 for file in secrets.rglob("*") if file.is_file())
    for name in ("ingest", "api"):
        assert machine.path(f"/etc/footfall/{name}.toml").is_file()
        assert machine.path(f"/etc/systemd/system/multi-user.target.wants/footfall-{name}.service").is_symlink()
    for name in ("dump", "backup"):
        assert machine.path(f"/etc/systemd/system/timers.target.wants/footfall-{name}.timer").is_symlink()
        assert (node_exporter / f"footfall_{name}.prom").is_symlink()
    assert not machine.path("/etc/systemd/system/multi-user.target.wants/footfall-publish.service").exists()
    assert mode(machine.path("/var/backups/footfall")) == 0o700

    made["ingest-dsn"] = "postgresql://footfall_ingest_login@database.example/footfall"
    (secrets / "ingest-dsn").write_text(made["ingest-dsn"])
    assert "shown this once" not in machine.install("server", machine.wheel("0.2.0"))
    assert {file.name: file.read_text() for file in secrets.iterdir() if file.is_file()} == made
    refused = machine.run("server", "0.2.0", "--certificate")
    assert (refused.returncode, "--certificate is for edge" in refused.stderr) == (1, True)


def test_a_version_may_be_prepared_before_it_runs(machine: Machine) -> None:
    """So that a server's schema can be updated by the new programs before the old ones stop."""
    machine.install("edge", machine.wheel("0.1.0"))

    said = machine.install("edge", machine.wheel("0.2.0"), "--prepare")

    assert "0.2.0 is ready in /opt/footfall/0.2.0" in said
    assert machine.says("footfall-edge") == "0.1.0"
    assert machine.path("/opt/footfall/0.2.0/bin/footfall-edge").is_file()
    machine.install("edge", "0.2.0", "--certificate")
    assert machine.says("footfall-edge") == "0.2.0"
    drop_in = machine.path("/etc/systemd/system/footfall-edge.service.d/certificate.conf")
    assert "mqtt-key" in drop_in.read_text()
    assert "missing: /etc/footfall/mqtt.crt /etc/footfall/secrets/mqtt-key" in machine.run("status").stdout


def test_a_machine_that_is_both_gets_no_version_that_is_half(machine: Machine) -> None:
    """One link serves box and server; no version is made the one that runs before it has the packages of each."""
    for version in ("0.1.0", "0.2.0"):
        machine.install("edge", machine.wheel(version))
    machine.install("server", machine.wheel("0.2.0"))

    options = ["--lock", machine.lock, "--wheels", machine.wheels, "--python", sys.executable]
    newer = machine.run("edge", machine.wheel("0.3.0"), *options)
    back = machine.run("rollback")

    assert (newer.returncode, back.returncode) == (1, 1)
    assert "this machine is server too, and 0.3.0 has not the packages for it" in newer.stderr
    assert "this machine is server too, and 0.1.0 has not the packages for it" in back.stderr
    assert (machine.says("footfall-edge"), machine.says("footfall-ingest")) == ("0.2.0", "0.2.0")
    machine.install("server", machine.wheel("0.3.0"), "--prepare")
    machine.install("edge", "0.3.0")
    assert (machine.says("footfall-edge"), machine.says("footfall-ingest")) == ("0.3.0", "0.3.0")


def test_two_at_once_are_one_too_many(machine: Machine) -> None:
    """The second does nothing, and says why."""
    machine.path("/run").mkdir(parents=True)
    with machine.path("/run/footfall-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = machine.run("edge", machine.wheel("0.1.0"), "--lock", machine.lock)

    assert (done.returncode, "another install.sh is at work" in done.stderr) == (1, True)
    assert not machine.path("/opt").exists()
    assert not machine.path("/etc").exists()


def test_a_python_that_is_too_old_is_refused(machine: Machine) -> None:
    """Before anything is made."""
    old = machine.folder / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done = machine.run("edge", machine.wheel("0.1.0"), "--lock", machine.lock, "--python", old)

    assert (done.returncode, "Python 3.11 or newer is needed" in done.stderr) == (1, True)
    assert not machine.path("/opt").exists()
    assert not machine.path("/etc").exists()


def test_what_is_not_what_it_says_is_not_installed(machine: Machine) -> None:
    """A package with another hash, a wheel that SHA256SUMS does not know, one that does not run: nothing is left."""
    good = machine.lock.read_text()
    wheel = machine.wheel("0.1.0")
    options = ["--lock", machine.lock, "--wheels", machine.wheels, "--python", sys.executable]

    machine.lock.write_text(good.replace("sha256:", "sha256:" + "0" * 64)[: len(good)] + "\n")
    other_package = machine.run("edge", wheel, *options)
    machine.lock.write_text(re.sub(r"\s*\\?\s*--hash=\S+", "", good))
    no_hash = machine.run("edge", wheel, *options)
    machine.lock.write_text(good)
    sums = wheel.parent / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  {wheel.name}\n")
    other_wheel = machine.run("edge", wheel, *options)
    sums.write_text("")
    not_named = machine.run("edge", wheel, *options)
    sums.unlink()
    broken = machine.run("edge", machine.wheel("0.1.1", works=False), *options)

    for done, words in (
        (other_package, "DO NOT MATCH THE HASHES"),
        (no_hash, "Hashes are required"),
        (other_wheel, "is not what SHA256SUMS says"),
        (not_named, "does not name footfall-0.1.0"),
        (broken, ""),
    ):
        assert done.returncode != 0
        assert words in done.stdout + done.stderr
    assert [found.name for found in machine.path("/opt/footfall").iterdir()] == []
    assert not machine.path("/etc/footfall").exists()

    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    sums.write_text(f"{digest}  {wheel.name}\n")
    machine.install("edge", wheel)
    another = machine.wheel("0.1.0", works=False)
    sums.unlink()
    done = machine.run("edge", another, *options)
    assert (done.returncode, "0.1.0 is installed from another wheel or lock file" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["edge"], "name the wheel or the version"),
        (["edge", "0.9.9"], "0.9.9 is not installed for edge, and no footfall-0.9.9-py3-none-any.whl lies here"),
        (["edge", "nowhere.whl"], "there is no file nowhere.whl"),
        (["edge", "--lock"], "--lock needs a value"),
        (["edge", "--locks", "x"], "there is no option --locks"),
        (["box"], "there is no command box"),
        (["edge", "a", "b"], "b is one word too many"),
        (["rollback"], "there is no version before this one"),
        (["status"], "footfall is not installed here"),
    ],
)
def test_a_slip_is_a_sentence(machine: Machine, words: list[str], sentence: str) -> None:
    """What was wrong and what would be right; nothing is done."""
    done = machine.run(*words)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert not machine.path("/opt").exists()


def test_it_says_that_it_needs_root(tmp_path: Path) -> None:
    """Before anything is made."""
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed: apt-get install util-linux")
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    script = shutil.copy(SCRIPT, "/tmp/footfall-install-test.sh")
    try:
        done = subprocess.run(
            [*as_nobody, "sh", script, "status"], capture_output=True, text=True, check=False, timeout=60
        )
    finally:
        Path(script).unlink()

    assert done.returncode == 1
    assert "this needs root" in done.stderr


@pytest.mark.full
def test_the_real_program_runs_from_where_it_was_put(machine: Machine, tmp_path: Path) -> None:
    """The wheel of this checkout, the packages of the lock file from the index, and a service manager that waits."""
    lock = ROOT / "requirements" / "edge.txt"
    if not lock.is_file():
        pytest.skip("there is no requirements/edge.txt: make lock")
    words = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()

    done = machine.run("edge", wheel, "--lock", lock, "--python", sys.executable)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip(f"no package index reached from here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    settings = machine.path("/etc/footfall/edge.toml")
    settings.write_text(settings.read_text().replace("/var/lib/footfall-edge", str(tmp_path)))
    program = machine.path("/opt/footfall/current/bin/footfall-edge")
    with (
        Manager(tmp_path) as manager,
        subprocess.Popen(
            [program, "--config", settings], env={"PATH": "/usr/bin:/bin", **manager.environment}
        ) as process,
    ):
        manager.wait_for("READY=1")
        manager.lives(1)
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_plain_shell(script: Path) -> None:
    """Debian's sh understands it, and shellcheck finds nothing in it."""
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert os.access(script, os.X_OK)
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
