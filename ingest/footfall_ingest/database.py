"""The connection to the database: made again when it breaks, and the one answer to "is this going to pass?"."""

import logging
import random
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg

from footfall_role.logs import facts

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]
T = TypeVar("T")

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0

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


class Database:
    """A context with one connection to `dsn`, in which transactions are tried until they succeed."""

    def __init__(
        self,
        dsn: str,
        stop: threading.Event,
        on_error: Callable[[], object] = lambda: None,
        on_connect: Callable[[Connection], object] = lambda _: None,
    ) -> None:
        """`on_connect` looks at each new connection before it is used; what it raises is as if the transaction did."""
        self._dsn = dsn
        self._stop = stop
        self._on_error = on_error
        self._on_connect = on_connect
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def run(self, transaction: Callable[[Connection], T]) -> T:
        """The result of `transaction`, which must be safe to repeat; waits as long as the trouble may pass.

        Raises:
            StoppedError: a stop was asked for before it succeeded.
            psycopg.Error: it failed for a reason that will not pass.
        """
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return transaction(self._connected())
            except psycopg.Error as error:
                if not is_transient(error):
                    raise
                self._on_error()
                self._close()
                log.warning("the database does not answer, trying again", extra=facts(error=str(error).strip()))
            if self._stop.wait(wait_s * random.uniform(0.5, 1)):  # noqa: S311  # so that not all come back at once
                raise StoppedError
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=10)
            try:
                self._on_connect(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
