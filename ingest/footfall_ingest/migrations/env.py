"""Alembic's entry: runs the steps on the connection, in the transaction, of ``footfall_ingest.migrate``.

Alembic loads this file by path. It configures no logging and reads no file: what a migration does must not depend on
the folder it is started from.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
