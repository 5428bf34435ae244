"""Free ports that stay free until they are used."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from footfall_demo import ports
from footfall_demo.ports import free_port, is_free


@pytest.fixture(autouse=True)
def _other_rows() -> None:
    """Each test may pretend another kernel."""
    ports._row.cache_clear()


def test_no_outgoing_connection_takes_it() -> None:
    """A free port is none that the kernel hands out by itself, and not twice the same."""
    found = [free_port() for _ in range(200)]
    lowest = 32_768
    if sys.platform == "linux":
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if lowest <= 10_240 + 200:
        pytest.skip("this machine leaves all ports to its kernel")
    assert len(set(found)) == 200
    assert max(found) < lowest
    assert min(found) >= 10_240, "those below are known services'"


def test_what_is_taken_is_left_out() -> None:
    """A port on which somebody listens is not free; those who ask get another one."""
    with socket.socket() as server:
        port = free_port()
        assert is_free(port)
        server.bind(("127.0.0.1", port))
        server.listen()
        ports._row.cache_clear()
        assert port not in [free_port() for _ in range(20)]
        assert not is_free(port)


def test_processes_begin_elsewhere() -> None:
    """Two processes that ask at the same time do not get the same ports."""
    ask = "from footfall_demo.ports import free_port; print(*(free_port() for _ in range(30)))"
    asking = [subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [set(process.communicate(timeout=30)[0].split()) for process in asking]

    assert sum(map(len, answers)) == len(set.union(*answers)) == 90


def test_processes_that_ask_much_do_not_meet() -> None:
    """Those that a run of tests starts one after another begin a thousand ports from each other at least."""
    end = ports._kernels_first()
    if end <= ports._LOWEST + 10_000:
        pytest.skip("this machine leaves most ports to its kernel")
    for first in (1, 22_053, 4_194_000):
        begins = [next(ports._row(process)) for process in range(first, first + 10)]
        gaps = [(b - a) % (end - ports._LOWEST) for a in begins for b in begins if a != b]
        assert len(gaps) == 90
        assert min(gaps) > 1000


def test_a_kernel_that_keeps_all_ports_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no port is outside the kernel's range it names one; what it does not tell about is as usual."""
    settings = tmp_path / "ip_local_port_range"
    monkeypatch.setattr(ports, "_KERNELS_OWN", settings)
    settings.write_text("1024\t65535\n")
    assert is_free(free_port())

    settings.unlink()
    ports._row.cache_clear()
    assert 10_240 <= free_port() < 32_768
