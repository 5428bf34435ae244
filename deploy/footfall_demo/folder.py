"""The data folder: everything a demo keeps lies in it, and one demo at a time may use it.

It remembers, in ``demo.json``, the seed of the simulated pedestrians and the minute in which live counting first began.
History lies before that minute and live counts after it, for the whole life of the folder: that is what keeps the two
from ever counting the same time twice.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from footfall_demo.refusals import RefusedError

ROOM_BYTES = 500_000_000
"""An empty database has 50 MB, its write-ahead log up to a few hundred; two months of minutes have 100 MB."""

_LEFTOVER_S = 30.0
"""How long the processes of a demo that was killed may need to end before another one may start."""


def default_folder(environ: Mapping[str, str], euid: int) -> Path:
    """Where the demo keeps its data unless told otherwise."""
    if euid == 0:
        return Path("/var/lib/footfall-demo")
    home = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "footfall" / "demo"


@dataclass(frozen=True)
class Memory:
    """What the folder remembers between two starts.

    `live_since` is the minute in which live counting first began (UTC seconds, a whole minute), None before that.
    `past` says what was counted before it: nothing yet, simulated pedestrians, or what a file says.
    """

    seed: int
    live_since: int | None = None
    past: Literal["none", "simulated", "file"] = "none"


class DataFolder:
    """The folder at `path`, locked for this process and its children while it is open.

    Raises:
        RefusedError: on entering: it cannot be written, there is no room, or another demo uses it.
    """

    def __init__(self, path: Path, *, room_bytes: int = ROOM_BYTES) -> None:
        self.path = path.expanduser().absolute()
        self._room_bytes = room_bytes
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            self._lock = os.open(self.path / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RefusedError(
                f"The data folder {self.path} cannot be used: {_reason(error)}. Choose another one with --data."
            ) from error
        try:
            self._take_lock()
            self._check_room()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def lock_descriptor(self) -> int:
        """The open lock file. Children inherit it, so that the folder stays locked until the last one is gone."""
        assert self._lock is not None, "the folder is not open"
        return self._lock

    @property
    def logs(self) -> Path:
        """Where each process's log lies."""
        return self.path / "logs"

    def _take_lock(self) -> None:
        assert self._lock is not None
        deadline = time.monotonic() + _LEFTOVER_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = self._owner()
                if owner is None or _runs(owner) or time.monotonic() > deadline:
                    who = f" (process {owner})" if owner else ""
                    raise RefusedError(
                        f"Another demo{who} is running on the data folder {self.path}. "
                        "Stop it with Ctrl-C first, or give this one a folder of its own with --data."
                    ) from None
                time.sleep(0.1)  # that demo was killed, and its processes are just ending
            else:
                break
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode("ascii"), 0)

    def _owner(self) -> int | None:
        assert self._lock is not None
        with contextlib.suppress(ValueError):
            return int(os.pread(self._lock, 32, 0).decode("ascii", "replace"))
        return None

    def _check_room(self) -> None:
        room = os.statvfs(self.path)
        free = room.f_bavail * room.f_frsize
        if free < self._room_bytes:
            raise RefusedError(
                f"There is not enough room for the data folder {self.path}: {free / 1e6:,.0f} MB are free and "
                f"{self._room_bytes / 1e6:,.0f} MB are needed. Make room, or choose a folder elsewhere with --data."
            )

    # -- the operator's token --------------------------------------------------------------------------------------

    def operator_token(self) -> str:
        """What opens the operator's page: made once, and kept in a file that only its owner reads.

        Raises:
            RefusedError: the file cannot be read or written.
        """
        path = self.path / "operator-token"
        try:
            if path.exists() and (kept := path.read_text("utf-8").strip()):
                return kept
            token = secrets.token_urlsafe(18)
            half = path.with_suffix(".half")
            half.unlink(missing_ok=True)
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(token + "\n")
            half.replace(path)
        except (OSError, ValueError) as error:
            raise RefusedError(f"The operator's token in {path} cannot be used: {error}. Remove the file.") from error
        return token

    # -- what it remembers ----------------------------------------------------------------------------------------

    @property
    def _memory_file(self) -> Path:
        return self.path / "demo.json"

    def recall(self, seed: int | None, default_seed: int) -> Memory:
        """What the folder remembers; in a new folder, `seed` or `default_seed` and nothing else.

        Raises:
            RefusedError: `seed` is not the one this folder was begun with, or ``demo.json`` cannot be read.
        """
        try:
            found = json.loads(self._memory_file.read_text("utf-8"))
            memory = Memory(**{key: value for key, value in found.items() if key != "v"})
        except FileNotFoundError:
            memory = Memory(default_seed if seed is None else seed)
            self.remember(memory)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RefusedError(
                f"{self._memory_file} cannot be read ({error}). It belongs to the data beside it: put it back, or "
                "start afresh with another --data."
            ) from error
        if seed is not None and seed != memory.seed:
            raise RefusedError(
                f"The data in {self.path} were begun with --seed {memory.seed}; --seed {seed} would mix two cities. "
                "Leave --seed out, or choose another folder with --data."
            )
        return memory

    def remember(self, memory: Memory) -> None:
        """Write `memory` so that a crash leaves either the old or the new one."""
        half = self._memory_file.with_suffix(".half")
        with half.open("w", encoding="utf-8") as file:
            json.dump({"v": 1, **asdict(memory)}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        half.replace(self._memory_file)

    def begin_live(self, memory: Memory, now: float) -> Memory:
        """Fix the minute before which history lies: the one of the first live start. `now` is in UTC seconds."""
        if memory.live_since is None:
            memory = replace(memory, live_since=int(now) // 60 * 60)
            self.remember(memory)
        return memory

    def check_clock(self, memory: Memory, now: float) -> None:
        """Make sure that live counts will not fall into the past.

        Raises:
            RefusedError: `now` (UTC seconds) is before live counting began.
        """
        if memory.live_since is not None and now < memory.live_since:
            began = time.strftime("%Y-%m-%d %H:%M", time.gmtime(memory.live_since))
            raise RefusedError(
                f"This machine's clock is behind: the data in {self.path} began at {began} UTC, which is still to "
                "come. Set the clock, or choose another folder with --data."
            )


def _reason(error: OSError) -> str:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "it, or a part of its path, is a file"
    return f"{error.filename}: {error.strerror}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
