"""The API as a process of its own: the live stream over a real connection, and how it ends."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import pytest

from footfall_testing.city import City
from footfall_testing.processes import ApiProcess


class Watcher:
    """Somebody who follows the live stream in a thread; events arrive in a queue, None at its proper end."""

    def __init__(self, url: str, **params: Any) -> None:
        self.events: Queue[tuple[str, Any] | None] = Queue()
        self._thread = threading.Thread(target=self._follow, args=(url, params), daemon=True)
        self._thread.start()

    def _follow(self, url: str, params: dict[str, Any]) -> None:
        name = ""
        with httpx.stream("GET", f"{url}/api/v1/live", params=params, timeout=60) as response:
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.events.put((name, json.loads(line.removeprefix("data: "))))
        self.events.put(None)

    def next(self, timeout: float = 8) -> tuple[str, Any]:
        """The next event; `timeout` in seconds, below that of the regular look at the board."""
        event = self.events.get(timeout=timeout)
        assert event is not None, "the stream has ended"
        return event


@pytest.fixture
def config(database: str, tmp_path: Path) -> Path:
    """An api.toml for the city's database on any free port."""
    path = tmp_path / "api.toml"
    path.write_text(f'[http]\nport = 0\n[database]\ndsn = "{database}"\n')
    return path


@pytest.fixture
def served(city: City, config: Path) -> Iterator[ApiProcess]:
    """A city of two stations that counted until two minutes ago, and its API."""
    for name in ("markt", "saal"):
        city.minutes(city.counter(name), minute(-12), 10, {0: 1})
    with ApiProcess(config) as process:
        yield process


def minute(offset: int) -> datetime:
    """The beginning of a minute, counted from the running one."""
    return datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=offset)


def last_hour(event: Any, station: str) -> int:
    """The last hour's `in` of a station in an event's data; today's would begin again at midnight."""
    found = next(s for s in event["stations"] if s["id"] == station)
    return sum(found["minutes"]["counts"]["in"][i] or 0 for i in range(60))


def test_a_new_count_reaches_the_page_with_its_commit(city: City, served: ApiProcess) -> None:
    """First the whole board; then, at once after a commit, the station that changed and no other."""
    watcher = Watcher(served.url)
    name, board = watcher.next()
    assert (name, [s["id"] for s in board["stations"]]) == ("board", ["markt", "saal"])
    assert board["unit"] == "passages"

    city.minutes(1, minute(-2), 1, {0: 5})
    city.receive(1)
    while True:  # another event may come before: time passes too
        name, change = watcher.next()
        assert name == "change"
        if last_hour(change, "markt") > last_hour(board, "markt"):
            break

    assert last_hour(change, "markt") >= last_hour(board, "markt") + 5


def test_one_station_can_be_followed_alone(city: City, served: ApiProcess) -> None:
    """What happens at others does not come."""
    watcher = Watcher(served.url, station="saal")
    name, board = watcher.next()
    assert (name, [s["id"] for s in board["stations"]]) == ("board", ["saal"])

    city.minutes(1, minute(-2), 1, {0: 5})
    city.receive(1)
    city.minutes(2, minute(-2), 1, {0: 9})
    city.receive(2)

    seen = []
    while not seen or last_hour(seen[-1], "saal") < last_hour(board, "saal") + 9:
        seen.append(watcher.next()[1])
    assert {s["id"] for change in seen for s in change["stations"]} == {"saal"}


def test_one_who_does_not_read_keeps_nobody_waiting(city: City, served: ApiProcess) -> None:
    """A connection that takes nothing is no hindrance to the others."""
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: footfall\r\n\r\n")
        watcher = Watcher(served.url)
        board = watcher.next()[1]

        city.minutes(1, minute(-2), 1, {0: 5})
        city.receive(1)

        change = board
        while last_hour(change, "markt") < last_hour(board, "markt") + 5:
            change = next((c for c in [watcher.next()[1]] if any(s["id"] == "markt" for s in c["stations"])), change)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_streams_do_not_hold_up_the_end(served: ApiProcess, number: signal.Signals) -> None:
    """Asked to stop, the process ends the streams properly and leaves with status 0, well before it would be killed."""
    watchers = [Watcher(served.url) for _ in range(3)]
    for watcher in watchers:
        watcher.next()

    served.process.send_signal(number)

    assert served.process.wait(20) == 0
    for watcher in watchers:
        while watcher.events.get(timeout=20) is not None:
            pass
    served._reader.join(20)  # the log is whole
    text = "".join(served.log)
    assert "Traceback" not in text
    assert "ERROR" not in text, "longer than the grace for answers under way: streams were cut, not ended"


def test_logs_do_not_name_readers(served: ApiProcess) -> None:
    """Who reads what is nobody's business: no addresses, no request lines."""
    httpx.get(f"{served.url}/api/v1/stations/markt/counts?from=2026-01-01", timeout=60)
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(20)
    served._reader.join(20)  # the log is whole

    # the address it listens on is the only one
    assert len(re.findall(r"127\.0\.0\.1", "".join(served.log))) == 1
    assert "/counts" not in "".join(served.log)


def test_a_taken_port_is_a_sentence(database: str, tmp_path: Path) -> None:
    """Not a traceback."""
    config = tmp_path / "api.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(f"[http]\nport = {port}\n")
        done = subprocess.run(
            [sys.executable, "-m", "footfall_api", "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == (
        f"footfall-api: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "set [http] host and port to free ones\n"
    )


def test_the_queue_of_a_watcher_is_empty_when_nothing_happens(served: ApiProcess) -> None:
    """The first board is not followed by itself once more."""
    watcher = Watcher(served.url)
    watcher.next()

    with pytest.raises(Empty):
        watcher.events.get(timeout=1.5)
