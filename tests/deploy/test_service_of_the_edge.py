"""What a service manager hears of a real footfall-edge: ready, alive while it waits, silent when it hangs."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from edge.counter import Counter
from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_edge.outbox import Outbox
from footfall_testing.service_manager import HANGS, Manager, started


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Stands for systemd; its watchdog waits two seconds."""
    with Manager(tmp_path, 2.0) as found:
        yield found


def config(folder: Path, node: str, port: int) -> Path:
    """An edge.toml for one sensor and the broker on `port`."""
    file = folder / "edge.toml"
    file.write_text(
        f'node = "{node}"\nclock = "system"\nstop_wait_s = 1\n[mqtt]\nport = {port}\n[outbox]\n'
        f'path = "{folder}/outbox.sqlite"\n[[sensor]]\nid = "{node}"\ndriver = "reference"\nport = "{folder}/counter"\n'
    )
    return file


def test_an_edge_that_waits_for_everything_is_alive(manager: Manager, tmp_path: Path, unique: str) -> None:
    """No broker, no sensor: it is ready, because it would count, and is not started again. It says when it leaves."""
    file = config(tmp_path, unique, free_port())
    with started("footfall_edge", "--config", str(file), log=tmp_path / "log", environment=manager.environment) as edge:
        manager.wait_for("READY=1")
        manager.wait_for_status("0 of 1 sensors well, waiting for the broker")
        manager.lives()
        with pytest.raises(Exception, match="in use by another"):
            Outbox.open(tmp_path / "outbox.sqlite")
        edge.terminate()
        manager.wait_for("STOPPING=1")

        assert edge.wait(20) == 0


def test_an_edge_that_works_is_alive(mosquitto: Broker, manager: Manager, tmp_path: Path, unique: str) -> None:
    """With a sensor and a broker."""
    file = config(tmp_path, unique, mosquitto.port)
    options = ["--config", str(file)]
    with (
        Counter(tmp_path / "counter") as counter,
        started("footfall_edge", *options, log=tmp_path / "log", environment=manager.environment),
    ):
        counter.passes()
        manager.wait_for_status("1 of 1 sensors well, connected to the broker")
        manager.lives()


@pytest.mark.parametrize("number", [signal.SIGSTOP, HANGS])
def test_an_edge_that_hangs_gives_no_sign_of_life(
    manager: Manager, tmp_path: Path, unique: str, number: signal.Signals
) -> None:
    """Stopped as a whole; or only its loop stands still, while the threads of lines and broker go on."""
    file = config(tmp_path, unique, free_port())
    with started("footfall_edge", "--config", str(file), log=tmp_path / "log", environment=manager.environment) as edge:
        manager.wait_for("READY=1")
        manager.lives(1)
        edge.send_signal(number)

        assert manager.is_silent()


def test_an_edge_that_cannot_work_is_never_ready(manager: Manager, tmp_path: Path, unique: str) -> None:
    """The outbox is another's: that may pass, and is tried again. The settings are wrong: that will not."""
    file = config(tmp_path, unique, free_port())
    begin = partial(
        started, "footfall_edge", "--config", str(file), log=tmp_path / "log", environment=manager.environment
    )
    with Outbox.open(tmp_path / "outbox.sqlite"), begin() as edge:
        locked_out = edge.wait(60)
    file.write_text("nodde = 1\n")
    with begin() as edge:
        refused = edge.wait(60)

    assert (locked_out, refused) == (1, 78)
    assert manager.lines == []
