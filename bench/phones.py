"""How fast a phone's processor is, and how far this machine's must be slowed down to be as fast as that.

A fixed slowdown makes another phone of every machine. So it is looked for, as browsers' own tools do: a small program
scores the browser (Lighthouse's BenchmarkIndex: ten thousand letters put together, a hundred thousand numbers copied,
tens of times a second), and the slowdown is the one with which the score is the phone's.
"""

from dataclasses import dataclass
from statistics import median
from typing import Final

from playwright.sync_api import Browser, CDPSession, Page


@dataclass(frozen=True)
class Phone:
    """A kind of phone and its score."""

    name: str
    score: float


# The scores are those of the presets in Chromium's developer tools (panels/mobile_throttling, 2024).
MIDDLE: Final = Phone("a phone of the middle class (such as a Pixel 5)", 1000)
CHEAP: Final = Phone("a cheap phone (such as a Moto G Power of 2022)", 264)

SLOWEST: Final = 20.0
TRIES: Final = 7
TIMES: Final = 3

SCORE: Final = """() => {
    const rate = (once) => {
        const start = performance.now();
        let times = 0, took = 0;
        while (took < 250) { once(times); times += 1; took = performance.now() - start; }
        return times * 100 / took;
    };
    const numbers = [0, 1].map(() => Array.from({ length: 100000 }, (_, at) => at));
    const letters = () => {
        let text = '';
        for (let at = 0; at < 10000; at += 1) text += 'a';
        if (text.length !== 10000) throw new Error('letters are missing');
    };
    const copies = (times) => {
        const [from, to] = times % 2 ? numbers : [numbers[1], numbers[0]];
        for (let at = 0; at < from.length; at += 1) to[at] = from[at];
    };
    return (rate(letters) + rate(copies)) / 2;
}"""


def slowdown(browser: Browser, phone: Phone) -> tuple[float, float]:
    """How many times slower the browser must be to be like `phone`, at least 1, and its score then."""
    context = browser.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    page.evaluate(SCORE)  # the engine looks at what it runs, and is faster the second time
    low, high = 1.0, SLOWEST
    best = 1.0, _score(page, session, 1.0)
    if best[1] > phone.score:
        for _ in range(TRIES):
            middle = (low * high) ** 0.5
            score = _score(page, session, middle)
            if abs(score - phone.score) < abs(best[1] - phone.score):
                best = middle, score
            low, high = (middle, high) if score > phone.score else (low, middle)
    context.close()
    return best


def _score(page: Page, session: CDPSession, rate: float) -> float:
    session.send("Emulation.setCPUThrottlingRate", {"rate": rate})
    return median(page.evaluate(SCORE) for _ in range(TIMES))
