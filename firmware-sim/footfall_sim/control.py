"""Commands to a running simulator: one JSON object per line through a Unix socket, one answered for each.

``{"sensor": "markt-1", "fault": "reboot"}`` happens to one sensor, without ``sensor`` to all of them. The faults are
``reboot``; ``silence``, ``stuck`` (``"mode": "nothing"`` or ``"repeat"``) and ``unplug``, each for ``"seconds"`` or
until ``"clear"``; ``replug``; ``pause`` (the next frame stops in its middle for ``"seconds"``); ``noise`` (``"value"``
bytes per second), ``flip`` and ``loss`` (``"value"`` 0 to 1).
The commands are ``status``, ``stop_pedestrians``, ``start_pedestrians``, ``passage`` (``direction``, ``class``,
``count``) and ``stop``. The answer is ``{"ok": true, "sensors": [...]}``, how the sensors meant are after the order,
or ``{"ok": false, "error": "..."}``.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MAX_LINE = 65_536
_MAX_ADDRESS = 100
"""Bytes; the kernel's limit for a socket's path is 104 (macOS) or 108 (Linux)."""


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sensor: str | None = None


class FaultOrder(_Order):
    """Let something go wrong, or right again."""

    fault: Literal["reboot", "silence", "stuck", "unplug", "replug", "pause", "noise", "flip", "loss", "clear"]
    seconds: float | None = Field(None, gt=0)
    mode: Literal["nothing", "repeat"] = "nothing"
    value: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _has_a_value(self) -> Self:
        if self.fault in {"noise", "flip", "loss"} and self.value is None:
            raise ValueError(f"{self.fault} needs a value")
        if self.fault == "pause" and self.seconds is None:
            raise ValueError("pause needs seconds")
        if self.fault in {"flip", "loss"} and (self.value or 0) > 1:
            raise ValueError(f"{self.fault} is a probability from 0 to 1")
        return self


class CommandOrder(_Order):
    """Tell the people or the simulator something."""

    command: Literal["status", "stop_pedestrians", "start_pedestrians", "passage", "stop"]
    direction: int = Field(0, ge=0, le=2)
    class_: int = Field(0, ge=0, le=255, alias="class")
    count: int = Field(1, ge=1, le=100_000)


Order = FaultOrder | CommandOrder


class OrderError(ValueError):
    """A command that is not understood or cannot be carried out."""


def read_order(line: bytes) -> Order:
    """The order in a line of JSON. Raises OrderError with a sentence."""
    try:
        given = json.loads(line)
    except ValueError as error:
        raise OrderError(f"not a line of JSON: {error}") from error
    kind: type[Order] = CommandOrder if isinstance(given, dict) and "command" in given else FaultOrder
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'order'}: {fault['msg']}" for fault in error.errors())
        raise OrderError("; ".join(faults)) from error


def request(path: Path, order: dict[str, Any], *, timeout_s: float = 10.0) -> dict[str, Any]:
    """Send one order to the simulator that listens on `path` and return its answer.

    Raises OSError if nobody listens or the answer does not come in time, OrderError if the answer is none.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        with _address(path) as address:
            link.connect(address)
        link.sendall(json.dumps(order).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = link.recv(MAX_LINE)
            if not part:
                raise OrderError(f"the simulator hung up after {answer[:100]!r}")
            answer += part
    result: dict[str, Any] = json.loads(answer)
    return result


class Control:
    """The socket. `obey` carries out an order and returns what the answer shall say beside ``ok``."""

    def __init__(self, path: Path, obey: Callable[[Order], dict[str, Any]]) -> None:
        self._path = path
        self._obey = obey
        self._begun: dict[socket.socket, bytearray] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        # It gets its name when somebody listens: who sees it can call. One left by a simulator that was killed goes.
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        with _address(fresh) as address:
            self._listener.bind(address)
        self._listener.listen()
        fresh.replace(path)

    def sockets(self) -> list[socket.socket]:
        """What to watch for input."""
        return [self._listener, *self._begun]

    def serve(self, readable: socket.socket) -> None:
        """Deal with a socket that has input."""
        if readable is self._listener:
            with suppress(BlockingIOError):
                caller, _ = self._listener.accept()
                caller.settimeout(1.0)  # an answer is small; a caller who does not take it is let go
                self._begun[caller] = bytearray()
            return
        try:
            self._read(readable)
        except OSError:
            self._hang_up(readable)

    def close(self) -> None:
        """Hang up on everybody and remove the socket."""
        for caller in list(self._begun):
            self._hang_up(caller)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _read(self, caller: socket.socket) -> None:
        part = caller.recv(MAX_LINE)
        begun = self._begun[caller]
        begun += part
        if not part or len(begun) > MAX_LINE:
            self._hang_up(caller)
            return
        while b"\n" in begun:
            line, _, rest = bytes(begun).partition(b"\n")
            begun[:] = rest
            caller.sendall(json.dumps(self._answer(line)).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **self._obey(read_order(line))}
        except OrderError as error:
            return {"ok": False, "error": str(error)}

    def _hang_up(self, caller: socket.socket) -> None:
        del self._begun[caller]
        caller.close()


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name for the socket that fits into the kernel's limit, also deep in a tree (Linux: through the folder)."""
    if len(os.fsencode(path)) <= _MAX_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
