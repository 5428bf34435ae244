"""The operator's tokens: how they are written down, and which one is right."""

import hashlib
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_api.settings import ApiSettings
from footfall_api.tokens import Tokens, new_token

CHOSEN = "a-token-that-somebody-chose"


def hashed(token: str) -> str:
    """As the settings have it."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def test_a_new_token_has_all_the_chance_there_is_and_opens_its_line() -> None:
    """43 characters of 64 kinds are 256 bits; the line tells nothing of them."""
    token, line = new_token()

    assert re.fullmatch(r"[\w-]{43}", token)
    assert token not in line
    assert new_token()[0] != token
    assert Tokens.parse(line).is_right(token)
    assert not Tokens.parse(line).is_right(line), "who reads the settings has no token"
    assert not Tokens.parse(line).is_right(line.removeprefix("sha256:"))


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=16, max_size=40), min_size=1))
def test_of_several_each_is_right_and_no_other(tokens: list[str]) -> None:
    """Written as they are or as hashes, on lines or between blanks, with remarks or without."""
    written = [hashed(token) if place % 2 else token for place, token in enumerate(tokens)]
    for text in (" ".join(written), "\n".join(f"{word}  # of {place}" for place, word in enumerate(written)) + "\n"):
        found = Tokens.parse(text)

        assert all(found.is_right(token) for token in tokens)
        assert found.plain
        for wrong in ("", "of", tokens[0] + "x", tokens[0][:-1], *(line for line in written if line.startswith("sha"))):
            assert found.is_right(wrong) == (wrong in tokens)


def test_none_is_none() -> None:
    """Where nothing is written nothing is right, not even nothing."""
    for text in ("", " \n"):
        assert not Tokens.parse(text)
        assert not Tokens.parse(text).is_right("")
    assert not Tokens.parse(hashed(CHOSEN)).plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("too-short", "at least 16 characters"),
        ("vier alte graue Pferde", "blanks stand between several"),
        (f"{CHOSEN} short", "at least 16 characters"),
        ("sha256:", "no hash"),
        ("sha256:" + "0" * 63, "no hash"),
        ("sha256:" + "X" * 64, "no hash"),
        ("# nothing", "nothing but a remark"),
        ("Donaudampfschifffahrtsgesellschaftskapitän", "no umlauts"),
    ],
)
def test_what_is_no_token_is_refused_without_being_repeated(text: str, message: str) -> None:
    """The message goes to a log."""
    with pytest.raises(ValueError, match=message) as refused:
        Tokens.parse(text)

    assert not [word for word in text.split() if len(word) > 7 and word in str(refused.value)]


def test_the_command_shows_the_token_to_people_and_its_line_to_files() -> None:
    """So the output may be appended to the file of the secret, and the token is never in it."""
    command = [sys.executable, "-m", "footfall_api", "token"]
    # One is made also where the one in the settings is refused.
    environment = {**os.environ, "FOOTFALL_PUBLIC__OPERATOR_TOKEN": "changeme"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)

    (line,) = done.stdout.splitlines()
    token = done.stderr.splitlines()[1]
    assert Tokens.parse(done.stdout).is_right(token)
    assert token not in line
    assert ApiSettings.model_validate({"public": {"operator_token": line}}).public.tokens.is_right(token)
