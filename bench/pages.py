"""The pages in Chromium on a throttled line: bytes on the first view, and how long until they can be read and used.

The line is that of a phone with poor reception, as page audits simulate it: 1.6 Mbit/s down, 0.75 up, 150 ms until an
answer begins. The processor is slowed down until it is as fast as that of a phone of the middle class, for the first
page also as that of a cheap one (`bench.phones`). The peer is the bare HTML of the same page, without any script of
ours, in the same run and in turns.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page

from bench import phones, servers, shown
from bench.browser import NO_CHROMIUM, View, chromium, find_chromium, opened, views
from bench.phones import CHEAP, MIDDLE
from bench.result import Result
from bench.shown import STATION, Shown
from footfall_api.messages import LANGUAGES

TITLE = "the pages in a browser: bytes, and time on a throttled line"

DOWN_BYTES_S, UP_BYTES_S, LATENCY_MS = 1_600_000 / 8, 750_000 / 8, 150
FIRST_PAGE = "now"
MOST_KB = 150
"""What the first page may transfer, the map library not counted."""
USABLE_MS = 1000
DRAWN_MS = 300
MAP = "/vendor/maplibre/"
KB = 1000


@dataclass(frozen=True)
class Size:
    """How many days the city has behind it, and how often each page is opened."""

    days: int = 366
    rounds: int = 7


TINY = Size(days=3, rounds=1)

# Notes the moment at which a page is as it should be: scripts have run, charts are drawn, the live stream is there.
# It looks from DOMContentLoaded on, which comes after the scripts, and leaves the browser alone until then.
READY = """() => {
    const check = () => {
        const light = document.querySelector('#light');
        const ready = (!light || light.dataset.state === 'on')
            && [...document.querySelectorAll('.plot-box')].every((box) => box.dataset.drawn)
            && [...document.querySelectorAll('#plot')].every((box) => box.querySelector('svg'));
        if (ready && !window.benchReady) { window.benchReady = performance.now(); observer.disconnect(); }
    };
    const observer = new MutationObserver(check);
    addEventListener('DOMContentLoaded', () => {
        observer.observe(document, { attributes: true, childList: true, subtree: true });
        check();
    });
}"""

# In milliseconds since the page was asked for. `drawn`: the longest chart, from the moment its data and the library are
# there; `whole`: from the last byte of the page to the last chart.
TIMES = """() => {
    const [page] = performance.getEntriesByType('navigation');
    const paint = performance.getEntriesByName('first-contentful-paint')[0];
    const marks = Object.fromEntries(performance.getEntriesByType('mark').map((mark) => [mark.name, mark.startTime]));
    const charts = performance.getEntriesByType('measure').filter((entry) => entry.name.startsWith('plot:'));
    if ('plot:data' in marks && 'plot:drawn' in marks) {
        charts.push({ startTime: marks['plot:data'], duration: marks['plot:drawn'] - marks['plot:data'] });
    }
    return {
        loaded: page.domContentLoadedEventEnd,
        painted: paint?.startTime ?? null,
        ready: window.benchReady ?? null,
        drawn: charts.length ? Math.max(...charts.map(({ duration }) => duration)) : null,
        whole: charts.length
            ? Math.max(...charts.map(({ startTime, duration }) => startTime + duration)) - page.responseEnd : null,
    };
}"""


class Traffic:
    """What a page transfers, packed as it is sent, headers included."""

    def __init__(self, session: CDPSession) -> None:
        self._addresses: dict[str, str] = {}
        self._bytes: dict[str, float] = {}
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.responseReceived", self._begun)
        session.on("Network.dataReceived", self._went_on)
        session.on("Network.loadingFinished", self._ended)
        session.send("Network.enable")

    def _asked(self, event: dict[str, Any]) -> None:
        self._addresses[event["requestId"]] = event["request"]["url"]

    def _begun(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = event["response"]["encodedDataLength"]

    def _went_on(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = self._bytes.get(event["requestId"], 0) + event["encodedDataLength"]

    def _ended(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = event["encodedDataLength"]

    def by_address(self) -> dict[str, float]:
        """Bytes by address, also of a stream that goes on."""
        found: dict[str, float] = {}
        for request, size in self._bytes.items():
            address = self._addresses.get(request, "")
            found[address] = found.get(address, 0) + size
        return found

    def total(self, without: str | None = None) -> float:
        """Bytes altogether; of all but those addresses that have `without` in them."""
        return sum(size for address, size in self.by_address().items() if without is None or without not in address)


@dataclass
class Times:
    """Of one page, a value a round: kilobytes and requests once, milliseconds. `slower`: times as slow as here."""

    view: View
    slower: float
    kb: float = 0
    without_map_kb: float = 0
    requests: int = 0
    painted: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def run(size: Size) -> Result:
    """Every page, one after the other, round by round."""
    result = Result("pages", TITLE, vars(size))
    if find_chromium() is None:
        result.skipped = NO_CHROMIUM
        return result
    with (
        servers.workplace() as folder,
        servers.plain(folder) as server,
        shown.loaded(server, folder, size.days) as city,
        chromium() as browser,
    ):
        result.servers["browser"] = f"Chromium {browser.version}"
        middle, cheap = (phones.slowdown(browser, phone) for phone in (MIDDLE, CHEAP))
        measured = [Times(view, middle[0]) for view in views(STATION, languages=LANGUAGES[:1])]
        first = Times(next(times.view for times in measured if times.view.key == FIRST_PAGE), cheap[0])
        for _ in range(size.rounds):
            for times in (*measured, first):
                _look(browser, city, times)
        for times in measured:
            _tell(result, times)
        result.figure(f"{FIRST_PAGE}, on a cheap phone: its scripts have run (DOMContentLoaded)", "ms", first.loaded)
        result.figure(f"{FIRST_PAGE}, on a cheap phone: its bare HTML, without scripts", "ms", first.bare)
        _chart(result, browser, city, size)
    result.notes.append(
        f"Throttled: {DOWN_BYTES_S * 8 / 1e6:g} Mbit/s down, {UP_BYTES_S * 8 / 1e6:g} up, {LATENCY_MS} ms until an "
        f"answer begins; a phone's window of 360×740, nothing kept from before, in German. "
        "Ready: scripts have run, charts are drawn, the live stream is there."
    )
    for phone, (slower, score) in ((MIDDLE, middle), (CHEAP, cheap)):
        result.notes.append(
            f"The processor of {phone.name} scores {phone.score:g} in Lighthouse's BenchmarkIndex. "
            f"This one, slowed down {slower:.1f} times, scored {score:.0f}."
        )
    return result


@contextlib.contextmanager
def _window(
    browser: Browser, city: Shown, view: View, *, slower: float | None, **options: Any
) -> Iterator[tuple[Page, Traffic]]:
    """A new window, which has never seen a page of ours; if the processor is `slower`, then the line is too."""
    context = opened(browser, view, city.token, "phone", **options)
    page = context.new_page()
    session = context.new_cdp_session(page)
    traffic = Traffic(session)
    if slower is not None:
        session.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": LATENCY_MS,
                "downloadThroughput": DOWN_BYTES_S,
                "uploadThroughput": UP_BYTES_S,
            },
        )
        session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    try:
        yield page, traffic
    finally:
        context.close()


def _opened(page: Page, city: Shown, view: View) -> None:
    page.add_init_script(f"({READY})()")
    answer = page.goto(city.url + view.path)
    assert answer is not None
    assert answer.status == 200, f"{view.path}: {answer.status}"


def _look(browser: Browser, city: Shown, times: Times) -> None:
    """One round of a page: as it is, and without scripts."""
    with _window(browser, city, times.view, slower=times.slower) as (page, traffic):
        _opened(page, city, times.view)
        page.wait_for_function("() => window.benchReady")
        found = page.evaluate(TIMES)
        times.kb, times.without_map_kb = traffic.total() / KB, traffic.total(MAP) / KB
        times.requests = len(traffic.by_address())
    times.loaded.append(found["loaded"])
    times.ready.append(found["ready"])
    if found["painted"] is not None:
        times.painted.append(found["painted"])
    with _window(browser, city, times.view, slower=times.slower, java_script_enabled=False) as (page, _):
        page.goto(city.url + times.view.path)
        times.bare.append(page.evaluate("() => performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))


def _tell(result: Result, times: Times) -> None:
    key = times.view.key
    result.figure(f"{key}: transferred, in {times.requests} requests", "kB", times.kb)
    if times.kb != times.without_map_kb:
        result.figure(f"{key}: the same without the map library", "kB", times.without_map_kb)
    if times.painted:
        result.figure(f"{key}: first content painted", "ms", times.painted)
    result.figure(f"{key}: its scripts have run (DOMContentLoaded)", "ms", times.loaded)
    result.figure(f"{key}: ready", "ms", times.ready)
    result.figure(f"{key}: its bare HTML, without scripts", "ms", times.bare)
    slower = [ours / bare for ours, bare in zip(times.loaded, times.bare, strict=True)]
    result.figure(f"{key}: with scripts, against its bare HTML", "×", slower)
    if key == FIRST_PAGE:
        result.at_most("first page: transferred without the map library", times.without_map_kb, MOST_KB, unit="kB")
        result.at_most("first page: usable (DOMContentLoaded)", times.loaded, USABLE_MS, unit="ms")


def _chart(result: Result, browser: Browser, city: Shown, size: Size) -> None:
    """A year of a station by the hour, on this machine as it is: how long its charts take once the data are there."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    first = yesterday - timedelta(days=min(365, size.days) - 1)
    query = f"from={first}&to={yesterday}&resolution=1h"
    for view in views(STATION, languages=LANGUAGES[:1], station=query):
        if view.key != "station":
            continue
        drawn, whole = [], []
        for _ in range(size.rounds):
            with _window(browser, city, view, slower=None) as (page, traffic):
                _opened(page, city, view)
                page.wait_for_function("() => window.benchReady")
                found = page.evaluate(TIMES)
                if found["drawn"] is not None:
                    drawn.append(found["drawn"])
                    whole.append(found["whole"])
        result.figure("station, a year by the hour: transferred", "kB", traffic.total() / KB)
        if drawn:
            result.figure("station, a year by the hour: from the page's last byte to its last chart", "ms", whole)
            result.at_most("station, a year by the hour: from its data to the chart", drawn, DRAWN_MS, unit="ms")
            result.notes.append(f"The year of a station is drawn without throttling, median {median(drawn):.0f} ms.")
