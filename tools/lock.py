"""Write the lock files: every version with its hashes, no address of any index.

Run by ``make lock``. Universal: one file serves each system and Python from 3.11 on. ``dev.txt`` is locked first and
holds everything; what is deployed takes the same versions from it, so that what was tested is what runs.

Without words every package is brought to its newest version that has been public for `COOLDOWN_DAYS`; with ``--keep``
only what ``pyproject.toml`` newly asks for is added; ``--package NAME`` brings one package to its newest version. The
files are written when all of them could be made, or not at all.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Locked by `make lock` from pyproject.toml. Installed with --require-hashes.\n"

LOCKED = re.compile(r"^([a-z0-9-]+)==", re.MULTILINE)
"""A package in a lock file; one that differs by Python is there more than once."""

COOLDOWN_DAYS = 7
"""How long a version must have been public: most that a thief put there are found and taken down within days."""


class Lock(NamedTuple):
    """What a lock file is made from, and the lock file whose versions it takes (none: it stands alone)."""

    sources: list[str]
    within: str | None = None


LOCKS: dict[str, Lock] = {
    "dev.txt": Lock(["pyproject.toml", "requirements/build.in", "--extra", "demo", "--group", "dev"]),
    "demo.txt": Lock(["pyproject.toml", "requirements/build.in", "--extra", "demo"], within="dev.txt"),
    "edge.txt": Lock(["pyproject.toml", "--extra", "edge"], within="dev.txt"),
    "server.txt": Lock(["pyproject.toml", "--extra", "ingest", "--extra", "api"], within="dev.txt"),
    "node.txt": Lock(["requirements/node.in"]),
}
"""In the order in which they are made."""


class LockError(Exception):
    """No versions fit, or no index answers; the message is the resolver's."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make each file of `LOCKS`; 0, or 1 with the reason on standard error and every file as it was."""
    parser = argparse.ArgumentParser(description="Lock the dependencies: versions and hashes, no addresses.")
    parser.add_argument("--keep", action="store_true", help="keep each locked version; add what is newly asked for")
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        metavar="NAME",
        help="bring this one to its newest version",
    )
    parser.add_argument(
        "--cooldown",
        type=int,
        default=COOLDOWN_DAYS,
        metavar="DAYS",
        help=f"take no version younger than this (default {COOLDOWN_DAYS}); 0 for the remedy of a known weakness",
    )
    words = parser.parse_args(argv)
    changing = words.package if words.keep or words.package else None
    with tempfile.TemporaryDirectory(prefix="footfall-lock-") as folder:
        try:
            made = make(ROOT / "requirements", Path(folder), changing, words.cooldown)
        except LockError as error:
            sys.stderr.write(str(error))
            return 1
    for name, text in made.items():
        (ROOT / "requirements" / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"requirements/{name}: {len(LOCKED.findall(text))} packages\n")
    return 0


def make(present: Path, folder: Path, changing: Sequence[str] | None, cooldown_days: int) -> dict[str, str]:
    """The text of each lock file.

    Args:
        present: The folder of today's lock files; where a version is kept, it is theirs.
        folder: An empty folder to work in.
        changing: The packages that may change their version; none given: all.
        cooldown_days: How long a version must have been public to be taken; 0: no matter. What is kept is kept.

    Raises:
        LockError: a file cannot be made.
    """
    made = {}
    for name, lock in LOCKS.items():
        target = folder / name
        if lock.within:
            versions = ["--constraint", str(folder / lock.within)]
        else:
            locked = (present / name).read_text(encoding="utf-8")
            target.write_text(locked, encoding="utf-8")
            versions = what_may_change(locked, changing, cooldown_days)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
                *("--python-version", "3.11", "--no-header", "--no-annotate", "--no-emit-index-url"),
                *("--no-emit-find-links", "--output-file", str(target), *versions, *lock.sources),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LockError(f"requirements/{name} cannot be locked:\n{done.stderr}")
        made[name] = HEADER + target.read_text(encoding="utf-8")
    return made


def what_may_change(locked: str, changing: Sequence[str] | None, cooldown_days: int) -> list[str]:
    """The resolver's options for it."""
    options = ["--upgrade"] if changing is None else [f"--upgrade-package={name}" for name in changing]
    if cooldown_days:
        options.append(f"--exclude-newer={cooldown_days} days")
        if changing is not None:
            kept = set(LOCKED.findall(locked)) - set(changing)
            options += [f"--exclude-newer-package={name}=false" for name in sorted(kept)]
    return options


if __name__ == "__main__":
    raise SystemExit(main())
