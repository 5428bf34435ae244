"""One way to be asked to stop: SIGINT and SIGTERM set an event that the process's loop looks at."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class StopSignal:
    """A context in which SIGINT and SIGTERM ask the process to finish what it does and leave.

    Use it in the main thread only (Python allows signal handlers nowhere else).
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self.event.set()

    def __bool__(self) -> bool:
        """True once the process was asked to stop."""
        return self.event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Sleep for up to `timeout_s` seconds; True as soon as a stop is asked for."""
        return self.event.wait(timeout_s)
