"""`deploy/compose/compose.yaml` for processes that are started by hand, as no container engine is needed for that.

What an engine would do is done in the open: variables are filled in, what a container sees under a path of its own is
found where it lies, and names of services become ports of the loopback.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final = ROOT / "deploy" / "compose"
SECRETS: Final = "/run/secrets/"
"""Where a container finds a secret, unless its `target` is another path."""

_VARIABLE: Final = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<mark>:-|:\?)(?P<word>[^}]*))?\})")


class UnsetError(Exception):
    """A variable that must be set is not; the message is what compose would say."""


def filled(text: str, variables: Mapping[str, str]) -> str:
    """`text` with ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?sentence}`` filled in as compose does it.

    Raises:
        UnsetError: a variable with a sentence is not set, or is empty.
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        set_to = variables.get(found["name"], "")
        if not set_to and found["mark"] == ":?":
            raise UnsetError(f"{found['name']}: {found['word']}")
        return set_to or (found["word"] if found["mark"] == ":-" else "")

    return _VARIABLE.sub(value, text)


def variables_of(env_file: Path) -> dict[str, str]:
    """What an ``.env`` file sets."""
    lines = [line for line in env_file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read(variables: Mapping[str, str], path: Path = COMPOSE / "compose.yaml") -> dict[str, Any]:
    """The document, filled in.

    Raises:
        UnsetError: see `filled`.
    """
    # As compose does it: first YAML, then variables, in values alone.
    document: dict[str, Any] = _filled_values(yaml.safe_load(path.read_text("utf-8")), variables)
    return document


def _filled_values(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return filled(value, variables)
    if isinstance(value, list):
        return [_filled_values(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: _filled_values(item, variables) for key, item in value.items()}
    return value


def secrets_of(service: Mapping[str, Any]) -> dict[str, str]:
    """By the path at which a service finds a secret, the name of the secret."""
    found = {}
    for secret in service.get("secrets", ()):
        name, target = (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
        found[target if target.startswith("/") else SECRETS + target] = name
    return found


def mounts_of(service: Mapping[str, Any]) -> dict[str, str]:
    """By the path at which a service sees a file or folder of the machine, its path as compose.yaml has it."""
    found = {}
    for mount in service.get("volumes", ()):
        source, target, *_ = mount.split(":")
        if source[0] in "./":
            found[target] = source
    return found


def volumes_of(service: Mapping[str, Any]) -> dict[str, str]:
    """By the path at which a service sees a named volume, the name."""
    found = {}
    for mount in service.get("volumes", ()):
        source, target, *_ = mount.split(":")
        if source[0] not in "./":
            found[target] = source
    return found


def copied(folder: Path) -> Path:
    """A copy of what `deploy/compose` needs of this repository, in `folder`; returns the copy of `deploy/compose`."""
    for part in ("deploy", "contract/footfall_contract"):
        ignored = shutil.ignore_patterns("__pycache__", "footfall_demo", ".env", "secrets", "city", "made", "broker")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    return folder / "deploy" / "compose"


def prepare(
    compose: Path, *words: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``prepare.sh`` of this `deploy/compose` with these words."""
    script = [str(compose / "prepare.sh"), *words]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False, timeout=300)


@dataclass(frozen=True)
class Translation:
    """From what containers see to what there is here."""

    compose: Path
    """A prepared `deploy/compose`."""
    document: Mapping[str, Any]
    addresses: Mapping[str, str]
    """By ``host:port`` as services call each other, the ``host:port`` here."""
    scratch: Path
    """A folder for named volumes and for copies of files in which something had to be translated."""

    def service(self, name: str) -> Mapping[str, Any]:
        """A service of the document."""
        found: Mapping[str, Any] = self.document["services"][name]
        return found

    def words(self, name: str) -> list[str]:
        """The command line of a service, without the entrypoint of its image."""
        return [self.text(name, str(word)) for word in self.service(name).get("command", ())]

    def environment(self, name: str) -> dict[str, str]:
        """The variables of a service; of this process's own only those that are none of footfall's."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
        told = {key: self.text(name, str(value)) for key, value in self.service(name).get("environment", {}).items()}
        return {**own, **self._here(name, told)}

    def text(self, name: str, text: str) -> str:
        """`text` with paths inside the container `name`, and addresses, as they are here."""
        places = {target: self._secret(name, target) for target in secrets_of(self.service(name))}
        places |= {target: self._mount(source) for target, source in mounts_of(self.service(name)).items()}
        places |= {target: self.volume(volume) for target, volume in volumes_of(self.service(name)).items()}
        for target in sorted(places, key=len, reverse=True):
            text = re.sub(rf"(?<![\w./-]){re.escape(target)}(?![\w-])", str(places[target]), text)
        for there, here in self.addresses.items():
            text = text.replace(there, here)
        return text

    def volume(self, name: str) -> Path:
        """The folder that stands for a named volume."""
        folder = self.scratch / "volumes" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _mount(self, source: str) -> Path:
        return Path(os.path.normpath(self.compose / source))

    def _secret(self, name: str, target: str) -> Path:
        """A copy in which addresses are translated: a connection URL has one."""
        secret = secrets_of(self.service(name))[target]
        content = (self.compose / self.document["secrets"][secret]["file"]).read_text("utf-8")
        for there, here in self.addresses.items():
            content = content.replace(there, here)
        path = self.scratch / "secrets" / name / Path(target).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(content, "utf-8")
        return path

    def _here(self, name: str, told: Mapping[str, str]) -> dict[str, str]:
        """The variables, where a host and a port that stand apart are those that are here."""
        found = dict(told)
        for key, host in told.items():
            port_key = key.removesuffix("HOST") + "PORT"
            own = name if host == "0.0.0.0" else host  # where the service listens itself
            here = self.addresses.get(f"{own}:{told.get(port_key)}")
            if key.endswith("__HOST") and here is not None:
                found[key], _, found[port_key] = here.rpartition(":")
        return found
