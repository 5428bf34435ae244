"""An edge to test: in a thread of the test, or as the process it is."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from edge.ingest_model import Address
from footfall_edge import agent
from footfall_edge.clock import Clock
from footfall_edge.settings import EdgeSettings
from footfall_sim import firmware
from footfall_testing.in_a_thread import in_a_thread

Configure: TypeAlias = Callable[..., EdgeSettings]
RunEdge: TypeAlias = Callable[..., AbstractContextManager[None]]
SmallDisk: TypeAlias = Callable[[int], Path]


@pytest.fixture(autouse=True)
def quick_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device sends again after 0.3 s, not 2 s: its intervals are a second long here."""
    monkeypatch.setattr(firmware, "RESEND_MS", 300)


@pytest.fixture(autouse=True)
def quick_tally(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge measures its outbox, and what waits in it, every half second, not every five."""
    monkeypatch.setattr(agent, "TALLY_EVERY_S", 0.5)


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """The stable path of the sensor's line."""
    return tmp_path / "by-id" / "counter"


@pytest.fixture
def configure(tmp_path: Path, link: Path, unique: str) -> Configure:
    """Makes settings for a node with one sensor, both called as the test, and slots of a second."""

    def make(broker: Address, **changes: Any) -> EdgeSettings:
        values: dict[str, Any] = {
            "node": unique,
            "clock": "system",
            "stop_wait_s": 2,
            "mqtt": {"host": broker.host, "port": broker.port},
            "outbox": {"path": tmp_path / "outbox.sqlite"},
            "report": {"slot_s": 1, "every_s": 1},
            "sensor": [{"id": unique, "driver": "reference", "port": str(link), "silent_s": 5}],
        }
        return EdgeSettings(**(values | changes))

    return make


@pytest.fixture
def run_edge() -> RunEdge:
    """Runs an edge in a thread for the length of a with block; what it raises, the block raises."""

    def run(settings: EdgeSettings, clock: Clock | None = None) -> AbstractContextManager[None]:
        return in_a_thread(lambda stop: agent.run(settings, stop, clock))

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Makes a disk of so many KiB that is in memory; called again, it becomes that big."""
    folder = tmp_path / "disk"

    def mount(kib: int) -> Path:
        options = f"size={kib}k" if not folder.is_mount() else f"remount,size={kib}k"
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"no small disk: a tmpfs may not be mounted here: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
