"""The process tree of the demo: start children, restart the ones that die, stop all of them in order.

There is one loop, :meth:`Supervisor.turn`, and it runs in the main thread. Whoever waits for something (a port to
open, a bounded run to end) waits with :meth:`Supervisor.wait_until`, which keeps the loop turning, so a child that
dies meanwhile is restarted all the same.

Three decisions carry the rest:

- Every child is in a session of its own. Ctrl-C in the terminal therefore reaches the supervisor alone, which then
  stops the children in the order that loses nothing: a sensor before the box that reads it, the database last.
- A child's standard output and error go straight into its log file, not through the supervisor. A pipe would fill up
  and stop a child whenever the supervisor is busy, and its last words would be lost if the supervisor were killed.
- The kernel tells each child when the supervisor is gone (see :mod:`footfall_role.children`), so that ``kill -9``
  leaves nothing behind either.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from footfall_role.children import die_with_parent

_FIRST_RESTART_S = 0.5
_LAST_RESTART_S = 30.0
_PROVEN_S = 20.0
"""A child that ran this long has shown that it can run: its next restart is a quick one again."""
_LOG_BYTES = 2 * 1024 * 1024
"""A log is moved to NAME.log.1 at this size, so that a child uses at most about twice as much."""
_TURN_S = 0.5
_SAME_REQUEST_S = 0.3
"""timeout(1) and some shells send a signal to the process and to its group: that is one request, not a second one."""
_HURRY_S = 5.0
"""How long a child that was told to hurry may take before it is killed."""


@dataclass(frozen=True)
class Child:
    """What is to run. `stage` orders the stop: all of a lower stage are gone before the next one is told."""

    name: str
    command: Sequence[str]
    stage: int = 0
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    grace_s: float = 15.0
    popen: Mapping[str, object] = field(default_factory=dict)
    """Further arguments of ``subprocess.Popen``: the account, the folder to run in."""


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    wait_s: float = _FIRST_RESTART_S
    restart_at: float | None = None
    deaths: int = 0
    shown: int = 0
    """How much of the log was already passed on to `follow` (bytes)."""


class Supervisor:
    """Runs children, as a context: leaving it stops all of them.

    `say` is given a line for people when a child dies. `follow`, if given, is called with the name of a child and each
    line that it logs. `pass_fds` are file descriptors every child inherits (the lock of the data folder: it stays held
    until the last child is gone). To be used in the main thread only, where signals are handled.
    """

    def __init__(
        self,
        logs: Path,
        *,
        say: Callable[[str], None],
        follow: Callable[[str, str], None] | None = None,
        pass_fds: Sequence[int] = (),
        log_bytes: int = _LOG_BYTES,
    ) -> None:
        self._logs = logs
        self._say = say
        self._follow = follow
        self._pass_fds = tuple(pass_fds)
        self._log_bytes = log_bytes
        self._running: dict[str, _Running] = {}
        self._asked_at: float | None = None
        self._hurry = False
        self._handlers: dict[signal.Signals, object] = {}
        self._wake_reader, self._wake_writer = socket.socketpair()

    # -- being asked to stop ------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started with nohup: it shall outlive the terminal
            self._handlers[number] = signal.signal(number, self._on_stop)
        # A handler, even an empty one, makes the death of a child wake the loop.
        self._handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
            signal.set_wakeup_fd(-1)
            self._wake_reader.close()
            self._wake_writer.close()

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at > _SAME_REQUEST_S:
            self._hurry = True

    @property
    def asked_to_stop(self) -> bool:
        """Whether SIGINT, SIGTERM or SIGHUP came."""
        return self._asked_at is not None

    # -- running ------------------------------------------------------------------------------------------------

    def start(self, child: Child) -> None:
        """Start `child` and keep it running from now on."""
        running = self._running[child.name] = _Running(child, shown=self._log_size(child))
        self._spawn(running)

    def pid(self, name: str) -> int | None:
        """The process id of child `name`, None while it is down."""
        process = self._running[name].process
        return None if process is None else process.pid

    def deaths(self, name: str) -> int:
        """How often child `name` ended without having been told to."""
        return self._running[name].deaths

    def log_path(self, name: str) -> Path:
        """The log of child `name`."""
        return self._logs / f"{name}.log"

    def log_end(self, name: str, lines: int = 8) -> str:
        """The last `lines` lines that child `name` logged."""
        try:
            text = self.log_path(name).read_text("utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(nothing logged)"

    def wait_until(self, condition: Callable[[], bool], timeout_s: float | None, every_s: float = _TURN_S) -> bool:
        """Turn the loop until `condition` holds (True), time is up, or somebody asks to stop (False)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.asked_to_stop:
            if condition():
                return True
            left = every_s if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return False
            self.turn(min(every_s, left))
        return False

    def turn(self, timeout_s: float = _TURN_S) -> None:
        """The loop: sleep until a signal, a death or `timeout_s`; then restart what is due and look after the logs."""
        self._sleep(timeout_s)
        for running in self._running.values():
            self._notice_death(running)
            self._restart_if_due(running)
            self._pass_on_log(running)
            self._rotate_log(running)

    def _sleep(self, timeout_s: float) -> None:
        ready, _, _ = select.select([self._wake_reader], [], [], max(0.0, timeout_s))
        if ready:
            with contextlib.suppress(BlockingIOError):
                while self._wake_reader.recv(4096):
                    pass

    def _spawn(self, running: _Running) -> None:
        child = running.child
        options: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
            "preexec_fn": die_with_parent(child.stop_signal),
            "pass_fds": self._pass_fds,
            **child.popen,
        }
        with self.log_path(child.name).open("ab") as log:  # append: what is written after a rotation starts at 0
            running.process = subprocess.Popen(list(child.command), stdout=log, stderr=log, **options)  # type: ignore[call-overload]
        running.started = time.monotonic()
        running.restart_at = None

    def _notice_death(self, running: _Running) -> None:
        process = running.process
        if process is None or process.poll() is None:
            return
        _kill_group(process.pid)
        now = time.monotonic()
        if now - running.started >= _PROVEN_S:
            running.wait_s = _FIRST_RESTART_S
        running.process, running.restart_at = None, now + running.wait_s
        running.deaths += 1
        name = running.child.name
        self._say(
            f"{name} ended ({_how(process.returncode)}); it is started again in {running.wait_s:g} s."
            f" Its log: {self.log_path(name)}"
        )
        running.wait_s = min(2 * running.wait_s, _LAST_RESTART_S)

    def _restart_if_due(self, running: _Running) -> None:
        if running.restart_at is not None and time.monotonic() >= running.restart_at and not self.asked_to_stop:
            self._spawn(running)

    # -- logs ---------------------------------------------------------------------------------------------------

    def _log_size(self, child: Child) -> int:
        try:
            return self.log_path(child.name).stat().st_size
        except OSError:
            return 0

    def _pass_on_log(self, running: _Running) -> None:
        if self._follow is None or self._log_size(running.child) <= running.shown:
            return
        with self.log_path(running.child.name).open("rb") as log:
            log.seek(running.shown)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]  # a line that is still being written waits for the next turn
        running.shown += len(whole)
        for line in whole.decode("utf-8", errors="replace").splitlines():
            self._follow(running.child.name, line)

    def _rotate_log(self, running: _Running) -> None:
        # Copied and emptied, because the child holds the file open. What it writes between the two steps is lost;
        # the journal of a demo may lose a line, never grow without bound.
        path = self.log_path(running.child.name)
        if self._log_size(running.child) < self._log_bytes:
            return
        with path.open("r+b") as log, path.with_name(f"{path.name}.1").open("wb") as old:
            log.seek(-min(self._log_bytes, self._log_size(running.child)), os.SEEK_END)
            old.write(log.read(self._log_bytes))
            log.truncate(0)
        running.shown = 0

    # -- stopping -----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop every child, stage by stage. Being asked to stop once more makes it hurry."""
        for stage in sorted({running.child.stage for running in self._running.values()}):
            self.stop_stage(stage)

    def stop_stage(self, stage: int) -> None:
        """Stop the children of `stage` and do not restart them; each has its `grace_s`, then it is killed."""
        members = [running for running in self._running.values() if running.child.stage == stage]
        told, hurried = time.monotonic(), self._hurry
        _tell(members, hurried)
        while alive := _alive(members):
            if self._hurry and not hurried:
                told, hurried = time.monotonic(), True
                _tell(alive, hurried)
            for running in alive:
                if time.monotonic() - told > (_HURRY_S if hurried else running.child.grace_s):
                    self._say(f"{running.child.name} does not end; it is killed.")
                    _send(running, signal.SIGKILL)
            self._sleep(0.1)
        for running in members:
            if running.process is not None:
                _kill_group(running.process.pid)
            self._pass_on_log(running)
            del self._running[running.child.name]


def _alive(members: Iterable[_Running]) -> list[_Running]:
    return [running for running in members if running.process is not None and running.process.poll() is None]


def _tell(members: Iterable[_Running], hurry: bool) -> None:
    for running in members:
        _send(running, running.child.hurry_signal if hurry else running.child.stop_signal)


def _send(running: _Running, number: signal.Signals) -> None:
    if running.process is not None:
        running.process.send_signal(number)  # does nothing if the process is gone already


def _kill_group(leader: int) -> None:
    """End what a child that is gone started and left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
