"""What the commands of operators have in common: a connection, and the one error that says that it cannot be done."""

import argparse
from collections.abc import Callable
from typing import Any

import psycopg

from footfall_ingest import schema
from footfall_ingest.settings import IngestSettings

Connection = psycopg.Connection[Any]

Act = Callable[[Connection, IngestSettings, argparse.Namespace], None]
"""What a command does, on a connection whose every statement commits by itself; it writes to standard output."""


class RefusedError(Exception):
    """What an operator asked for cannot be done; nothing was changed. The message says why, a line for each reason."""


def connected(act: Act) -> Callable[[IngestSettings, argparse.Namespace], int]:
    """Make a command of `act`: connect, make sure that the schema is this program's, act, and return status 0."""

    def run(settings: IngestSettings, options: argparse.Namespace) -> int:
        with psycopg.connect(settings.database.dsn, autocommit=True) as connection:
            schema.check(connection)
            act(connection, settings, options)
        return 0

    return run
