"""What pages weigh: bytes on the first view, as they are sent; the same on every machine, so they are asserted."""

import httpx
import pytest
from bench.browser import View, opened
from bench.pages import KB, MAP, MOST_KB, Traffic
from playwright.sync_api import Browser, expect

from footfall_testing.waiting import wait_until
from footfall_testing.web_city import City, this_minute
from footfall_testing.windows import needs_chromium

pytestmark = [*needs_chromium, pytest.mark.xdist_group("browser-1")]


def test_the_first_page_is_light(city: City, chromium: Browser) -> None:
    """Page, style, scripts, live stream: less than 150 kB until everything is there, and no library is among it."""
    city.count("markt", this_minute() - 3600, {0: 12, 1: 7}, minutes=60)
    wait_until(lambda: 'id="hours"' in httpx.get(city.url, timeout=60).text, timeout=60, what="all of the page")
    context = opened(chromium, View("now", "de", "/"), "", "phone")
    page = context.new_page()
    traffic = Traffic(context.new_cdp_session(page))
    page.goto(city.url)
    expect(page.locator("#light[data-state=on]")).to_be_attached()
    weights = traffic.by_address()
    context.close()

    # That nothing is weighed as nothing: the page itself and its style sheet are there, and packed.
    assert 3 * KB < weights[f"{city.url}/"] < 50 * KB
    assert any(address.endswith("/page.css") and 2 * KB < size < 15 * KB for address, size in weights.items())
    assert not any("/vendor/" in address for address in weights)
    assert traffic.total(MAP) / KB < MOST_KB, "\n".join(f"{size:9.0f} {where}" for where, size in weights.items())
