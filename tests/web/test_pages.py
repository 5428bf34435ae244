"""The pages over HTTP: what is sent, with which policy, and what it says when there is little to say."""

import asyncio
import gzip
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from footfall_api.pages.example import example_report
from footfall_api.pages.frame import STATIC, Here, Page, Pages, Tiles, scripts_folder, security_headers, serve
from footfall_api.settings import ApiSettings
from footfall_contract.report import REPORT_FIELDS, decode, encode_cbor
from footfall_testing.web_city import JENA, City, CityMaker, at_noon, feature, this_minute

pytestmark = pytest.mark.xdist_group("pages")  # they share cities


@pytest.fixture(scope="module")
def city(make_shared_city: CityMaker) -> City:
    """The six stations of Jena at noon, with one minute at the Markt; for tests that only look."""
    city = make_shared_city(at_noon(JENA))
    city.count("markt", this_minute() - 60, {0: 1200, 1: 34})
    return city


def get(city: City, path: str) -> httpx.Response:
    """The page, as a browser would ask for it."""
    return httpx.get(city.url + path, timeout=20)


def test_the_page_in_both_languages(city: City) -> None:
    """German at /, English at /en/, each with its language, a title, and the way to the other; no cookies."""
    german, english = get(city, "/?x=1"), get(city, "/en/?x=1")

    assert '<html lang="de">' in german.text
    assert '<html lang="en">' in english.text
    assert "1.234" in german.text
    assert "1,234" in english.text
    assert 'href="/en/?x=1"' in german.text
    assert 'href="/?x=1"' in english.text
    assert "set-cookie" not in german.headers
    assert httpx.get(f"{city.url}/en?x=1", timeout=20).headers["Location"] == "/en/?x=1"


@pytest.mark.parametrize(
    ("old", "new"), [("/?station=markt", "/station/markt"), ("/en/?station=a%20b", "/en/station/a%20b")]
)
def test_addresses_of_old_lead_to_the_station(city: City, old: str, new: str) -> None:
    """Where a station's chart used to be, whoever kept the address is sent to the station's own page, for good."""
    answer = httpx.get(city.url + old, timeout=20)

    assert (answer.status_code, answer.headers["Location"]) == (308, new)


def test_nothing_inline_and_nothing_from_elsewhere(city: City) -> None:
    """The policy allows our own files only, and the page keeps to it: no inline style, script or handler."""
    page = get(city, "/")
    policy = page.headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"\s(style|on[a-z]+)=", page.text)
    assert not re.search(r"<script(?![^>]*(\ssrc=|application/json))", page.text)
    loaded = re.findall(r'<(?:script|link rel="(?:icon|stylesheet)")[^>]*(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    assert all(address.startswith("/static/") for address in loaded)


def test_files_are_kept_and_named_by_their_content(city: City) -> None:
    """A file of the page may be kept for a year, because a new one has a new address; what does not exist is 404."""
    address, _ = re.findall(r'<link rel="stylesheet" href="([^"]+)"', get(city, "/").text)
    style = get(city, address)

    assert style.headers["Content-Type"].startswith("text/css")
    assert "immutable" in style.headers["Cache-Control"]
    assert get(city, address.replace("page.css", "nothing.css")).status_code == 404
    assert get(city, re.sub(r"/static/\w+/", "/static/0123456789ab/", address)).status_code == 404
    assert get(city, re.sub(r"css/page.css", "../pages.py", address)).status_code == 404


def test_text_is_packed_once_and_a_file_is_sent_whole(city: City) -> None:
    """Packed and plain are two representations with a tag each; 304 is for either, and nobody gets a part."""
    (address,) = re.findall(r'<link rel="stylesheet" href="([^"]+/page.css)"', get(city, "/").text)
    url, style = city.url + address, (STATIC / "css/page.css").read_bytes()

    def ask(encoding: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.get(url, headers={"Accept-Encoding": encoding, **named}, timeout=20)

    plain, packed = ask("identity"), ask("br, gzip")
    tag, packed_tag = plain.headers["ETag"], packed.headers["ETag"]
    with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip"}, timeout=20) as stream:
        sent = b"".join(stream.iter_raw())

    assert plain.content == packed.content == style
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(sent) <= len(gzip.compress(style, 9)) < len(style) / 2
    assert len({tag, packed_tag}) == 2
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Type"] == "text/css; charset=utf-8"

    same = ask("gzip", If_None_Match=f'"other", W/{packed_tag}')
    assert (same.status_code, same.headers["ETag"], same.content) == (304, packed_tag, b"")
    assert ask("identity", If_None_Match=tag).status_code == 304
    assert ask("identity", If_None_Match=packed_tag).status_code == 200

    for part in ("bytes=10-19", "bytes=0-0,1-1", "bytes=99999999-", "bytes=x", "x"):
        whole = ask("gzip", Range=part)
        assert (whole.status_code, whole.headers["ETag"], whole.content) == (200, packed_tag, style), part
        assert "Accept-Ranges" not in whole.headers
    assert httpx.head(url, timeout=20).headers["Content-Length"] == str(len(sent))


def test_a_page_needs_one_file_of_ours_to_run(city: City, tmp_path: Path) -> None:
    """Its script is bundled with what it imports; where nothing is bundled, the modules themselves are named."""
    page = get(city, "/").text
    scripts = re.findall(r'<script type="module" src="([^"]+)"', page)

    assert [script.rpartition("/")[2] for script in scripts] == ["now.js"]
    assert "/bundle/" in scripts[0], "a script has changed since it was bundled: run tools/web_assets.py"
    assert httpx.get(city.url + scripts[0], timeout=20).headers["Content-Type"].startswith("text/javascript")
    assert scripts_folder(tmp_path) == "js"


def test_our_own_mistakes_are_told_in_the_pages_dress(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks at a page with a fault in it reads a sentence in their language; the log has what went wrong."""

    async def broken(_: Here) -> Response:
        raise ValueError("no such hour")

    page = Page("now", broken)
    pages = Pages(ApiSettings(), "v", (page,))
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "path_params": {}}
    scope["app"] = SimpleNamespace(state=SimpleNamespace(pages=pages))

    for language, heading in (("de", "Da ist etwas schiefgegangen"), ("en", "Something went wrong")):
        answer = asyncio.run(serve(page, language)(Request(scope)))
        text = bytes(answer.body).decode()
        assert answer.status_code == 500
        assert f"<h1>{heading}</h1>" in text
        assert "no such hour" not in text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "no such hour" in caplog.text


def test_an_address_that_is_none(city: City) -> None:
    """People get a page in the language of the path, programs a problem; no page is marked as the current one."""
    people = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    german = httpx.get(f"{city.url}/nirgends?a=b", headers=people, timeout=20)
    english = httpx.get(f"{city.url}/en/nowhere/at-all", headers=people, timeout=20)

    for page, heading in ((german, "Diese Seite gibt es nicht"), (english, "There is no such page")):
        assert page.status_code == 404
        assert page.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert f"<h1>{heading}</h1>" in page.text
        assert 'aria-current="page"' not in page.text
        assert 'href="/" lang="de"' in page.text
        assert 'href="/en/" lang="en"' in page.text
    for path, headers in (
        ("/nirgends", {}),
        ("/api/v1/nothing", people),
        ("/nirgends", {"Accept": "application/json"}),
    ):
        problem = httpx.get(city.url + path, headers=headers, timeout=20)
        assert problem.status_code == 404
        assert problem.headers["Content-Type"] == "application/problem+json"
        assert problem.json()["instance"] == path


def test_search_engines_find_pages_and_leave_downloads_alone(city: City) -> None:
    """robots.txt allows the pages and not the API."""
    assert get(city, "/robots.txt").text == "User-agent: *\nDisallow: /api/\n"
    assert get(city, "/robots.txt").headers["Content-Type"].startswith("text/plain")


def test_an_empty_database_says_what_to_do(empty_city: City) -> None:
    """Without a station the page names the command that enters some, in both languages."""
    german = get(empty_city, "/").text

    assert "footfall-ingest stations apply" in german
    assert "Noch keine Zählstelle" in german
    assert "No station yet" in get(empty_city, "/en/").text


def test_a_database_that_is_away_is_said(make_city: CityMaker, postgres_server: Any) -> None:
    """The page is a page also then: 503, when to come again, no traceback, no old numbers."""
    city = make_city()
    postgres_server.drop(city.dsn.rpartition("/")[2])
    page = get(city, "/")

    assert page.status_code == 503
    assert "Gerade keine Zahlen" in page.text
    assert page.headers["Retry-After"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_names_are_text_and_not_markup(make_city: CityMaker) -> None:
    """A station called like a script element is shown by that name and runs nothing."""
    name = "</script><script>alert(1)</script>"
    city = make_city([feature("evil", name, 50.9, 11.5)])
    page = get(city, "/")

    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


def test_links_lead_somewhere(city: City) -> None:
    """Every link of the page that stays on this server answers; each station is linked from the map and the table."""
    links = re.findall(r'href="(/[^"#]*)', get(city, "/").text)

    assert links.count("/station/markt") == 3  # two drawings of the map, one table
    for link in sorted(link for link in set(links) if not link.startswith(("/station", "/betrieb"))):
        assert get(city, link.replace("&amp;", "&")).status_code == 200, link


def test_tiles_widen_the_policy_by_one_origin() -> None:
    """A configured background adds its origin for pictures and requests, and nothing else."""
    plain = security_headers(None)["Content-Security-Policy"].split("; ")
    tiles = Tiles("https://t.example/{z}/{x}/{y}.png", "©", "t.example", ("https://t.example",))
    tiled = security_headers(tiles)
    wider = set(tiled["Content-Security-Policy"].split("; ")) - set(plain)

    assert wider == {
        "img-src 'self' data: blob: https://t.example",
        "connect-src 'self' https://t.example",
        "worker-src 'self'",
    }


def test_a_style_widens_the_policy_by_what_it_takes_from_elsewhere() -> None:
    """The origins that the operator names for a style are allowed beside the style's own, each once."""
    chosen = {
        "style_url": "https://maps.example/style.json",
        "style_attribution": "©",
        "style_origins": ["https://tiles.example", "https://maps.example"],
    }
    pages = Pages(ApiSettings.model_validate({"map": chosen}), "0", ())

    assert "connect-src 'self' https://maps.example https://tiles.example;" in pages.headers["Content-Security-Policy"]
    assert pages.tiles is not None
    assert pages.tiles.host == "maps.example, tiles.example"


def test_the_kiosk_shows_the_stations_that_it_is_asked_for(city: City) -> None:
    """In the order of the address, in both languages; what is no station is told, an empty choice is all."""
    named = get(city, "/en/kiosk?stations=markt,nowhere&stations=kirchplatz")
    tiles = re.findall(r'class="tile [^>]*data-station="(\w+)"', named.text)

    assert tiles == ["markt", "kirchplatz"]
    assert "Not known: nowhere." in named.text
    assert len(re.findall(r'class="tile ', get(city, "/kiosk?stations=nowhere").text)) == 6
    assert '<meta http-equiv="refresh" content="60">' in named.text
    assert "<nav" not in named.text


def test_the_kiosk_of_an_empty_database_is_a_page(empty_city: City) -> None:
    """It says what is missing and goes on looking."""
    page = get(empty_city, "/kiosk")

    assert page.status_code == 200
    assert "noch keine Zählstelle" in page.text


def test_the_report_on_the_page_is_a_real_one() -> None:
    """What is shown decodes as a report, has every field, and its size is that of its binary form."""
    shown = example_report("markt")
    report = decode(shown.text.encode())

    assert tuple(re.findall(r'^  "(\w+)":', shown.text, re.MULTILINE)) == REPORT_FIELDS
    assert shown.size == len(encode_cbor(report))
    assert max(len(line) for line in shown.text.splitlines()) < 60


def test_settings_reach_the_page(make_city: CityMaker) -> None:
    """City, contact and feedback address are those of the settings."""
    city = make_city(city={"name": "Gera", "contact": "https://gera.example/amt", "feedback": "zaehlung@gera.example"})
    for path in ("/", "/en/"):
        page = get(city, path).text

        assert "Gera" in page
        assert '<a href="https://gera.example/amt">' in page
        assert '<a href="mailto:zaehlung@gera.example">' in page
