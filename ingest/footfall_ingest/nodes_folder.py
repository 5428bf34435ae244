"""The broker's files in their folder: read, checked, and replaced so that the broker never sees half of one.

A file keeps its owner and its mode. That is more than order: mosquitto 2.0 that may not read its `acl_file` any more
when it is told to reload lets each node do everything.
"""

import contextlib
import fcntl
import os
import pwd
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from footfall_ingest.commands import RefusedError

PASSWORDS: Final = "nodes.passwd"
RULES: Final = "nodes.acl"
SERVICE_PASSWORDS: Final = "services.passwd"
SERVICE_RULES: Final = "services.acl"
AUTHORITY: Final = "ca.crt"
REVOKED: Final = "nodes.crl"
SERVER_CERTIFICATE: Final = "server.crt"
SERVER_KEY: Final = "server.key"
ISSUED: Final = "issued"
"""The folder with a copy of each certificate that was made; its key is not kept."""

FOR_BROKER: Final = 0o640
PUBLIC: Final = 0o644
SECRET: Final = 0o600

Ids = tuple[int, int]
"""User and group."""


def ids_of(owner: str) -> Ids | None:
    """The user and group that `owner` names: an account, a number, or two with a colon; None if it is empty.

    Raises:
        RefusedError: there is no such account.
    """
    if not owner:
        return None
    user, _, group = owner.partition(":")
    if user.isdecimal() and (group or user).isdecimal():
        return int(user), int(group or user)
    try:
        found = pwd.getpwnam(owner)
    except KeyError:
        raise RefusedError(
            f"[nodes] owner: there is no account {owner} on this machine; name the one that the broker runs under, as "
            "USER or as numbers, UID:GID"
        ) from None
    return found.pw_uid, found.pw_gid


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A context that only one process has at a time; others wait and say so.

    Raises:
        RefusedError: there is no such folder, or it cannot be written to.
    """
    try:
        descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, SECRET)
    except OSError as error:
        raise RefusedError(f"{folder}: cannot be written to: {error.strerror}; run this as root") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("waiting for another command that changes the nodes\n")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(path: Path) -> str:
    """The text in `path`; empty if there is no such file.

    Raises:
        RefusedError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RefusedError(f"{path} line {line}: is not UTF-8 text") from error


def replace(path: Path, content: str | bytes, owner: Ids | None, mode: int) -> None:
    """Make `content` that of `path`, at once and on the disk.

    A file that is there keeps its owner and mode; a new one gets `owner` and `mode`.

    Raises:
        RefusedError: it could not be written; what was there is unchanged.
    """
    target = path.resolve()
    try:
        # Made readable for nobody else, and given away before it has its name.
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
                file.write(content.encode() if isinstance(content, str) else content)
                if target.exists():
                    there = target.stat()
                    owner, mode = (there.st_uid, there.st_gid), there.st_mode & 0o7777
                if owner is not None:
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
                file.flush()
                os.fsync(descriptor)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync(target.parent)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}; nothing of it was changed") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hidden_from(path: Path, reader: Ids | None) -> str | None:
    """Why the account `reader` cannot read `path`, as a sentence; None if it can, or is not known."""
    if reader is None or reader[0] == 0:
        return None
    groups = _groups_of(*reader)
    target = path.resolve()
    for step in (*reversed(target.parents), target):
        there = step.stat()
        shift = 6 if there.st_uid == reader[0] else 3 if there.st_gid in groups else 0
        action, bit = ("read", 0o4) if step == target else ("enter", 0o1)
        if not there.st_mode >> shift & bit:
            return f"{path}: the broker's account (uid {reader[0]}) may not {action} {step}"
    return None


def _groups_of(user: int, group: int) -> set[int]:
    try:
        return set(os.getgrouplist(pwd.getpwuid(user).pw_name, group))
    except KeyError:  # an account of a container, unknown here
        return {group}
