"""Twenty thousand questions to SensorThings made up by its grammar, half of them damaged, on the demo's own past.

Not how fast it is at what people ask, but how slow at the worst that the language allows: nested conditions, orders by
anything, expands of expands, pages of ten thousand. Each is asked over HTTP of the real process, one after the other.
There is no peer: the aim is a limit. What could take longer has to be refused before it is read.
"""

import contextlib
import heapq
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from bench import machine, servers, shown
from bench.api import Client
from bench.measure import quantile
from bench.result import Result
from footfall_testing.sta_grammar import broken_urls, urls

TITLE = "SensorThings, asked whatever its grammar allows"

SEED = 17
LIMIT_S = 1.0
SHOWN = 5
"""So many of the slowest questions are written down."""
LONGEST = 400
"""So much of each."""


@dataclass(frozen=True)
class Size:
    """How many days the city has behind it, and how many questions there are."""

    days: int = 60
    questions: int = 20_000


TINY = Size(days=2, questions=60)


@dataclass
class Asked:
    """What came of the questions of one kind."""

    seconds: list[float]
    slowest: list[tuple[float, int, str]]
    """Seconds, status, question."""
    statuses: Counter[int]


def run(size: Size) -> Result:
    """Sound questions, then damaged ones."""
    result = Result("questions", TITLE, vars(size))
    with servers.workplace() as folder, contextlib.ExitStack() as opened:
        server = servers.timescale() or opened.enter_context(servers.plain(folder))
        result.servers[server.kind] = machine.database(server.maintenance)
        city = opened.enter_context(shown.simulated(server, folder, size.days))
        client = Client(urlsplit(city.url).port or 0)
        kinds = {"sound": urls(), "damaged": broken_urls()}
        asked = {name: _ask(client, strategy, size.questions // 2) for name, strategy in kinds.items()}
    for name, found in asked.items():
        result.figure(f"{name}: questions", "", len(found.seconds))
        result.figure(f"{name}: answered", "", sum(n for status, n in found.statuses.items() if status < 400))
        result.figure(f"{name}: refused", "", sum(n for status, n in found.statuses.items() if 400 <= status < 500))
        for share, what in ((0.5, "median"), (0.99, "99th percentile"), (0.999, "99.9th percentile"), (1, "slowest")):
            result.figure(f"{name}: {what}", "ms", 1000 * quantile(found.seconds, share))
        result.at_most(f"{name}: faults of the server", sum(n for status, n in found.statuses.items() if status >= 500), 0, unit="")  # fmt: skip  # noqa: E501
        result.at_most(f"{name}: the slowest question", max(found.seconds), LIMIT_S, unit="s")
        result.notes.extend(
            f"{name}, {1000 * seconds:.0f} ms, status {status}: `{question[:LONGEST]}`"
            for seconds, status, question in sorted(found.slowest, reverse=True)
        )
    return result


def _ask(client: Client, strategy: SearchStrategy[str], questions: int) -> Asked:
    found = Asked([], [], Counter())

    @seed(SEED)
    @settings(
        max_examples=questions,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(question=strategy)
    def ask(question: str) -> None:
        seconds = client.ask(f"/sta/v1.1/{question}")
        found.seconds.append(seconds)
        found.statuses[client.status] += 1
        heapq.heappush(found.slowest, (seconds, client.status, question))
        if len(found.slowest) > SHOWN:
            heapq.heappop(found.slowest)

    ask()
    return found
