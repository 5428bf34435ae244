"""Who may do what in the database: three group roles, made and granted at the end of every migration.

The account that migrates owns what it makes. The processes log in as accounts of their own, which are members of a
group and have no right beside its: one that stores cannot change the schema, one that answers cannot write anything.
Roles belong to the whole cluster, so several databases share them; what they may do is granted in each database.
"""

from typing import Any, Final

import psycopg
from psycopg import sql

ADMIN: Final = "footfall_admin"
INGEST: Final = "footfall_ingest"
API: Final = "footfall_api"

ROLES: Final = {
    ADMIN: "ALL PRIVILEGES",
    INGEST: "SELECT, INSERT, UPDATE, DELETE",
    API: "SELECT",
}
"""What each may do with every table, those of the future included."""

_KEPT_FROM: Final = {
    API: ("quarantine",),
    INGEST: ("alembic_version",),
}
"""Exceptions: payloads that could not be read may hold anything and are nobody's answer; the version is read only."""

_READABLE: Final = {
    "quarantine": (
        "id", "reason", "detail", "kind", "node", "sensor", "topic_sensor", "first_seen", "last_seen", "times",
        "closed_at",
    ),
}  # fmt: skip
"""Of a table that a role is kept from: the columns that it reads all the same, to say what is there and why."""

_MISSING = (
    "SELECT wanted FROM unnest(%s::text[]) AS wanted WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted)"
)
_MINE = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
      AND pg_has_role(current_user, relowner, 'USAGE')
    ORDER BY relname
"""
_SCHEMA = "SELECT current_schema(), has_schema_privilege(current_schema(), 'USAGE WITH GRANT OPTION')"
_SHUT_OUT = """
    SELECT role FROM unnest(%s::text[]) AS role WHERE NOT has_schema_privilege(role, current_schema(), 'USAGE')
"""


def arrange(connection: psycopg.Connection[Any]) -> list[str]:
    """Make and grant the roles, in the transaction that is open; sentences on what somebody else has to do.

    May be repeated. Where other databases of the cluster are migrated at the same time, one makes the roles.
    """
    missing = [name for (name,) in connection.execute(_MISSING, [list(ROLES)]).fetchall()]
    if refused := [name for name in missing if not _create(connection, name)]:
        statements = " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in refused)
        return [
            f"this account may not create roles: let the database's administrator run: {statements} and migrate again"
        ]
    ((schema, may_grant),) = connection.execute(_SCHEMA).fetchall()
    if may_grant:
        _run(connection, "GRANT USAGE ON SCHEMA {} TO {}, {}, {}", schema, *ROLES)
        _run(connection, "GRANT CREATE ON SCHEMA {} TO {}", schema, ADMIN)
    shut_out = [role for (role,) in connection.execute(_SHUT_OUT, [list(ROLES)]).fetchall()]
    tables = [name for (name,) in connection.execute(_MINE).fetchall()]
    for role, rights in ROLES.items():
        kept_from = [name for name in _KEPT_FROM.get(role, ()) if name in tables]
        names = sql.SQL(", ").join(sql.Identifier(name) for name in tables if name not in kept_from)
        connection.execute(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), names, sql.Identifier(role)))
        for name in kept_from:
            _run(connection, "REVOKE ALL ON {} FROM {}", name, role)
            if columns := _READABLE.get(name):
                listed = ", ".join(["{}"] * len(columns))
                _run(connection, f"GRANT SELECT ({listed}) ON {{}} TO {{}}", *columns, name, role)
        _run(connection, f"ALTER DEFAULT PRIVILEGES IN SCHEMA {{}} GRANT {rights} ON TABLES TO {{}}", schema, role)
    _run(connection, "GRANT SELECT ON alembic_version TO {}", INGEST)
    _run(connection, "GRANT EXECUTE ON FUNCTION remove_minutes TO {}, {}", INGEST, ADMIN)
    if shut_out:
        return [f"let the schema's owner run: GRANT USAGE ON SCHEMA {schema} TO {', '.join(shut_out)}"]
    return []


def _create(connection: psycopg.Connection[Any], name: str) -> bool:
    """Whether the role is there now."""
    try:
        with connection.transaction():
            _run(connection, "CREATE ROLE {} NOLOGIN", name)
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        return True  # another database's migration was a moment faster
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _run(connection: psycopg.Connection[Any], statement: Any, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
