"""A TCP proxy that a test can cut, stall half-open or slow down, between any client and any server.

All proxies of a process share one thread with one event loop. What a fault does:

- `cut`: every connection is reset, and so is every new one until `heal`.
- `stall`: every connection is half-open from now on and for ever: what is sent is taken, acknowledged by TCP, and goes
  nowhere; the end of one side is not told to the other. So does every connection made until `heal`. That is what a
  firewall does which forgot its connections, seen from an application.
- `slow`: each piece of what is sent waits `latency_s` seconds and takes its time at `bytes_per_s`, until `heal`.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from enum import Enum
from functools import cache
from typing import Any, Self, TypeVar

T = TypeVar("T")

_PIECE = 16_384
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing the socket resets the connection."""


class Mode(Enum):
    """What becomes of connections."""

    OPEN = "open"
    CUT = "cut"
    STALLED = "stalled"
    SLOW = "slow"


class _Thread:
    """The event loop in its thread; it lasts as long as the process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)


@cache
def _thread() -> _Thread:
    return _Thread()


class _Link:
    """One connection from a client through the proxy."""

    def __init__(self, near: asyncio.StreamWriter) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.dead = False
        """Half-open: nothing passes any more."""

    def reset(self) -> None:
        for side in (self.near, self.far):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                side.transport.abort()


class Proxy:
    """A context with a port (`port`, on the loopback) whose connections lead to ``host:target``."""

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self._target = (host, target)
        self._mode = Mode.OPEN
        self._latency_s = 0.0
        self._bytes_per_s = 0.0
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        _thread().run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        _thread().run(self._stop())

    @property
    def mode(self) -> Mode:
        """What becomes of connections now."""
        return self._mode

    @property
    def connections(self) -> int:
        """Connections of which at least one side is open."""
        return len(self._links)

    def cut(self) -> None:
        """Reset every connection, and every new one, until `heal`."""
        self._do(self._cut)

    def stall(self) -> None:
        """Make every connection half-open for ever, and every new one, until `heal`."""
        self._do(self._stall)

    def slow(self, *, latency_s: float, bytes_per_s: float) -> None:
        """Delay what is sent, until `heal`."""

        def change() -> None:
            self._mode, self._latency_s, self._bytes_per_s = Mode.SLOW, latency_s, bytes_per_s

        self._do(change)

    def heal(self) -> None:
        """Let new connections pass; those that are half-open stay so."""

        def change() -> None:
            self._mode = Mode.OPEN

        self._do(change)

    def _do(self, change: Callable[[], None]) -> None:
        async def work() -> None:
            change()

        _thread().run(work())

    # Everything below runs in the loop's thread.

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=_PIECE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        self._cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn

    def _cut(self) -> None:
        self._mode = Mode.CUT
        for link in list(self._links):
            link.reset()

    def _stall(self) -> None:
        self._mode = Mode.STALLED
        for link in self._links:
            link.dead = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = _Link(writer)
        self._links.add(link)
        try:
            if self._mode is Mode.CUT:
                link.reset()
            elif self._mode is Mode.STALLED:
                link.dead = True
                await self._swallow(reader)
            else:
                await self._join(reader, link)
        except OSError:
            link.reset()  # one side is gone, or the server does not listen: the client sees it at once
        except asyncio.CancelledError:
            pass  # the proxy stops; asyncio would log it as somebody's mistake
        finally:
            self._links.discard(link)
            self._tasks.discard(task)
            link.near.close()
            if link.far is not None:
                link.far.close()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(_PIECE):
            pass

    async def _join(self, reader: asyncio.StreamReader, link: _Link) -> None:
        far_reader, link.far = await asyncio.open_connection(*self._target, limit=_PIECE)
        await asyncio.gather(
            self._pass_on(reader, link.far, link.near, link), self._pass_on(far_reader, link.near, link.far, link)
        )

    async def _pass_on(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, back: asyncio.StreamWriter, link: _Link
    ) -> None:
        """Carry what comes from `source` to `to`; `back` is the writer to where `source` reads from."""
        try:
            while data := await source.read(_PIECE):
                if self._mode is Mode.SLOW and not link.dead:
                    await asyncio.sleep(self._latency_s + len(data) / self._bytes_per_s)
                if not link.dead:
                    to.write(data)
                    await to.drain()
        except OSError:
            if not link.dead:
                raise
        if link.dead:
            back.close()  # the one that left; the other hears nothing of it
        else:
            to.close()
