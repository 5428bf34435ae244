"""A node's accounts at the broker: what they are called, what they may do there, and their passwords. Pure.

A node may have several accounts at once, so that a password or a certificate is changed without an interruption: the
first has the node's id as its name, the others the id, a point and a number. An id has no point, so a name says whose
account it is. What an account may do is written out for each, not by a pattern with ``%u``: the name of the second
account is not the node's.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from footfall_contract import ContractError, check_id, topics

SERVICES: Final = ("footfall-ingest", "footfall-public")
"""How footfall's own processes call themselves where nothing else is set; no node may be called so."""

_PASSWORD_BYTES: Final = 24
_ITERATIONS: Final = 101
"""As mosquitto_passwd of 2.0 has it. It protects what people think up; 192 bits of chance need no protection."""
_SALT_BYTES: Final = 12
"""mosquitto 2.0 takes no other length; 2.1 takes 12 and 64."""


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """An account of `node`; `number` is 0 for the one that is called like the node."""

    node: str
    number: int

    @classmethod
    def named(cls, name: str) -> Self | None:
        """The account of this name; None if it is no name of a node's account."""
        node, point, number = name.partition(".")
        try:
            check_id("node", node)
        except ContractError:
            return None
        if point and not re.fullmatch("[1-9][0-9]{0,8}", number):
            return None
        return cls(node, int(number or 0))

    def __str__(self) -> str:
        return f"{self.node}.{self.number}" if self.number else self.node


def next_account(node: str, known: Sequence[Account]) -> Account:
    """The account that comes after all `known` ones of `node`; a number is not used again as long as it is known."""
    return Account(node, max((account.number + 1 for account in known if account.node == node), default=0))


def rules(account: Account) -> list[str]:
    """The lines of mosquitto's `acl_file` for `account`: its node's own topics, and nothing else.

    Status it may read too, to hear of another box that has its name.
    """
    node = account.node
    return [
        f"user {account}",
        f"topic write {topics.ALL_COUNTS.replace('+', node, 1)}",
        f"topic write {topics.ALL_HEALTH.replace('+', node, 1)}",
        f"topic readwrite {topics.status(node)}",
        f"topic read {topics.committed(node)}",
    ]


def new_password() -> str:
    """A password that nobody guesses: 32 characters that need no quotes anywhere."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def hashed(password: str, salt: bytes | None = None) -> str:
    """`password` as mosquitto's `password_file` has it: PBKDF2 with SHA-512, ``$7$101$salt$hash``."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"
