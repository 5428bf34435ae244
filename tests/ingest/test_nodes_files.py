"""Names of accounts, mosquitto's files of passwords and rules: pure functions, over any text."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_ingest.commands import RefusedError
from footfall_ingest.nodes_files import (
    checked_node,
    passwords,
    remarks,
    rules_in,
    with_password,
    with_rules,
    without_password,
    without_rules,
)
from footfall_ingest.nodes_rules import Account, hashed, new_password, next_account, rules

NODES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}", fullmatch=True)
ACCOUNTS = st.builds(Account, NODES, st.integers(0, 99))

HASH = hashed("geheim", bytes(12))

OTHERS_RULES = st.lists(
    st.sampled_from(
        [
            "# a comment",
            "",
            "user weather",
            "topic read weather/#",
            "topic weather/+/wind",
            "topic  deny  a b c",
            "pattern read $SYS/broker/connection/%c/state",
            "user two words",
            "user jena-nord.9",
            "topic readwrite footfall/v1/jena-nord/status",
        ]
    ),
    max_size=12,
).map("\n".join)


@given(ACCOUNTS)
def test_a_name_says_whose_account_it_is(account: Account) -> None:
    """And the other way round."""
    assert Account.named(str(account)) == account


@pytest.mark.parametrize(
    "name", ["", ".1", "jena.", "jena.0", "jena.01", "jena.1.2", "jena.x", "Jena", "jena.+", "jena.²"]
)
def test_what_is_no_name_of_an_account_is_none(name: str) -> None:
    """Nothing is guessed into it."""
    assert Account.named(name) is None


def test_the_next_account_is_one_that_was_never_used() -> None:
    """Not the first gap: somebody may still have what belonged there."""
    known = [Account("a", 0), Account("a", 3), Account("b", 7)]

    assert next_account("a", known) == Account("a", 4)
    assert next_account("c", known) == Account("c", 0)


def test_the_rules_of_a_node() -> None:
    """Its own topics and no others, for the second account the same."""
    assert rules(Account("jena-nord", 2)) == [
        "user jena-nord.2",
        "topic write footfall/v1/jena-nord/+/counts",
        "topic write footfall/v1/jena-nord/+/health",
        "topic readwrite footfall/v1/jena-nord/status",
        "topic read footfall/v1/jena-nord/committed",
    ]


def test_a_password_is_hashed_as_mosquitto_does() -> None:
    """The hash is one that mosquitto_passwd made; passwords are long, and never the same."""
    salt, digest = (
        "he0VYaiU7Y8SA94+",
        ("GedVk5N8kmkcsJTJ7x4rfy+zYOQZH/yGNmRH+8HK9FJxNniTNmiHRfX/9cYvnxALMr7p69jnPw2AJzu6GW1BSg=="),
    )

    assert hashed("pw-jena-nord", base64.b64decode(salt)) == f"$7$101${salt}${digest}"
    assert hashed("a") != hashed("a")
    assert new_password() != new_password()
    assert len(new_password()) == 32


def test_files_of_accounts_are_read() -> None:
    """Comments and empty lines are none; hashes of all kinds that mosquitto has had are accounts."""
    short, long = (base64.b64encode(bytes(length)).decode() for length in (12, 64))
    text = f"# a:b\n\na:{HASH}\nb : $6${short}${long} \nc:$7$1000${long}${long}\nd:$argon2id$v=19$m=1$x$y\n"

    assert passwords(text, "f") == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nhello\n", "f line 2: 'hello' is no account"),
        (":x\n", "f line 1: ':x' is no account"),
        (" # a\n", "f line 1: ' # a' is no account"),
        ("a:\n", "f line 1: what follows 'a' is no hash"),
        ("a:geheim\n", "is no hash"),
        ("a:$7$101$xx$yy\n", "is no hash"),
        ("a:$7$0" + HASH[6:] + "\n", "is no hash"),
        ("a:" + HASH[:-4] + "\n", "is no hash"),
        (f"a:{HASH}\n# x\na:{HASH}\n", "f line 3: 'a' is in line 1 already"),
    ],
)
def test_a_broken_file_of_accounts_is_refused_with_its_line(text: str, said: str) -> None:
    """What one mosquitto would pass over makes another end. The secret itself is not repeated."""
    with pytest.raises(RefusedError) as refused:
        passwords(text, "f")

    assert said in str(refused.value)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user a\nhello b\n", "f line 2: 'hello b' is no rule"),
        ("\ttopic read a\n", "f line 1: 'topic read a' is no rule"),
        (" # a\n", "is no rule"),
        ("user\n", "f line 1: 'user' says no name"),
        ("topic \n", "f line 1: 'topic' says no topic"),
        ("topic reed a\n", "has 'reed' where one of read, write, readwrite, deny is expected"),
        ("topic read a/#/b\n", "is about no topic"),
        ("topic a#\n", "is about no topic"),
        ("pattern write a/b+\n", "is about no topic"),
    ],
)
def test_broken_rules_are_refused_with_their_line(text: str, said: str) -> None:
    """They are what would open the broker."""
    with pytest.raises(RefusedError) as refused:
        rules_in(text, "f")

    assert said in str(refused.value)


@given(OTHERS_RULES, ACCOUNTS)
def test_an_account_comes_and_goes_without_a_trace(others: str, account: Account) -> None:
    """What else is in the files means the same before, meanwhile and after."""
    before = rules_in(others, "f")
    theirs = {name: given for name, given in before.users.items() if name != str(account)}

    written = with_rules(others, account)
    during = rules_in(written, "f")
    removed = without_rules(written, str(account))
    after = rules_in(removed, "f")

    assert list(during.users[str(account)]) == rules(account)[1:]
    assert {name: given for name, given in during.users.items() if name != str(account)} == theirs
    assert after.users == theirs
    assert before.for_all == during.for_all == after.for_all
    assert with_rules(written, account) == written
    if str(account) not in before.users:
        assert removed == (others if not others or others.endswith("\n") else f"{others}\n")


def test_what_people_added_to_an_account_goes_with_it() -> None:
    """Left behind it would be a right of the user before it."""
    text = "user a\ntopic read a\nuser b\ntopic read b\n# about b\npattern read p/%u\ntopic read everything/#\nuser c\n"

    after = without_rules(text, "b")

    assert after == "user a\ntopic read a\n# about b\npattern read p/%u\nuser c\n"


@given(st.lists(st.sampled_from(["# x:y", "", f"weather:{HASH}", f"jena-nord.9:{HASH}"]), unique=True), ACCOUNTS)
def test_a_password_comes_is_changed_and_goes(lines: list[str], account: Account) -> None:
    """The others stay as they are, in their order."""
    name, text = str(account), "".join(f"{line}\n" for line in lines)
    others = [one for one in passwords(text, "f") if one != name]

    written = with_password(text, name, HASH)
    changed = with_password(written, name, hashed("another"))

    assert [one for one in passwords(written, "f") if one != name] == others
    assert passwords(written, "f").count(name) == 1
    assert changed.count("\n") == written.count("\n")
    assert passwords(without_password(changed, name), "f") == others
    if name not in passwords(text, "f"):
        assert without_password(written, name) == text


def test_who_may_do_more_than_its_node_needs_is_named() -> None:
    """Whoever wrote it by hand may have meant it; whoever looks at the accounts sees it."""
    own = "\n".join(rules(Account("jena-nord", 1)))
    more = "topic read footfall/v1/#\ntopic deny x\nuser weather\ntopic weather/#\npattern read p/%u\n"
    text = f"topic read public/#\n{own}\n{more}"

    found = remarks(rules_in(text, "f"))

    assert [one.removeprefix("goes beyond what a node needs: ") for one in found] == [
        "for all: topic read public/#",
        "for all: pattern read p/%u",
        "jena-nord.1: topic read footfall/v1/#",
        "weather: topic weather/#",
    ]


@pytest.mark.parametrize("name", ["Jena", "jena.1", "", "footfall-ingest"])
def test_what_cannot_be_a_node_is_refused(name: str) -> None:
    """No id, an account's name, and what a process of footfall is called: it would be thrown out of the broker."""
    with pytest.raises(RefusedError):
        checked_node(name, ["footfall-ingest"])
