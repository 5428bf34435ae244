"""What is said to the service manager, over real sockets; and what is said where there is none."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from footfall_role.notified import Mailbox
from footfall_role.notify import ServiceManager, for_child


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A datagram socket and its name as systemd would give it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@footfall-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.settimeout(20)
        found.bind("\0" + name[1:] if name[0] == "@" else name)
        yield found, name


def heard(listener: socket.socket) -> list[str]:
    """Everything that has come in."""
    found = []
    listener.setblocking(False)
    try:
        while True:
            found.append(listener.recv(4096).decode())
    except BlockingIOError:
        return found


def test_what_is_said_is_what_systemd_reads(listener: tuple[socket.socket, str]) -> None:
    """Each word of sd_notify, once where once is enough; a status is one line, and said when it changes."""
    sock, name = listener
    manager = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"})

    manager.ready()
    manager.ready("waiting")
    manager.status("waiting")
    manager.status("two\nlines")
    manager.alive()
    manager.alive()
    manager.stopping()

    assert heard(sock) == ["READY=1", "STATUS=waiting", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1"]


def test_without_a_service_manager_nothing_happens(tmp_path: Path) -> None:
    """No socket, one that is none, one that is gone: the process goes on, and says nothing anywhere."""
    for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "@"}):
        manager = ServiceManager({**environment, "WATCHDOG_USEC": "1000000"})
        assert manager.watchdog_s is None
        manager.ready("here")
        manager.alive()
        manager.stopping()
    assert list(tmp_path.iterdir()) == []


def test_a_service_manager_that_does_not_listen_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said in the log, and nothing is raised."""
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000000"})

    manager.ready()
    manager.alive()

    assert [record.message for record in caplog.records] == ["the service manager was not told"] * 2


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "2500000"}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(os.getpid())}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": "me"}, None),
    ],
)
def test_a_sign_of_life_is_given_to_who_waits_for_ours(
    listener: tuple[socket.socket, str], variables: dict[str, str], seconds: float | None
) -> None:
    """The watchdog may be off, or meant for another process, such as the parent from which we have the variables."""
    sock, name = listener
    manager = ServiceManager({"NOTIFY_SOCKET": name, **variables})

    manager.alive()

    assert manager.watchdog_s == seconds
    assert heard(sock) == (["WATCHDOG=1"] if seconds else [])


def test_signs_of_life_are_as_many_as_the_watchdog_needs(
    listener: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a loop that turns a hundred times a second four signs are given in the watchdog's time, and evenly."""
    sock, name = listener
    now_s = 1000.0
    monkeypatch.setattr("footfall_role.notify.time.monotonic", lambda: now_s)
    manager = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "4000000"})
    signs = []

    for _ in range(800):
        manager.alive()
        signs += [now_s] * len(heard(sock))
        now_s += 0.01

    assert len(signs) == 8
    assert max(later - earlier for earlier, later in pairwise(signs)) < 1.1


def test_a_child_does_not_speak_for_its_parent() -> None:
    """The variables of the service manager are not handed on; all others are."""
    variables = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "HOME": "/root"}

    assert for_child(variables) == {"HOME": "/root"}
    assert len(variables) == 4


def test_a_parent_hears_its_child_and_nobody_else() -> None:
    """By the process that the kernel vouches for: anybody may send to a name that anybody can see."""
    say = (
        "import os; from footfall_role.notify import ServiceManager; manager = ServiceManager(); "
        "manager.ready('receiving'); manager.alive(); print(os.getpid())"
    )
    with closing(Mailbox(2.0)) as mailbox:
        if not mailbox.hears:
            pytest.skip("only Linux says who sent a datagram")
        environment = for_child(os.environ) | mailbox.environment
        done = subprocess.run(
            [sys.executable, "-c", say], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        ServiceManager(mailbox.environment).stopping()

        assert mailbox.said(int(done.stdout)) == {"READY=1", "STATUS=receiving", "WATCHDOG=1"}
        assert mailbox.said(int(done.stdout)) == set()


def test_a_closed_mailbox_says_nothing() -> None:
    """Nobody is heard there, and nobody is taken to hang."""
    mailbox = Mailbox(2.0)
    mailbox.close()

    assert mailbox.said(os.getpid()) == set()
    assert mailbox.environment == {}
    assert not mailbox.hears
