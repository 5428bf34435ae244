"""Write the lock files: every version with its hashes, no address of any index.

Run by ``make lock``. Universal: one file serves each system and Python from 3.11 on.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Locked by `make lock` from pyproject.toml. Installed with --require-hashes.\n"

LOCKS: dict[str, list[str]] = {
    "demo.txt": ["pyproject.toml", "requirements/build.in", "--extra", "demo"],
    "dev.txt": ["pyproject.toml", "requirements/build.in", "--extra", "demo", "--group", "dev"],
    "node.txt": ["requirements/node.in"],
}


def main() -> int:
    """Lock each file in `LOCKS`; the exit status of the first that cannot be."""
    for name, sources in LOCKS.items():
        target = ROOT / "requirements" / name
        done = subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
                *("--python-version", "3.11", "--no-header", "--no-annotate", "--no-emit-index-url"),
                *("--no-emit-find-links", "--upgrade", *sources),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            return done.returncode
        target.write_text(HEADER + done.stdout)
        sys.stdout.write(f"requirements/{name}: {done.stdout.count('==')} packages\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
