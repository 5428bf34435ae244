"""What a box gets: the head of its edge.toml, and its secret with the place where it belongs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from footfall_ingest.commands import RefusedError
from footfall_ingest.nodes_folder import SECRET
from footfall_ingest.nodes_rules import Account

BOX_SETTINGS: Final = "/etc/footfall/edge.toml"
BOX_AUTHORITY: Final = "/etc/footfall/ca.crt"
BOX_CERTIFICATE: Final = "/etc/footfall/mqtt.crt"
BOX_PASSWORD: Final = "/etc/footfall/secrets/mqtt-password"  # noqa: S105  # a path
BOX_KEY: Final = "/etc/footfall/secrets/mqtt-key"
BOX_OUTBOX: Final = "/var/lib/footfall-edge/outbox.sqlite"
"""Where the unit of the edge, and its container, keep what is counted."""
BOX_KEY_AS_READ: Final = "/run/credentials/footfall-edge.service/mqtt-key"
"""Where the edge finds its key: systemd lays it there for it alone (LoadCredential=)."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What is to be brought to the box of `account`."""

    account: Account
    head: str
    """The beginning of its edge.toml."""
    files: Mapping[str, str]
    """By the path where each belongs on the box, its content."""
    secret: str
    """The path of the one that is secret; empty if there is none."""


def head(account: Account, host: str, port: int, *, has_authority: bool, by_password: bool) -> str:
    """The beginning of the edge.toml of a box that logs in as `account` at `host`:`port`, else with a certificate."""
    lines = [f'node = "{account.node}"', "", "[mqtt]", f'host = "{host}"', f"port = {port}", "tls = true"]
    if has_authority:
        lines.append(f'ca_file = "{BOX_AUTHORITY}"')
    if by_password:
        lines.append(f'username = "{account}"')
    else:
        lines += [f'cert_file = "{BOX_CERTIFICATE}"', f'key_file = "{BOX_KEY_AS_READ}"']
    lines += ["", "[outbox]", f'path = "{BOX_OUTBOX}"']
    return "\n".join(lines) + "\n"


def on_paper(handover: Handover) -> str:
    """All of it as one text for the terminal: what belongs where, each under a line that says so."""
    parts = {BOX_SETTINGS: handover.head, **handover.files}
    return "\n".join(f"# {_place(handover, path)}:\n{content.rstrip()}\n" for path, content in parts.items())


def check_folder(folder: Path, account: Account) -> None:
    """Make sure that what is for `account` can be written into `folder`, which is made if it is not there.

    Raises:
        RefusedError: it cannot, or something for this account is there already.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = sorted(folder.glob(f"{account}-*"))
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be used: {error.strerror}") from error
    if there:
        raise RefusedError(f"{there[0]} is there already: give another folder, or remove what is for {account} in it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RefusedError(f"{folder}: cannot be written to")


def in_folder(handover: Handover, folder: Path) -> list[str]:
    """Write all of it into `folder`, readable for its owner alone, and say where each file belongs.

    Raises:
        RefusedError: a file is there already, or cannot be written. Files that were written before it stay.
    """
    said = []
    for path, content in {BOX_SETTINGS: handover.head, **handover.files}.items():
        own = folder / f"{handover.account}-{Path(path).name}"
        try:
            descriptor = os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY, SECRET)
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor
                file.write(content if content.endswith("\n") else content + "\n")
        except OSError as error:
            raise RefusedError(f"{own}: cannot be written: {error.strerror}") from error
        said.append(f"{own}: {_place(handover, path)}")
    return said


def _place(handover: Handover, path: str) -> str:
    if path == BOX_SETTINGS:
        return f"{path} begins so; the sensors follow, see deploy/edge.toml.example"
    return f"{path}, mode 0600 and root's" if path == handover.secret else path
