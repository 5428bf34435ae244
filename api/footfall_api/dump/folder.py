"""The folder of the files: each file is whole or not there, whenever the process that writes it is ended.

A file is written under a name that begins with a dot and ends in ``.part``, brought to the disk, and renamed. Who
begins after one that was killed removes what that one left behind. ``.state.json`` has, for each file, what it was made
from: a file of which that has not changed is not made again. One that is made again and turns out the same stays, with
its date. Should the state be behind the files, because the process ended between the two, a file is made once more.

Of what lies in the folder besides, nothing is touched.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final, Self

from footfall_api.dump.package import AREAS, PACKAGE, REMARKS, STATIONS, SUMS, parse_sums
from footfall_api.dump.plan import table_of

_STATE: Final = ".state.json"
_LOCK: Final = ".lock"
_PART: Final = ".part"

_OURS: Final = (PACKAGE, SUMS, STATIONS, AREAS, REMARKS, "counts")
"""What is in a folder with files of ours."""


class DumpError(Exception):
    """The files cannot be written, or are not what they should be; a sentence for whoever asked for them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a file of counts."""

    made_of: str
    """Stands for all that the file was made from."""
    rules: str
    """Stands for the publication rules among that."""
    sha256: str
    size: int
    mtime_ns: int
    """By which it is seen whether somebody else has touched it."""


class Draft:
    """A file that is being written; it becomes visible only when it is whole. Left without, it is gone."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self._part = target.with_name(f".{target.name}{_PART}")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self._part.open("wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        """Write on."""
        self._hash.update(data)
        size = self._file.write(data)
        self.size += size
        return size

    def flush(self) -> None:
        """What there is to bring to the disk is brought there at the end."""

    def show(self) -> None:
        """Put it in the place of what was there."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self.target)
        _sync_folder(self.target.parent)


def _sync_folder(folder: Path) -> None:
    """Bring renamings to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Folder:
    """The folder, held by one process at a time."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        self._lock = lock
        self._entries: dict[str, Entry] = {}

    @classmethod
    def take(cls, path: Path, *, create: bool = True) -> Self:
        """Hold the folder; with `create` it is made if it is not there, and what a killed process left is removed.

        Raises:
            DumpError: it is not there, is held by another process, or is full of something else.
        """
        try:
            if create:
                path.mkdir(exist_ok=True)
                _refuse_others(path)
            lock = (path / _LOCK).open("a+", encoding="ascii")
        except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
            missing = path.parent if create and not path.exists() else path
            raise DumpError(f"there is no folder {missing}") from error
        except OSError as error:
            raise DumpError(f"{path} cannot be written to: {error.strerror}") from error
        folder = cls(path, lock)
        try:
            folder._begin(create=create)
        except BaseException:
            lock.close()
            raise
        return folder

    def _begin(self, *, create: bool) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read(32).strip()
            raise DumpError(
                f"another footfall-api dump{f' (process {owner})' if owner else ''} is at work in {self.path}; "
                "wait until it has ended"
            ) from error
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()
        if not create:
            return
        if not (self.path / _STATE).exists():
            self._save()
        self._entries = self._read_state()
        for left in self.path.rglob(f".*{_PART}"):
            left.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _read_state(self) -> dict[str, Entry]:
        try:
            said = json.loads((self.path / _STATE).read_text("utf-8"))
            return {path: Entry(**entry) for path, entry in said["files"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return {}  # by an older or a newer version: the files are made again, and those that are the same stay

    def _save(self) -> None:
        entries = {path: asdict(entry) for path, entry in sorted(self._entries.items())}
        with Draft(self.path / _STATE) as draft:
            draft.write(json.dumps({"files": entries}, indent=0).encode())
            draft.show()

    @property
    def counts(self) -> dict[str, Entry]:
        """The files of counts that there are, and are as they were left, by path."""
        return {path: found for path in sorted(self._entries) if (found := self._intact(path)) is not None}

    def has(self, path: str, made_of: str) -> bool:
        """Whether the file is there, as it was left, and made from what `made_of` stands for."""
        entry = self._intact(path)
        return entry is not None and entry.made_of == made_of

    def _intact(self, path: str) -> Entry | None:
        """What is known of a file, if it is there and as it was left."""
        entry = self._entries.get(path)
        if entry is None:
            return None
        try:
            status = (self.path / path).stat()
        except OSError:
            return None
        if (status.st_size, status.st_mtime_ns) == (entry.size, entry.mtime_ns):
            return entry
        if status.st_size != entry.size or _sha256(self.path / path) != entry.sha256:
            return None
        found = Entry(entry.made_of, entry.rules, entry.sha256, entry.size, status.st_mtime_ns)
        self._entries[path] = found  # copied, or brought back from a backup
        return found

    def draft(self, path: str) -> Draft:
        """A new version of a file."""
        return Draft(self.path / path)

    def keep(self, path: str, draft: Draft, made_of: str, rules: str) -> bool:
        """Take over a file of counts that is written to its end; False if it is what there was already."""
        before = self._intact(path)
        is_new = before is None or before.sha256 != draft.sha256
        if is_new:
            draft.show()
        mtime_ns = draft.target.stat().st_mtime_ns
        self._entries[path] = Entry(made_of, rules, draft.sha256, draft.size, mtime_ns)
        return is_new

    def save(self) -> None:
        """Note down what the files of counts were made from."""
        self._save()

    def put(self, path: str, content: bytes) -> bool:
        """Write a small file; False if it is what there was already."""
        with suppress(FileNotFoundError):
            if (self.path / path).read_bytes() == content:
                return False
        with Draft(self.path / path) as draft:
            draft.write(content)
            draft.show()
        return True

    def remove_all_but(self, wanted: Collection[str]) -> list[str]:
        """Remove the files of counts that are not `wanted`; their paths. What is not ours stays."""
        removed = []
        for path in sorted({*self._entries, *self._found()} - set(wanted)):
            with suppress(FileNotFoundError):
                (self.path / path).unlink()
                removed.append(path)
            self._entries.pop(path, None)
        if removed:
            self._save()
        return removed

    def _found(self) -> Iterator[str]:
        """The paths of all files of counts on the disk."""
        for file in self.path.glob("counts/*/*"):
            path = file.relative_to(self.path).as_posix()
            if table_of(path) is not None:
                yield path


def _refuse_others(path: Path) -> None:
    """Refuse a folder with files of such names that are not ours, such as the one in which the city keeps its stations.

    Raises:
        DumpError: it names one of them.
    """
    found = [name for name in _OURS if (path / name).exists()]
    # In this order: who begins at the same time writes the state first.
    if found and not (path / _STATE).exists():
        raise DumpError(
            f"{path} has something else in it: {found[0]} was not written by footfall-api dump; name a "
            "folder of its own"
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def faults(path: Path) -> tuple[int, list[str]]:
    """How many files ``SHA256SUMS`` in a folder names, and in a sentence each those that are not what it says.

    Raises:
        DumpError: there is none.
    """
    try:
        sums = parse_sums((path / SUMS).read_text("utf-8"))
    except OSError as error:
        raise DumpError(f"{path / SUMS}: cannot be read: {error.strerror}") from error
    found = []
    for name, sha256 in sums.items():
        try:
            if _sha256(path / name) != sha256:
                found.append(f"{name}: its content is not what {SUMS} says")
        except OSError as error:
            found.append(f"{name}: cannot be read: {error.strerror}")
    return len(sums), found
