"""What the demo says to whoever started it: lines, a table, progress bars; on a terminal or into a file.

Saying something never fails. The terminal may be gone (that is how SIGHUP comes about) while there still are processes
to stop, and stopping them matters more.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO, Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_EVERY_S = 10.0
"""Without a terminal a progress line comes this often."""


_FILE_WIDTH = 110
"""Characters; a file has no width of its own, and a table should not be broken in it."""


class Step(Protocol):
    """Tells how far a task is: `done` of `total`."""

    def __call__(self, done: float, total: float, /) -> None:
        """To be called as often as one likes, from any thread."""


class _Forgiving:
    """A text stream that swallows what can no longer be written."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class Terminal:
    """Where the demo talks to people. Lines are not wrapped: a path or an address stays in one piece."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        forgiving: IO[str] = _Forgiving(stream or sys.stdout)  # type: ignore[assignment]  # it has what rich asks for
        self._console = Console(file=forgiving, soft_wrap=True, highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = _FILE_WIDTH
        self._lock = threading.RLock()
        self._bars: Progress | None = None
        self._tasks = 0

    def say(self, text: str = "") -> None:
        """Print `text` as a line of its own."""
        self.show(text)

    def show(self, what: RenderableType) -> None:
        """Print a table or another thing that knows how to draw itself."""
        with self._lock:
            self._console.print(what)
            self._console.file.flush()

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Step]:
        """A bar on a terminal, else a line now and then, for as long as the context lasts. Several may run at once."""
        if not self._console.is_terminal:
            yield self._lines(title)
            return
        with self._lock:
            if self._bars is None:
                columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
                self._bars = Progress(*columns, console=self._console, transient=True)
                self._bars.start()
            bars, task = self._bars, self._bars.add_task(title, total=None)
            self._tasks += 1
        try:
            yield lambda done, total: bars.update(task, completed=done, total=total)
        finally:
            with self._lock:
                bars.remove_task(task)
                self._tasks -= 1
                if not self._tasks:
                    bars.stop()
                    self._bars = None

    def _lines(self, title: str) -> Step:
        said = time.monotonic()

        def step(done: float, total: float) -> None:
            nonlocal said
            if time.monotonic() - said >= _EVERY_S:
                said = time.monotonic()
                self.say(f"{title}: {100 * done / max(total, 1):.0f} %")

        return step
