"""What is obviously unsafe is told from what is not."""

import logging
import secrets

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from footfall_role.settings import SettingsError
from footfall_role.unsafe import GuardedSettings, guessable_dsn, guessable_secret, is_guessable, is_this_machine, refuse


@pytest.mark.parametrize(
    "secret",
    [
        "footfall",
        "Footfall123!",
        "changeme",
        "change-me",
        "please change me, please",
        "postgres",
        "PASSWORT",
        "secret",
        "geheim-geheim-geheim",
        "example-operator-token",
        "your_token_here_0123456789",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "1234567890123456",
        "12345678901234567890",
        "0000000000000000000000000",
        "passwordpassword",
        "footfallfootfall",
        "changemenow",
        "p@ssw0rd",
        "P@ssw0rd2026!",
        "abc123",
        "AdminAdmin",
        "2026-11-26",
        "!",
    ],
)
def test_what_everybody_tries_first_is_guessable(secret: str) -> None:
    """Words of examples and of installations, in whatever letters, with digits and signs around them; numbers."""
    assert is_guessable(secret)


@pytest.mark.parametrize(
    "secret", ["", "correct horse battery staple", "f7e1c0ffee", "tr0ub4dor", "31415926535897932384626433"]
)
def test_what_may_be_a_secret_is_not(secret: str) -> None:
    """Nothing is guessed about words that are not known, and nothing at all is no secret."""
    assert not is_guessable(secret)


def test_a_secret_made_as_advised_is_never_guessable() -> None:
    """As openssl rand -hex 24 makes it; nor is one of letters, digits and signs."""
    for make in (secrets.token_hex, secrets.token_urlsafe):
        for _ in range(500):
            made = make(24)
            assert not is_guessable(made, "footfall_ingest_login", "footfall"), made


def test_the_name_of_its_own_account_is_guessable() -> None:
    """Also with a number behind it, and in pieces."""
    assert not is_guessable("saaleblick")
    assert is_guessable("saaleblick7", "saaleblick")
    assert is_guessable("jena_saaleblick", "Saaleblick-Jena")
    assert is_guessable("footfall-jo", "jo")
    assert not is_guessable("f7e1c0ffee", "footfall_c17f12e984d7_owner", "footfall_c17f12e984d7")


@given(
    st.from_regex(r"[a-zA-ZäöüÄÖÜß0-9]+([-_.][a-zA-Z0-9]+){0,4}", fullmatch=True), st.sampled_from(["", "1", "-2026!"])
)
def test_a_name_is_no_secret_of_its_account(name: str, behind: str) -> None:
    """However short its parts are."""
    assume(any(letter.isalpha() for letter in name))
    assert is_guessable(name + behind, name)


@given(st.lists(st.text("abcdef0123456789-_", min_size=4, max_size=40), max_size=3))
def test_a_secret_made_as_advised_is_not_guessable_from_a_name_that_was_rolled(names: list[str]) -> None:
    """Such as that of a box with its serial number: each letter of it says nothing about the secret."""
    assert not is_guessable("0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978", *names)


@given(st.sampled_from(["footfall", "changeme", "geheim"]), st.text("0123456789-_.!?#+ ", max_size=12))
def test_digits_and_signs_make_no_secret_of_a_word(word: str, around: str) -> None:
    """Before or behind it."""
    assert is_guessable(around + word)
    assert is_guessable(word.upper() + around)


@pytest.mark.parametrize(
    ("host", "is_this"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("demo.localhost", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("api", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_this_machine_is_told_from_a_network(host: str, is_this: bool) -> None:
    """All addresses at once are a network; so is a name that could be anything, and one that is missing."""
    assert is_this_machine(host) is is_this


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://footfall:footfall@db/footfall",
        "postgresql://ingest:saaleblick@db/saaleblick",
        "host=db user=jenaer password=Jenaer1",
        "postgresql://u:%63hangeme@db/f",
    ],
)
def test_the_password_in_a_connection_url_is_looked_at(dsn: str) -> None:
    """In either form, whatever is escaped in it; the sentence says where it is, not what it is."""
    (said,) = guessable_dsn("dsn in [database]", dsn)

    assert said == (
        "the password in dsn in [database] is one of those that everybody tries first; "
        "make one with: openssl rand -hex 24"
    )


@pytest.mark.parametrize("dsn", ["postgresql:///footfall", "postgresql://footfall@db/footfall", "no connection URL"])
def test_a_connection_url_without_a_password_is_nothing_to_refuse(dsn: str) -> None:
    """The server may know the account otherwise; and what cannot be understood is refused by who connects with it."""
    assert guessable_dsn("dsn in [database]", dsn) == []


def test_faults_stop_the_process_unless_they_are_meant(caplog: pytest.LogCaptureFixture) -> None:
    """Each is a line, and the last says how to go on in spite of them; then each is a warning."""
    faults = [*guessable_secret("operator_token in [public]", "changeme"), "another"]

    with pytest.raises(SettingsError) as caught:
        refuse(faults, accepted=False)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "openssl rand -hex 24" in lines[0]
    assert "unsafe = true" in lines[2]

    with caplog.at_level(logging.WARNING):
        refuse(faults, accepted=True)
    assert [record.getMessage() for record in caplog.records] == [f"unsafe: {fault}" for fault in faults]


def test_nothing_wrong_is_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    """Also where everything would be accepted; and by default nothing is."""
    refuse([], accepted=False)
    refuse([], accepted=True)

    assert not caplog.records
    assert GuardedSettings().unsafe is False
