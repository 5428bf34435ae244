"""What is so obviously unsafe that a process does not start with it.

That is a password which everybody tries first, or a setting meant for one machine on an address that a network reaches.
Each check gives sentences that say what is wrong and what to do; `refuse` turns them into the refusal. Whoever means
it, for a demo say, sets ``unsafe = true`` and gets warnings instead. How good a secret is nobody can tell; here it is
told only whether it is one of those that stand in examples and that programs come with.
"""

import ipaddress
import logging
import re
from collections.abc import Iterable
from typing import Final

from pydantic import Field

from footfall_role.settings import RoleSettings, SettingsError

log = logging.getLogger(__name__)

MAKE_ONE: Final = "make one with: openssl rand -hex 24"

_KNOWN: Final = frozenset((
    "abc", "abcd", "admin", "administrator", "and", "api", "asdf", "bearer", "beispiel", "change", "city", "database",
    "db", "default", "demo", "dragon", "dummy", "edge", "enter", "example", "footfall", "geheim", "grafana", "guest",
    "hallo", "hello", "here", "hier", "iloveyou", "ingest", "insert", "jena", "kennwort", "let", "letmein", "local",
    "login", "master", "me", "mein", "monkey", "mosquitto", "mqtt", "my", "new", "node", "now", "operator", "operators",
    "owner", "pass", "passwd", "password", "passwort", "pg", "please", "postgres", "postgresql", "psql",
    "public", "put", "qwerty", "qwertz", "random", "replace", "root", "sample", "schatz", "secret", "server", "set",
    "some", "something", "sommer", "super", "superuser", "test", "testing", "the", "this", "timescale", "timescaledb",
    "to", "token", "user", "welcome", "willkommen", "winter", "with", "write", "xxx", "xxxx", "your",
))  # fmt: skip
"""Words of which passwords are made that are none: those of examples, those that programs come with, our own names."""

_WORD: Final = r"[^\W\d_]+"

_SHORTEST_PART: Final = 3
"""Of a name so many letters on end tell something. A name that was rolled has single ones, and so has every secret."""

_FEWEST_CHARACTERS: Final = 5
"""A secret of fewer different characters is a key that was held down."""

_LONGEST_NUMBER: Final = 20
"""So many digits or signs without a letter may have been rolled; fewer are a date."""

_LONGEST_ROW: Final = 10
"""A number that says itself again after so many digits was typed from left to right."""


class GuardedSettings(RoleSettings):
    """Settings of a role that looks at itself before it starts."""

    unsafe: bool = Field(
        default=False, description="true: starts in spite of what is obviously unsafe, and warns; for a demo"
    )


def is_guessable(secret: str, *names: str) -> bool:
    """Whether `secret` is one of those that are tried first: words of `_KNOWN` or of `names`, or some digits.

    Capital letters, digits and signs change nothing, and between the words there need be none: ``Footfall123!`` and
    ``footfallfootfall`` are ``footfall``. Nothing at all is no secret, so it cannot be guessed either. A name counts as
    a whole and by those parts of it that are words: of ``city_a1b2c3`` it is ``cityabc`` and ``city``.
    """
    if not secret:
        return False
    letters = "".join(re.findall(_WORD, secret.casefold().replace("p@ssw0rd", "password")))
    if len(set(secret)) < _FEWEST_CHARACTERS:
        return True
    if not letters:
        rows = any(secret[step:] == secret[:-step] for step in range(1, _LONGEST_ROW + 1))
        return rows or len(secret) < _LONGEST_NUMBER
    return _is_made_of(letters, _KNOWN.union(*map(_pieces, names)))


def _pieces(name: str) -> set[str]:
    words = re.findall(_WORD, name.casefold())
    return {"".join(words), *(word for word in words if len(word) >= _SHORTEST_PART)}


def _is_made_of(word: str, pieces: Iterable[str]) -> bool:
    """Whether the word is one of the pieces, or some of them one behind the other."""
    ends = {0}
    for place in range(len(word)):
        if place in ends:
            ends.update(place + len(piece) for piece in pieces if word.startswith(piece, place))
    return len(word) in ends


def is_this_machine(host: str) -> bool:
    """Whether only this machine's own processes reach what listens on `host`, an address or a name."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return host.casefold().rstrip(".") == "localhost" or host.casefold().endswith(".localhost")


def guessable_secret(place: str, secret: str, *names: str) -> list[str]:
    """What is wrong with the secret at `place`, such as ``password in [mqtt]``; `names` are those of its account."""
    if not is_guessable(secret, *names):
        return []
    return [f"the {place} is one of those that everybody tries first; {MAKE_ONE}"]


def guessable_dsn(place: str, dsn: str) -> list[str]:
    """What is wrong with the password in a connection URL of PostgreSQL, if one is in it."""
    from psycopg import ProgrammingError  # noqa: PLC0415  # only the roles that have a database have it installed
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        said = conninfo_to_dict(dsn)
    except ProgrammingError:
        return []  # whoever connects with it says what is wrong
    password, user, database = (str(said.get(name) or "") for name in ("password", "user", "dbname"))
    return guessable_secret(f"password in {place}", password, user, database)


def refuse(faults: Iterable[str], *, accepted: bool) -> None:
    """Stop here if there are `faults`, unless the settings say that they are `accepted`: then warn of each.

    Raises:
        SettingsError: there are some; a line for each.
    """
    found = list(faults)
    if not found:
        return
    if not accepted:
        raise SettingsError("\n".join([*found, "if it is meant to be so, as for a demo, set unsafe = true"]))
    for fault in found:
        log.warning("unsafe: %s", fault)
