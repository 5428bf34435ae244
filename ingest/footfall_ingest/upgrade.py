"""What is left to do once the schema is this version's: ``footfall-ingest migrate`` and so every upgrade ends with it.

An edge may be upgraded before the server. What it then sends is kept as unreadable and its number is marked received,
so the edge goes on; here, after the server's upgrade, it is counted.
"""

from collections.abc import Iterator

import psycopg

from footfall_ingest import epochs, quarantine
from footfall_ingest.settings import IngestSettings


def finish(settings: IngestSettings) -> Iterator[str]:
    """Settle the epoch and retry what another version could not read; sentences on what came of it. May be repeated."""
    with psycopg.connect(settings.database.dsn, autocommit=True) as connection:
        first = connection.execute("SELECT place IS NULL AND EXISTS (SELECT FROM stream) FROM store").fetchall()[0][0]
        epoch = epochs.settle(connection)
        if epoch.begun:
            yield f"a new epoch begins, the nodes will send again what is missing: {epoch.begun}"
        if first:
            yield (
                "this database has never noted where it lives; if it was just restored from a backup, run "
                "`footfall-ingest epoch new --why …` so that the nodes send again what is missing"
            )
        rules = settings.rules.as_rules()
        tally = quarantine.retry_unreadable(connection, rules)
        if tally.became:
            yield "handled again what another version of footfall could not read:"
            yield from tally.lines()
