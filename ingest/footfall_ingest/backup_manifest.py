"""A backup is two files: the archive of pg_dump, and beside it a manifest that says what must be in it.

``footfall-DATABASE-20260301T023000Z.dump`` and ``….json``. Both are written as ``….part`` and brought to the disk; then
the manifest gets its name, and last the archive: an archive under its name is whole. What was cut short is a ``….part``
that the next backup removes, or a manifest that speaks of no archive.

What the manifest says of the database was read in the snapshot that the archive was made from.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from footfall_ingest.backup_truth import Truth
from footfall_ingest.commands import RefusedError
from footfall_role.settings import own_faults, sentence_of

ARCHIVE: Final = ".dump"
MANIFEST: Final = ".json"
PART: Final = ".part"
_LOCK: Final = ".footfall-backup.lock"
_TIME: Final = "%Y%m%dT%H%M%SZ"
_BLOCK: Final = 1 << 20

Progress = Callable[[str, int, int], None]
"""What is done, how much of it, of how much (0: not known)."""


Privilege = Literal["CONNECT", "CREATE", "TEMPORARY"]


class _Part(BaseModel):
    """What is added by a later version is no fault."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Properties(_Part):
    """What belongs to a database and is in no dump of it."""

    name: str
    owner: str
    encoding: str = "UTF8"
    grants: tuple[tuple[str, Privilege, bool], ...] | None = None
    """Role (empty: PUBLIC), privilege, with grant option; None: as the server has it by default."""
    settings: tuple[tuple[str, str, str], ...] = ()
    """``ALTER DATABASE … SET``: role (empty: for all), name, value."""


class Manifest(_Part):
    """What was backed up, when, from where, and what is in it."""

    made_by: Literal["footfall-ingest backup"] = "footfall-ingest backup"
    format: Literal[1] = 1
    footfall: str
    """The version of the program that made it."""
    schema_version: str
    epoch: UUID
    taken: AwareDatetime
    """When the snapshot was taken, by the database's clock, UTC."""
    file: str
    """The archive's name, without a folder."""
    size: int = Field(ge=1)
    """Bytes."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    postgresql: str
    """The server's version, and below its number, as 180006 for 18.6."""
    server_version: int
    timescaledb: str | None
    """The version of the extension in the database; None: it has none."""
    pg_dump: str
    database: Properties
    roles: tuple[str, ...]
    """Who owns something or was granted something in it."""
    rows: dict[str, int]
    """Rows by table, as ``schema.table``."""
    truth: Truth | None
    """What was counted; None: the schema was not that of the program, which could not read it."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A manifest and where its archive lies."""

    archive: Path
    manifest: Manifest

    @property
    def manifest_path(self) -> Path:
        """Where the manifest lies."""
        return self.archive.with_suffix(MANIFEST)

    def flaw(self) -> str:
        """What is to be seen without reading the archive: why it cannot be whole; empty if nothing is."""
        try:
            size = self.archive.stat().st_size
        except OSError as error:
            return f"the archive {self.archive} cannot be read: {error.strerror}"
        if size != self.manifest.size:
            return f"{self.archive} has {size} bytes, its manifest says {self.manifest.size}"
        return ""

    def check(self, progress: Progress) -> None:
        """Make sure that the archive is, byte by byte, the one that was written.

        Raises:
            RefusedError: it is not; the sentence says why.
        """
        flaw = self.flaw()
        if not flaw and (found := sha256(self.archive, progress)) != self.manifest.sha256:
            flaw = f"{self.archive} is damaged: its SHA-256 is {found}, its manifest says {self.manifest.sha256}"
        if flaw:
            raise RefusedError(f"{flaw}; take another backup, or fetch this one anew from where it was copied to")


def read(path: Path) -> Manifest:
    """The manifest at `path`.

    Raises:
        RefusedError: it cannot be read, or is none; a line for each fault.
    """
    try:
        return Manifest.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise RefusedError(f"the manifest {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        faults = [
            sentence_of(fault, ".".join(map(str, fault["loc"])), "a manifest's entry") for fault in own_faults(error)
        ]
        raise RefusedError("\n".join(f"{path} is no manifest of a backup: {fault}" for fault in faults[:5])) from error
    except ValueError as error:
        raise RefusedError(f"{path} is no manifest of a backup: it is not JSON: {error}") from error


def opened(path: Path) -> Backup:
    """The backup of which `path` is either file.

    Raises:
        RefusedError: there is none, or it has no manifest.
    """
    archive = path.with_suffix(ARCHIVE)
    if path.suffix not in {ARCHIVE, MANIFEST}:
        raise RefusedError(f"{path} is no backup of footfall-ingest: its name ends neither in {ARCHIVE} nor {MANIFEST}")
    if not path.exists():
        raise RefusedError(f"there is no {path}")
    manifest = path.with_suffix(MANIFEST)
    if not manifest.exists():
        raise RefusedError(
            f"{path} has no manifest beside it ({manifest.name}), so nobody can say whether it is whole; "
            "by hand it can be restored with pg_restore"
        )
    return Backup(archive, read(manifest))


def stem(database: str, taken: datetime) -> str:
    """The name of a backup's files without what comes after the dot."""
    return f"footfall-{_plain(database)}-{taken.astimezone(UTC).strftime(_TIME)}"


def _plain(database: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", database)


def found(folder: Path, database: str) -> tuple[list[Backup], list[str]]:
    """The backups of `database` in `folder` that may be whole, the oldest first, and sentences on the others.

    Files of anybody else are not even mentioned.
    """
    good, said = [], []
    for path in sorted(folder.glob(f"footfall-{_plain(database)}-*{ARCHIVE}")):
        if not _named(path, database) or path.is_symlink() or not path.is_file():
            continue
        try:
            backup = opened(path)
        except RefusedError as error:
            said.append(str(error).splitlines()[0])
            continue
        taken = backup.manifest.taken
        flaw = backup.flaw()
        if backup.manifest.file != path.name or backup.manifest.database.name != database:
            said.append(f"{path} is not what its manifest speaks of: {backup.manifest.file}")
        elif path.stem != stem(database, taken):
            said.append(f"{path} is not of the time in its name: {taken:{_TIME}}")
        elif flaw:
            said.append(flaw)
        else:
            good.append(backup)
    return sorted(good, key=lambda backup: backup.manifest.taken), said


def _named(path: Path, database: str) -> bool:
    return re.fullmatch(rf"footfall-{_plain(database)}-\d{{8}}T\d{{6}}Z", path.name.split(".")[0]) is not None


@contextmanager
def held(folder: Path, database: str) -> Iterator[None]:
    """Let no other backup into `folder` meanwhile, and remove what one of `database` that was cut short has left.

    Raises:
        RefusedError: there is no such folder, or another backup is being made in it.
    """
    if not folder.is_dir():
        # Not made: where a disk should be mounted and is not, the backup would fill the one that it is to outlive.
        raise RefusedError(f"{folder} is no folder: make it, or mount what should be there")
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"another backup is being made in {folder}") from None
        for path in folder.glob(f"footfall-{_plain(database)}-*{PART}"):
            if _named(path, database):
                path.unlink()
        yield


def sha256(path: Path, progress: Progress) -> str:
    """The checksum of a file, in hexadecimal."""
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress("checksum, MB", done >> 20, size >> 20)
    return digest.hexdigest()


def synced(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
