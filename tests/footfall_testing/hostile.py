"""What strangers send to open ports: over HTTP, over MQTT. Made from a seed, so that the same comes again.

Each maker gets the dice and gives bytes. Nothing here waits for answers or judges them.
"""

import gzip
import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from uuid import UUID

from footfall_contract import encode_cbor
from footfall_testing.ingest_store import report

Dice = random.Random


@dataclass(frozen=True)
class Attack:
    """Something to send over one connection, in pieces, and whether to hang up without listening."""

    kind: str
    pieces: tuple[bytes, ...]
    hangs_up: bool = False


# -- HTTP --------------------------------------------------------------------------------------------------------------

QUESTIONS: Final = (
    "/api/v1/stations", "/api/v1/stations/markt", "/api/v1/stations/markt/counts", "/api/v1/counts", "/api/v1/areas",
    "/api/v1/remarks", "/api/v1/ngsi-ld", "/api/v1/privacy", "/api/v1/stations/markt/profile",
    "/api/v1/stations/markt/compare", "/api/v1/stations/markt/before-after", "/api/v1/stations/markt/totals",
    "/api/v1/operations", "/sta/v1.1", "/sta/v1.1/Things", "/sta/v1.1/Datastreams", "/sta/v1.1/Observations",
    "/catalog", "/catalog.ttl", "/catalog.rdf", "/files/", "/files/SHA256SUMS", "/files/datapackage.json", "/",
    "/daten", "/vergleich", "/en/operations", "/kiosk", "/openapi.json", "/healthz", "/readyz", "/metrics",
)  # fmt: skip
"""Addresses that there are, and some that are like them."""

_WORDS: Final = (
    "from", "to", "resolution", "split", "tz", "format", "station", "area", "after", "remarks", "options", "day",
    "$filter", "$expand", "$orderby", "$top", "$skip", "$select", "$count", "$resultFormat", "x", "", "__proto__",
)  # fmt: skip

_VALUES: Final = (
    "", "0", "-1", "1e999", "9" * 400, "NaN", "null", "true", "2026-03-01", "2026-02-30", "0000-00-00",
    "9999-12-31T23:59",
    "2026-03-29T02:30", "1970-01-01", "1min", "1y", "direction", "direction,class,sensor", "UTC", "Europe/Berlin",
    "../../etc/passwd", "Etc/GMT+12", "csv", "parquet", "geojson", "json", "markt", "markt," * 400, "'", '"', "';--",
    "<script>alert(1)</script>", "{{7*7}}", "${jndi:ldap://x}", "%s%s%n", "\x00", "\r\nX: y", "\u202e", "\ud7ff",
    "😀" * 50,
    "id eq 1", "result gt 5", "Observations", "Datastreams($expand=Observations($top=1))", "phenomenonTime desc",
    "1000000",
)  # fmt: skip


def _head(dice: Dice, address: bytes, method: bytes = b"GET", *headers: bytes, close: bool = True) -> bytes:
    host = dice.choice([b"zaehlung.example", b"127.0.0.1"])
    lines = [method + b" " + address + b" HTTP/1.1", b"Host: " + host, *headers]
    return b"\r\n".join([*lines, *([b"Connection: close"] if close else []), b"", b""])


def _query(dice: Dice, number: int) -> str:
    pairs = [(dice.choice(_WORDS), dice.choice(_VALUES)) for _ in range(number)]
    return "&".join(f"{quote(name, safe='$')}={quote(value.encode('utf-8', 'surrogatepass'))}" for name, value in pairs)


def _noise(dice: Dice, most: int = 2000) -> bytes:
    return dice.randbytes(dice.randint(1, most))


def nonsense(dice: Dice) -> list[bytes]:
    """No request, or none that is finished."""
    start = dice.choice(
        [
            b"",
            b"GET / HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"\x16\x03\x01",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
    )
    return [start + _noise(dice) + dice.choice([b"", b"\r\n\r\n"])]


def smuggling(dice: Dice) -> list[bytes]:
    """Two answers to where a request ends."""
    hidden = b"GET /api/v1/operations HTTP/1.1\r\nHost: a\r\n\r\n"
    shapes = (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        b"Transfer-Encoding: chunked\r\nContent-Length: 400\r\n\r\n0\r\n\r\n" + hidden,
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
        b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + hidden,
        b"Content-Length: 0, 40\r\n\r\n" + hidden,
        b"Content-Length: +4\r\n\r\n" + hidden,
        b"Content-Length: 0x4\r\n\r\n" + hidden,
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + hidden,
        b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        b"X: a\nContent-Length: 40\n\n" + hidden,
        b"Transfer-Encoding: chunked\r\n\r\n5;ext=\r\nabcde\r\nffffffffffffffff\r\n" + hidden,
        b"Content-Length: 99999999999999999999\r\n\r\n" + hidden,
    )
    method = dice.choice([b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS"])
    return [method + b" / HTTP/1.1\r\nHost: zaehlung.example\r\n" + dice.choice(shapes)]


def giant_heads(dice: Dice) -> list[bytes]:
    """Much of everything."""
    shapes = (
        [b"X: " + b"a" * dice.randint(10_000, 400_000)],
        [b"X%d: y" % number for number in range(dice.randint(100, 8000))],
        [b"Cookie: " + b"; ".join(b"a%d=b" % number for number in range(3000))],
        [b"Accept: " + b",".join(b"text/%d;q=0.%d" % (number, number) for number in range(1500))],
        [b"Accept-Encoding: " + b"gzip," * 3000],
        [b"If-None-Match: " + b'W/"x",' * 3000],
        [b"Authorization: Bearer " + b"a" * 20_000],
        [b"X-Forwarded-For: " + b"127.0.0.1, " * 2000],
        [b"a" * 20_000 + b": b"],
    )
    return [_head(dice, dice.choice(QUESTIONS).encode(), b"GET", *dice.choice(shapes))]


def giant_addresses(dice: Dice) -> list[bytes]:
    """Long paths, long questions, many parameters."""
    length = dice.choice([8000, 16_000, 17_000, 60_000, 200_000])
    path = dice.choice(QUESTIONS).encode()
    shapes = (
        b"/" + b"a" * length,
        b"/" * length,
        path + b"/" + b"../" * (length // 3),
        path + b"?" + b"a=b&" * (length // 4),
        path + b"?station=" + b"markt%2C" * (length // 8),
        path + b"?" + b"station=markt&" * (length // 14),
        path + b"?tz=" + b"%F0%9F%98%80" * (length // 12),
    )
    return [_head(dice, dice.choice(shapes))]


def ways_out(dice: Dice) -> list[bytes]:
    """Paths that would lead out of a folder."""
    up = dice.choice(
        [b"../", b"..%2f", b"%2e%2e/", b"%2e%2e%2f", b"..%5c", b"..%c0%af", b"....//", b"%252e%252e%252f", b"..;/"]
    )
    goal = dice.choice([b"etc/passwd", b"proc/self/environ", b"api.toml", b"footfall_api/settings.py", b"..", b""])
    where = dice.choice([b"/files/", b"/static/", b"/static/0123456789ab/", b"/sta/v1.1/", b"/catalog/", b"/", b"/en/"])
    tail = dice.choice([b"", b"%00", b"%00.csv", b"?x", b"#x", b";.parquet"])
    return [_head(dice, where + up * dice.randint(1, 12) + goal + tail)]


def odd_addresses(dice: Dice) -> list[bytes]:
    """What is no path at all, or one with what no path should have."""
    address = dice.choice(
        [
            b"*", b"http://evil.example/api/v1/stations", b"//evil.example//", b"/\\evil.example", b"/%00",
            b"/%ff%fe",
            b"/api/v1/stations/%00", b"/api/v1/stations/%0d%0aX:%20y",
            b"/api/v1/stations/" + quote("😀" * 40).encode(),
            b"/sta/v1.1/Things(1)/%24ref%00", b"/api/v1/stations/.%2f..", b"evil.example:443", b"/?\x7f", b"?",
            b"/api/v1/stations/markt/counts/", b"/api//v1///stations", b"/API/V1/STATIONS",
            b"/sta/v1.1/Things(%d)" % 10**30,
        ]
    )  # fmt: skip
    return [_head(dice, address)]


def odd_parameters(dice: Dice) -> list[bytes]:
    """Parameters of every kind at every address."""
    return [_head(dice, dice.choice(QUESTIONS).encode() + b"?" + _query(dice, dice.randint(1, 8)).encode())]


def heavy_questions(dice: Dice) -> list[bytes]:
    """Questions that may be asked and take their time; some do not wait for the answer."""
    asked = dice.choice(
        [
            "/api/v1/stations/markt/counts?from=2020-01-01&resolution=1h&split=direction,class,sensor&format=csv",
            "/api/v1/counts?from=2016-01-01&to=2026-01-01&resolution=15min&tz=UTC&format=parquet",
            "/api/v1/counts?from=2016-01-01&resolution=1h&format=geojson&tz=UTC",
            "/api/v1/stations/markt/totals?from=2010-01-01&to=2026-01-01&resolution=1y",
            "/sta/v1.1/Observations?$count=true&$top=10000&$expand=Datastream($expand=Thing($expand=Locations))",
            "/sta/v1.1/Observations?$filter=result%20gt%200&$orderby=result%20desc",
            "/sta/v1.1/Observations?$skip=999999999&$count=true",
            "/catalog.rdf", "/catalog.jsonld", "/api/v1/ngsi-ld?from=2020-01-01&resolution=15min",
        ]
    )  # fmt: skip
    return [_head(dice, asked.encode())]


def deep_filters(dice: Dice) -> list[bytes]:
    """Conditions of SensorThings, deep, long, in circles."""
    depth = dice.choice([10, 100, 1000, 3000])
    circle = "Datastreams/Thing/" * dice.randint(2, 60)
    options = (
        "$filter=" + "(" * depth + "id eq 1" + ")" * depth,
        "$filter=" + "not " * depth + "id eq 1",
        "$filter=" + " or ".join(["id eq 1"] * (depth // 2)),
        "$filter=id in (" + ",".join(map(str, range(depth))) + ")",
        "$filter=" + "concat(" * (depth // 8) + "name" + ",'x')" * (depth // 8) + " eq 'x'",
        "$filter=id add " * (depth // 8) + "1 eq 1",
        "$filter=substring(name,-99999999999999999999) eq 'x'",
        "$filter=10 div 0 eq 1",
        "$filter=9 mul 9e307 mul 9e307 gt id",
        "$filter=st_within(location,geography'POLYGON((" + ",".join(f"{n} {n}" for n in range(depth)) + "))')",
        "$filter=geo.distance(location,geography'POINT(1e400 1e400)') lt 1",
        "$filter=phenomenonTime sub duration'P99999999999D' gt now()",
        "$filter=name eq '" + "%" * depth + "'",
        f"$filter={circle}id eq 1",
        f"$orderby={circle}id",
        "$expand=" + "Datastreams($expand=Thing($expand=" * dice.randint(2, 40),
        "$expand=" + ",".join(["Datastreams/Observations"] * (depth // 10)),
        f"$top={10**30}&$skip={10**30}",
        "$select=" + "id," * depth,
    )
    where = dice.choice(
        ["Things", "Datastreams", "Observations", "Locations", "Observations/$count", "Things(1)/Datastreams"]
    )
    return [_head(dice, f"/sta/v1.1/{where}?{quote(dice.choice(options), safe='$=()')}".encode())]


def range_bombs(dice: Dice) -> list[bytes]:
    """A thousand parts of a file, and parts that are none."""
    where = dice.choice(
        [b"/files/SHA256SUMS", b"/files/datapackage.json", b"/static/VERSION/js/now.js", b"/api/v1/stations", b"/"]
    )
    part = dice.choice(
        [
            b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(1500)),
            b"bytes=" + b"0-,-1," * 1000, b"bytes=0-0,0-0", b"bytes=-0", b"bytes=9-1", b"bytes=%d-" % 10**17,
            b"bytes=" + b"9" * 4000 + b"-", b"bytes=0-" + b"9" * 18, b"bytes=--1", b"lines=1-2", b"bytes=",
            b"\xff\xfe",
        ]
    )  # fmt: skip
    condition = dice.choice([b"X: y", b'If-Range: "x"', b"If-Range: " + b"x" * 2000, b"If-Modified-Since: 99"])
    return [_head(dice, where, b"GET", b"Range: " + part, condition)]


def packed_bombs(dice: Dice) -> list[bytes]:
    """A little that becomes much when it is unpacked."""
    bomb = gzip.compress(bytes(2_000_000))
    method = dice.choice([b"GET", b"POST", b"PUT", b"OPTIONS"])
    length = b"Content-Length: %d" % dice.choice([len(bomb), 10**9])
    return [_head(dice, b"/api/v1/stations", method, b"Content-Encoding: gzip", length) + bomb]


def wrong_methods(dice: Dice) -> list[bytes]:
    """Everything but reading."""
    method = dice.choice(
        [
            b"TRACE",
            b"CONNECT",
            b"PUT",
            b"PATCH",
            b"DELETE",
            b"POST",
            b"BREW",
            b"get",
            b"PROPFIND",
            b"MOVE",
            b"G" * 3000,
            b"QUERY",
        ]
    )
    return [_head(dice, dice.choice(QUESTIONS).encode(), method)]


def pretenders(dice: Dice) -> list[bytes]:
    """Somebody else's name, address, key."""
    headers = dice.sample(
        [
            b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Host: evil.example",
            b"Forwarded: for=127.0.0.1;host=evil.example",
            b"X-Real-IP: 127.0.0.1", b"Origin: https://evil.example", b"Origin: null",
            b"Referer: https://evil.example/",
            b"X-Original-URL: /api/v1/operations", b"X-HTTP-Method-Override: DELETE", b"Via: 1.1 evil",
            b"Authorization: Basic " + b"w6Q6" * dice.randint(0, 500), b"Authorization: Digest x",
            b"Authorization: \xff",
            b"Cookie: session=admin", b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13",
            b"Access-Control-Request-Method: DELETE", b"Expect: 100-continue", b"TE: trailers", b"Max-Forwards: 0",
        ],
        dice.randint(1, 5),
    )  # fmt: skip
    address = dice.choice(QUESTIONS).encode()
    host = dice.choice(
        [b"evil.example", b"zaehlung.example@evil.example", b'a"><script>', b"[::1", b"", b"zaehlung.example:99999999"]
    )
    lines = [b"GET " + address + b" HTTP/1.1", b"Host: " + host, *headers, b"Connection: close", b"", b""]
    return [b"\r\n".join(lines)]


def odd_wishes(dice: Dice) -> list[bytes]:
    """Headers that say how an answer is wanted, wrong in every way."""
    name = dice.choice(
        [
            b"Accept",
            b"Accept-Encoding",
            b"Accept-Language",
            b"If-None-Match",
            b"If-Modified-Since",
            b"Range",
            b"Cache-Control",
        ]
    )
    value = dice.choice(
        [
            b"*/*;q=9", b"text/html;q=" + b"1" * 400, b";;;,,,", b"\xff\xfe\xfd", b"=?utf-8?q?x?=",
            b"Wed, 99 Foo 9999 99:99:99 GMT",
            b"Thu, 01 Jan 1970 00:00:00 +9999", b'W/"' + b"x" * 9000, b"*", b"application/json;" * 500,
            b"identity;q=0, *;q=0",
        ]
    )  # fmt: skip
    return [_head(dice, dice.choice(QUESTIONS).encode(), b"GET", name + b": " + value)]


def many_at_once(dice: Dice) -> list[bytes]:
    """Requests one behind the other, without waiting for answers."""
    one = _head(dice, dice.choice(QUESTIONS).encode(), close=False)
    return [one * dice.randint(2, 40) + _head(dice, b"/healthz")]


def in_small_pieces(dice: Dice) -> list[bytes]:
    """A good request, torn."""
    whole = _head(dice, dice.choice(QUESTIONS).encode())
    cuts = sorted(dice.sample(range(1, len(whole)), dice.randint(1, 8)))
    return [whole[first:last] for first, last in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def changed_a_little(dice: Dice) -> list[bytes]:
    """A good request in which some bytes are others."""
    whole = bytearray(_head(dice, (dice.choice(QUESTIONS) + "?" + _query(dice, 2)).encode()))
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(whole))
        dice.choice([lambda: whole.insert(place, dice.randrange(256)), lambda: whole.pop(place)])()  # noqa: B023
    return [bytes(whole)]


OVER_HTTP: Final[Sequence[Callable[[Dice], list[bytes]]]] = (
    nonsense, smuggling, giant_heads, giant_addresses, ways_out, odd_addresses, odd_parameters, heavy_questions,
    deep_filters, range_bombs, packed_bombs, wrong_methods, pretenders, odd_wishes, many_at_once, in_small_pieces,
    changed_a_little,
)  # fmt: skip


def over_http(dice: Dice) -> Attack:
    """Something that a stranger sends to the API; one in ten does not wait for what comes of it."""
    make = dice.choice(OVER_HTTP)
    return Attack(make.__name__, tuple(make(dice)), hangs_up=dice.random() < 0.1)


# -- MQTT --------------------------------------------------------------------------------------------------------------

EVIL: Final = "evil"
"""The node that sends all this."""


def _cbor_head(major: int, argument: int) -> bytes:
    return bytes([major << 5 | 27]) + struct.pack(">Q", argument)


def _good(dice: Dice, sensors: Sequence[str]) -> bytes:
    """A report that says that it is of one of these sensors, or of one that nobody knows."""
    sensor = dice.choice([*sensors, "evil-1"])
    stream = str(UUID(int=dice.getrandbits(128)))
    return encode_cbor(report(sensor, dice.randrange(100), stream=stream, cells=[(0, 0, 0, dice.randint(1, 9))]))


def _mutated(dice: Dice, payload: bytes) -> bytes:
    found = bytearray(payload)
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(found))
        match dice.randrange(4):
            case 0:
                found[place] ^= 1 << dice.randrange(8)
            case 1:
                found[place:place] = dice.randbytes(dice.randint(1, 9))
            case 2:
                del found[place : place + dice.randint(1, 9)]
                found = found or bytearray(b"\0")
            case _:
                found[place : place + 9] = _cbor_head(dice.randrange(8), dice.getrandbits(64))
    return bytes(found)


def over_mqtt(dice: Dice, sensors: Sequence[str]) -> tuple[str, bytes]:
    """A topic of the evil node and what it says there, of its own and of others' sensors."""
    good = _good(dice, sensors)
    sensor = dice.choice([*sensors, "evil-1", "Evil", "a" * 70, "-", "evil%00", "ä", "evil 1"])
    topic = dice.choice(
        [f"footfall/v1/{EVIL}/{sensor}/counts"] * 6
        + [f"footfall/v1/{EVIL}/{sensor}/health", f"footfall/v1/{EVIL}/status", f"footfall/v1/{EVIL}/{sensor}/counts/x",
           f"footfall/v1/{'b' * 300}/x/counts", "footfall/v1//x/counts", f"footfall/v1/{EVIL}/{sensor}/nothing"]
    )  # fmt: skip
    payload = dice.choice(
        [
            lambda: dice.randbytes(dice.choice([0, 1, 10, 1000, 70_000])),
            lambda: _mutated(dice, good),
            lambda: _mutated(dice, good),
            lambda: good[: dice.randrange(len(good))],
            lambda: good + dice.randbytes(5),
            lambda: good.replace(b"evil-1", b"e\xff\xfe\x00-1"),
            lambda: b"\x81" * dice.randint(10, 65_000),
            lambda: b"\xa1\x61v" * 20_000,
            lambda: b"\xd8\x40" * 30_000,
            lambda: _cbor_head(5, 2**63) + good,
            lambda: _cbor_head(4, 2**32) + b"\x01" * 100,
            lambda: b"[" * dice.randint(10, 65_000),
            lambda: b'{"v":' * 10_000,
            lambda: json.dumps({"v": 1, "sensor": sensor, "stream": "x", "seq": 10**400}).encode(),
            lambda: b'{"v": 1e999, "sensor": NaN, "count": [' + b"9" * 60_000 + b"]}",
            lambda: b'{"v": 1, "v": 2, "sensor": "\\ud800"}',
            lambda: json.dumps(_json_report(dice, sensor)).encode(),
            lambda: gzip.compress(bytes(3_000_000)),
        ]
    )()
    return topic, payload


def no_mqtt(dice: Dice) -> bytes:
    """What no client of a broker says: packets that are too long, too short, in the wrong order, or none at all."""
    connect = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc"
    return dice.choice(
        [
            lambda: dice.randbytes(dice.choice([1, 20, 3000])),
            lambda: b"\x10\xff\xff\xff\x7f" + dice.randbytes(500),
            lambda: connect[: dice.randrange(1, len(connect))],
            lambda: connect * 3,
            lambda: connect + b"\x30\xff\xff\xff\xff\xff",
            lambda: connect + bytes([dice.randrange(256)]) + dice.randbytes(40),
            lambda: b"\x30\x05\x00\x03a/b",
            lambda: b"\xc0\x00" * 500,
            lambda: _head(dice, b"/"),
        ]
    )()


def _json_report(dice: Dice, sensor: str) -> dict[str, object]:
    """A report in which one number is beyond all bounds."""
    found: dict[str, object] = {
        "v": 1, "sensor": sensor, "stream": str(UUID(int=dice.getrandbits(128))), "seq": 0, "start": 1_772_366_400,
        "slot": 10, "slots": 1, "observed": [10], "index": [0], "direction": [0], "class": [0], "count": [1],
    }  # fmt: skip
    name = dice.choice(["seq", "start", "slot", "slots", "observed", "index", "direction", "class", "count"])
    value = dice.choice([-1, 2**31, 2**63, 2**64, 10**300, 0.5, None, "1", [], {}, True])
    return {**found, name: [value] if isinstance(found[name], list) else value}
