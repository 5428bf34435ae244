"""The operator's tokens: made at random, kept as hashes, several at a time so that one can take over from another.

A token that `footfall-api token` has made has 256 bits of chance. Nobody finds it from its SHA-256, and so a hash that
takes long, as for passwords that people choose, would only give strangers a way to keep us busy. A token that somebody
chose stands in the settings as it is: it can be guessed from any hash, and then it is better protected as what it is, a
secret in a file of its own.
"""

import argparse
import hashlib
import re
import secrets
import sys
from dataclasses import dataclass
from typing import Final

MIN_TOKEN_LENGTH: Final = 16
"""Characters that a token must have which somebody chose: it may be tried by anyone on the internet."""

COMMAND: Final = "token"

_BYTES: Final = 32
_HASHED: Final = "sha256:"
_HASH: Final = re.compile(_HASHED + "([0-9a-f]{64})")
_REMARK: Final = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True)
class Tokens:
    """The tokens in force, as digests."""

    digests: tuple[bytes, ...] = ()
    plain: bool = False
    """Whether one of them stands in the settings as it is."""

    @classmethod
    def parse(cls, text: str) -> "Tokens":
        """Those in `text`: tokens or their hashes, separated by blanks or line ends; from ``#`` on it is a remark.

        Raises:
            ValueError: one of them is too short or no hash, or there are only remarks. The message repeats none.
        """
        words = _words(text)
        if text.strip() and not words:
            raise ValueError("operator_token has nothing but a remark: what follows a # is one")
        return cls(tuple(_digest(word) for word in words), plain=bool(chosen(text)))

    def __bool__(self) -> bool:
        return bool(self.digests)

    def is_right(self, token: str) -> bool:
        """Whether it is one of them, in a time that does not tell how much of it is right."""
        sent = hashlib.sha256(token.encode()).digest()
        return any([secrets.compare_digest(sent, digest) for digest in self.digests])  # noqa: C419  # all of them


def chosen(text: str) -> list[str]:
    """Those of the tokens in `text` that stand there as they are, and not as a hash."""
    return [word for word in _words(text) if not word.startswith(_HASHED)]


def _words(text: str) -> list[str]:
    return [word for line in text.splitlines() for word in _REMARK.sub("", line).split()]


def _digest(word: str) -> bytes:
    if word.startswith(_HASHED):
        found = _HASH.fullmatch(word)
        if found is None:
            raise ValueError(
                f"operator_token: after {_HASHED} is no hash; take the line that footfall-api token prints"
            )
        return bytes.fromhex(found[1])
    if len(word) < MIN_TOKEN_LENGTH:
        raise ValueError(
            f"operator_token must have at least {MIN_TOKEN_LENGTH} characters, or none; blanks stand between several"
        )
    if not word.isascii():
        raise ValueError(
            "operator_token must be of letters, digits and signs that every browser sends alike: no umlauts"
        )
    return hashlib.sha256(word.encode()).digest()


def new_token() -> tuple[str, str]:
    """A new token, and the line for the settings with its hash."""
    token = secrets.token_urlsafe(_BYTES)
    return token, _HASHED + hashlib.sha256(token.encode()).hexdigest()


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", *_: argparse.ArgumentParser) -> None:
    """Add the command to a command line."""
    commands.add_parser(
        COMMAND,
        help="make a token for the operator",
        description="Make a token for the operator. It is shown once, on standard error; the line for operator_token, "
        "which holds only its hash, goes to standard output and may be appended to the file of the secret.",
    )


def run() -> int:
    """Do what the command says; 0."""
    token, line = new_token()
    sys.stderr.write(f"The token, shown this once; put it into your password manager:\n{token}\n")
    sys.stderr.write("The line for operator_token in [public], or for the file of the secret:\n")
    sys.stderr.flush()
    sys.stdout.write(f"{line}\n")
    return 0
