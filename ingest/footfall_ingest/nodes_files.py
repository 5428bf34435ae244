"""mosquitto's `password_file` and `acl_file` as texts: what they say, and how an account comes in and goes. Pure.

What people wrote into them stays. What mosquitto would not understand is refused with its line, before anything is
changed: mosquitto 2.0 that meets a broken `acl_file` when it is told to reload goes on without any rules, so that each
node may do everything, and 2.1 ends.
"""

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from footfall_contract import ContractError, check_id
from footfall_ingest.commands import RefusedError
from footfall_ingest.nodes_rules import Account, rules

_ACCESS = ("read", "write", "readwrite", "deny")
_HASH_BYTES = 64
_SALTS = (12, 64)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an `acl_file` says: of each user the lines that begin with ``topic``, and what holds for others."""

    users: Mapping[str, Sequence[str]]
    for_all: Sequence[str] = field(default=())
    """The lines that begin with ``pattern``, and those before the first user: whoever has no name."""


def passwords(text: str, where: str) -> list[str]:
    """The accounts in a `password_file`, in its order. `where` is what the file is called in a refusal.

    Raises:
        RefusedError: a line is not one that every mosquitto understands, or an account is there twice.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, secret = line.partition(":")
        place = f"{where} line {number}"
        if not colon or not name.strip():
            raise RefusedError(f"{place}: {line!r} is no account: expected NAME:HASH, or # at its very beginning")
        name = name.strip()
        if not _is_hash(secret.strip()):
            raise RefusedError(
                f"{place}: what follows {name!r} is no hash of a password: expected $7$, as mosquitto_passwd writes it"
            )
        if name in found:
            raise RefusedError(f"{place}: {name!r} is in line {found[name]} already; remove one of them")
        found[name] = number
    return list(found)


def _is_hash(secret: str) -> bool:
    if secret.startswith("$argon2id$"):  # mosquitto 2.1 with argon2 takes it; 2.0 leaves the account out
        return True
    match = re.fullmatch(r"\$(?:6|7\$[1-9][0-9]{0,8})\$([^$]+)\$([^$]+)", secret)
    if match is None:
        return False
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in match.groups())
    except binascii.Error:
        return False
    return len(salt) in _SALTS and len(digest) == _HASH_BYTES


def with_password(text: str, name: str, secret: str) -> str:
    """The `password_file` with `name` and the hash of its password, in the place of an older one if there is one."""
    lines = [f"{name}:{secret}" if _password_of(line) == name else line for line in text.split("\n")]
    if name not in map(_password_of, text.split("\n")):
        return _ended(text) + f"{name}:{secret}\n"
    return "\n".join(lines)


def without_password(text: str, name: str) -> str:
    """The `password_file` without `name`."""
    return "\n".join(line for line in text.split("\n") if _password_of(line) != name)


def _password_of(line: str) -> str | None:
    name, colon, _ = line.partition(":")
    return name.strip() if colon and not line.startswith("#") else None


def rules_in(text: str, where: str) -> Rules:
    """What an `acl_file` says. `where` is what the file is called in a refusal.

    Raises:
        RefusedError: mosquitto would not take a line.
    """
    users: dict[str, list[str]] = {}
    for_all: list[str] = []
    current = for_all
    for number, line in enumerate(text.split("\n"), 1):
        word, rest = _taken_apart(line)
        if not word:
            continue
        fault = _fault(word, rest)
        if fault:
            raise RefusedError(f"{where} line {number}: {line.strip()!r} {fault}")
        if word == "user":
            current = users.setdefault(rest, [])
        elif word == "topic":
            current.append(line.strip())
        else:
            for_all.append(line.strip())
    return Rules(users, for_all)


def _taken_apart(line: str) -> tuple[str, str]:
    """The first word as mosquitto finds it, and the rest; no word for what it skips. Only blanks divide words."""
    if line.startswith("#"):
        return "", ""
    word, _, rest = line.rstrip().lstrip(" ").partition(" ")
    return word, rest.strip()


def _fault(word: str, rest: str) -> str:
    if word not in ("user", "topic", "pattern"):
        return "is no rule: it begins with user, topic or pattern, or with # in the first column"
    if not rest:
        return f"says no {'name' if word == 'user' else 'topic'}"
    if word == "user":
        return ""
    access, _, topic = rest.partition(" ")
    if topic and access not in _ACCESS:
        return f"has {access!r} where one of {', '.join(_ACCESS)} is expected"
    return "" if _is_filter(topic.strip() or access) else "is about no topic: + and # stand alone, # at the end"


def _is_filter(topic: str) -> bool:
    levels = topic.split("/")
    return all("#" not in level or (level == "#" and i == len(levels) - 1) for i, level in enumerate(levels)) and all(
        "+" not in level or level == "+" for level in levels
    )


def with_rules(text: str, account: Account) -> str:
    """The `acl_file` with the rules of `account`, in the place of older ones if there are any."""
    before = _ended(without_rules(text, str(account)))
    return before + ("\n" if before.strip() else "") + "\n".join(rules(account)) + "\n"


def without_rules(text: str, name: str) -> str:
    """The `acl_file` without what it says of `name`, whoever wrote it: a rule left behind would be another user's.

    Comments stay, and so does ``pattern``, which holds for all wherever it stands.
    """
    kept: list[str] = []
    is_theirs = False
    for line in text.split("\n"):
        word, rest = _taken_apart(line)
        if word == "user":
            is_theirs = rest == name
            if is_theirs and any(kept) and not kept[-1]:
                kept.pop()  # the empty line that `with_rules` puts before a user, unless it is the first thing said
        if not (is_theirs and word in ("user", "topic")):
            kept.append(line)
    return "\n".join(kept)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def remarks(found: Rules) -> list[str]:
    """What people should know about the nodes' rules, a sentence each: who may do more than its node needs."""
    said = [f"for all: {rule}" for rule in found.for_all]
    for name, given in found.users.items():
        account = Account.named(name)
        usual = rules(account)[1:] if account else []
        said += [f"{name}: {rule}" for rule in given if rule not in usual and not _denies(rule)]
    return [f"goes beyond what a node needs: {one}" for one in said]


def _denies(rule: str) -> bool:
    return rule.split()[1] == "deny"


def checked_node(name: str, reserved: Collection[str]) -> str:
    """`name`, which is to be a node's.

    Raises:
        RefusedError: it is no id, or the name of one of footfall's own processes.
    """
    try:
        check_id("node", name)
    except ContractError as error:
        raise RefusedError(f"{name!r} is no id of a node: expected {error.expected}") from None
    if name in reserved:
        raise RefusedError(
            f"{name} is what a process of footfall itself is called; a node of that name would throw it out of the "
            "broker. Give the node another name"
        )
    return name
