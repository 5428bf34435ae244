"""What a service manager hears of a real footfall-api."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from footfall_demo.ports import free_port
from footfall_testing.service_manager import HANGS, Manager, started


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Stands for systemd; its watchdog waits four seconds."""
    with Manager(tmp_path, 4.0) as found:
        yield found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An api.toml with a free port and a database that is not there."""
    file = tmp_path / "api.toml"
    file.write_text(f'[http]\nport = {free_port()}\n[database]\ndsn = "postgresql://nobody@127.0.0.1:1/nothing"\n')
    return file


def test_ready_means_that_it_answers(manager: Manager, config: Path, tmp_path: Path) -> None:
    """Also without a database, of which its answers speak; to wait for one is not to hang. It says when it leaves."""
    port = int(config.read_text().split()[3])
    with started(
        "footfall_api", "--config", str(config), log=tmp_path / "log", environment=manager.environment
    ) as process:
        manager.wait_for("READY=1")
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code == 503
        manager.lives(2)
        process.terminate()
        manager.wait_for("STOPPING=1")

        assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGSTOP, HANGS])
def test_an_event_loop_that_stands_still_gives_no_sign_of_life(
    manager: Manager, config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Stopped as a whole; or only the loop that answers."""
    with started(
        "footfall_api", "--config", str(config), log=tmp_path / "log", environment=manager.environment
    ) as process:
        manager.wait_for("READY=1")
        manager.lives(1)
        process.send_signal(number)

        assert manager.is_silent()


def test_a_port_that_is_taken_is_not_ready(manager: Manager, config: Path, tmp_path: Path) -> None:
    """It may become free, so the status says that another try may help."""
    port = int(config.read_text().split()[3])
    import socket

    with (
        socket.create_server(("127.0.0.1", port)),
        started(
            "footfall_api", "--config", str(config), log=tmp_path / "log", environment=manager.environment
        ) as process,
    ):
        assert process.wait(60) == 1

    assert manager.lines == []
