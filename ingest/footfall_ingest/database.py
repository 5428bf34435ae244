"""The connection to the database: made again when it breaks, and the one answer to "is this going to pass?".

A connection can also be gone without breaking: a firewall that forgot it or a machine that lost its power says nothing
at all, and reading from it would take for ever. TCP finds out where nobody acknowledges the bytes, and is told to do so
in half a minute. Where something in between does acknowledge them, only the missing answer tells: a transaction that
takes too long is given up and tried anew. The server, which saw none of this, may still hold the locks of the one
before; it is asked to end a transaction in which it hears nothing for as long.
"""

import contextlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from footfall_role.logs import facts

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]
T = TypeVar("T")

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_LONGEST_ANSWER_S: Final = 3600.0
_LONGEST_CONNECT_S: Final = 600.0
"""A connect ends sooner: 10 s for each address, and what it takes to learn that no name server knows the name."""
_PULSE_S: Final = 0.5
"""How often it is said that something is being waited for."""

_CONNECTION: Final[Mapping[str, int | str]] = {
    "fallback_application_name": "footfall-ingest",
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""What libpq is told where the DSN says nothing of it: who this is, and to notice within 30 s that a peer is gone."""

_SESSION: Final = """
    SELECT set_config(name, value, false)
    FROM (VALUES ('idle_in_transaction_session_timeout', %(ms)s), ('tcp_user_timeout', '30000')) AS wanted (name, value)
    WHERE current_setting(name) = '0'
"""
"""The same on the server's side, where neither the DSN's options nor the server's configuration have set it."""

_PASSING = {
    "08",  # connection trouble
    "25",  # read only: the server is a standby, perhaps not for long
    "40",  # deadlock, serialisation failure
    "53",  # disk full, out of memory, too many connections
    "55",  # lock not available
    "57",  # shutdown, start-up, a cancelled statement
    "58",  # input or output error outside PostgreSQL
}
"""Classes of SQLSTATE that another try may overcome."""

_IDLE: Final = "25P03"
"""The server heard nothing for too long in a transaction: whoever was to speak took that long."""


class TooLongError(Exception):
    """Time and again a transaction took longer than it may; nothing was written."""


class StoppedError(Exception):
    """The process was asked to stop while it waited for the database; nothing was written."""


def is_transient(error: psycopg.Error) -> bool:
    """Whether the same transaction may well succeed later: the server, the network or a lock is the trouble.

    False: what was asked for is the trouble, and another try would fail in the same way.
    """
    if error.sqlstate is None:
        # Without a state it was not the server who spoke: the connection could not be made, or broke.
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate[:2] in _PASSING


class Pulses:
    """A context in which a thread calls `on_wait` now and then, for `seconds` at most: the wait is one that ends.

    `at_end` is called once if it has not been left by then.
    """

    def __init__(
        self, seconds: float, on_wait: Callable[[], object], at_end: Callable[[], object] = lambda: None
    ) -> None:
        self._seconds = seconds
        self._on_wait = on_wait
        self._at_end = at_end
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulses", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()

    def _run(self) -> None:
        end_s = time.monotonic() + self._seconds
        while (left_s := end_s - time.monotonic()) > 0:
            if self._left.wait(min(left_s, _PULSE_S)):
                return
            self._on_wait()
        self._at_end()


class Deadline(Pulses):
    """A context that hangs up on `connection` after `seconds`; what waits for an answer then fails."""

    def __init__(self, connection: Connection, seconds: float, on_wait: Callable[[], object] = lambda: None) -> None:
        super().__init__(seconds, on_wait, self._hang_up)
        self.expired = False
        # A handle of its own: whatever becomes of the connection, it is this socket that is shut and no other.
        self._link = socket.socket(fileno=os.dup(connection.fileno()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._link.close()

    def _hang_up(self) -> None:
        self.expired = True
        with contextlib.suppress(OSError):  # it broke by itself
            self._link.shutdown(socket.SHUT_RDWR)


class Database:
    """A context with one connection to `dsn`, in which transactions are tried until they succeed.

    One that takes longer than `answer_s` seconds is tried again on another connection; after each time in a row twice
    as long is waited, so that a server which is merely slow gets done.
    """

    def __init__(
        self,
        dsn: str,
        stop: threading.Event,
        on_error: Callable[[], object] = lambda: None,
        on_connect: Callable[[Connection], object] = lambda _: None,
        *,
        answer_s: float = 60.0,
        on_wait: Callable[[], object] = lambda: None,
    ) -> None:
        """`on_connect` looks at each new connection before it is used; what it raises is as if the transaction did.

        `on_wait` is called about twice a second while this waits, to connect, for an answer, for the next attempt, also
        by another thread. No wait is without an end.
        """
        self._conninfo = make_conninfo(dsn, **{**_CONNECTION, **conninfo_to_dict(dsn)})
        self._stop = stop
        self._on_error = on_error
        self._on_connect = on_connect
        self._answer_s = answer_s
        self._on_wait = on_wait
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def run(self, transaction: Callable[[Connection], T], *, tries: int | None = None) -> T:
        """The result of `transaction`, which must be safe to repeat; waits as long as the trouble may pass.

        With `tries` it is given up once it has taken too long so often, by whomever.

        Raises:
            TooLongError: it was given up.
            StoppedError: a stop was asked for before it succeeded.
            psycopg.Error: it failed for a reason that will not pass.
        """
        wait_s, answer_s = _FIRST_WAIT_S, self._answer_s
        slow = 0
        while True:
            deadline: Deadline | None = None
            self._on_wait()
            try:
                connection, is_new = self._connected()
                with Deadline(connection, answer_s, self._on_wait) as deadline:
                    if is_new:
                        self._welcome(connection)
                    return transaction(connection)
            except psycopg.Error as error:
                late = (deadline is not None and deadline.expired) or error.sqlstate == _IDLE
                if not (late or is_transient(error)):
                    raise
                self._on_error()
                self._close()
                reason = f"no answer in {answer_s:g} s" if late else str(error).strip()
                log.warning("the database does not answer, trying again", extra=facts(error=reason))
                if late:
                    answer_s = min(2 * answer_s, max(_LONGEST_ANSWER_S, self._answer_s))
                    slow += 1
                    if slow == tries:
                        raise TooLongError from error
            self._pause(wait_s * random.uniform(0.5, 1))  # noqa: S311  # so that not all come back at once
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _pause(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            if self._stop.wait(min(left_s, _PULSE_S)):
                raise StoppedError
            self._on_wait()

    def _connected(self) -> tuple[Connection, bool]:
        """The connection, and whether it was made just now."""
        if self._connection is not None:
            return self._connection, False
        with Pulses(_LONGEST_CONNECT_S, self._on_wait):
            self._connection = psycopg.connect(self._conninfo, autocommit=True)
        return self._connection, True

    def _welcome(self, connection: Connection) -> None:
        """Make sure that a new connection is fit to be used; one that is not is closed."""
        try:
            connection.execute(_SESSION, {"ms": str(round(self._answer_s * 1000))})
            self._on_connect(connection)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
