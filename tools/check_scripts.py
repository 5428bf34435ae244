"""Check the types of our own scripts with TypeScript, as ``jsconfig.json`` says: part of ``make check``.

The scripts are plain JavaScript that says its types in JSDoc comments; browsers get them as they are. TypeScript and
the types of the libraries come with the set-up (`web_assets`).
"""

import subprocess
import sys
from pathlib import Path

import web_assets

COMPILER = Path("node_modules/typescript/bin/tsc")


def main(root: Path = web_assets.ROOT) -> int:
    """0 if every script holds to its types; what TypeScript finds is on standard output."""
    node = web_assets.find_node()
    if node is None or not (root / COMPILER).is_file():
        missing = "Node.js" if node is None else "TypeScript"
        sys.stderr.write(f"scripts: {missing} is missing; run: make check, or python tools/web_assets.py\n")
        return 2
    done = subprocess.run([*node.node, str(root / COMPILER), "--project", "jsconfig.json"], cwd=root, check=False)
    if done.returncode == 0:
        count = len(list((root / "api/footfall_api/static/js").rglob("*.js")))
        print(f"Success: no issues found in {count} scripts")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
