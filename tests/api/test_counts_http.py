"""What goes over the wire: JSON and CSV to the letter, pages, tags, compression, and who may see how much."""

import asyncio
import csv
import io
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from footfall_testing.city import NOW, Api, City

BERLIN = ZoneInfo("Europe/Berlin")
MORNING = datetime(2026, 6, 1, 10, 0, tzinfo=BERLIN)
ASKED = {"from_": "2026-06-01T10:00", "to": "2026-06-01T12:00"}


@pytest.fixture
def markt(city: City) -> int:
    """A station that counted for an hour and a half on 1 June, and was silent for the rest of the second hour."""
    key = city.counter("markt")
    city.minutes(key, MORNING, 90, {0: 2, 1: 1})
    return key


def test_json_has_the_promised_shape(markt: int, api: Api) -> None:
    """Names, order and types of all fields are those of the documentation."""
    response = api.get("/api/v1/stations/markt/counts", **ASKED, split="direction")

    assert response.headers["Content-Type"] == "application/json"
    assert response.text == (
        '{"resolution":"1h","timezone":"Europe/Berlin","unit":"passages",'
        '"licence":"Datenlizenz Deutschland – Zero – Version 2.0","attribution":"Jena","remarks":[],"values":['
        '{"station":"markt","start":"2026-06-01T10:00:00+02:00","end":"2026-06-01T11:00:00+02:00","direction":"in",'
        '"class":"all","sensor":"all","count":120,"coverage":1.0,"state":"measured","reason":null,"final":true},'
        '{"station":"markt","start":"2026-06-01T10:00:00+02:00","end":"2026-06-01T11:00:00+02:00","direction":"out",'
        '"class":"all","sensor":"all","count":60,"coverage":1.0,"state":"measured","reason":null,"final":true},'
        '{"station":"markt","start":"2026-06-01T11:00:00+02:00","end":"2026-06-01T12:00:00+02:00","direction":"in",'
        '"class":"all","sensor":"all","count":60,"coverage":0.5,"state":"partial","reason":"not_reported",'
        '"final":false},'
        '{"station":"markt","start":"2026-06-01T11:00:00+02:00","end":"2026-06-01T12:00:00+02:00","direction":"out",'
        '"class":"all","sensor":"all","count":30,"coverage":0.5,"state":"partial","reason":"not_reported",'
        '"final":false}],"next":null}'
    )


def test_csv_has_the_promised_shape(markt: int, api: Api) -> None:
    """UTF-8 without a mark, commas, the header, empty for what was not measured."""
    response = api.get("/api/v1/stations/markt/counts", from_="2026-06-01T11:00", to="2026-06-01T13:00", format="csv")

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["Content-Disposition"] == (
        'attachment; filename="footfall_markt_1h_2026-06-01_2026-06-01.csv"'
    )
    assert response.content.decode("utf-8") == (
        "station,interval_start,interval_end,direction,class,sensor,count,coverage,state,reason,final\n"
        "markt,2026-06-01T11:00:00+02:00,2026-06-01T12:00:00+02:00,all,all,all,90,0.5,partial,not_reported,false\n"
        "markt,2026-06-01T12:00:00+02:00,2026-06-01T13:00:00+02:00,all,all,all,,0.0,missing,not_reported,false\n"
    )


def test_german_excel_gets_its_own_csv(markt: int, api: Api) -> None:
    """A byte order mark, semicolons, decimal commas, and a file name that says so."""
    response = api.get("/api/v1/stations/markt/counts", **ASKED, format="csv-de", split="sensor,direction")

    assert response.headers["Content-Disposition"] == (
        'attachment; filename="footfall_markt_1h_by-direction-sensor_2026-06-01_2026-06-01.excel-de.csv"'
    )
    lines = response.content.split(b"\r\n")
    assert lines[0].startswith(b"\xef\xbb\xbfstation;interval_start;")
    assert lines[1].endswith(b";in;all;markt-1;120;1,0;measured;;true")
    assert lines[3].endswith(b";in;all;markt-1;60;0,5;partial;not_reported;false")
    assert lines[5:] == [b""]


def test_csv_and_json_say_the_same(city: City, markt: int, api: Api) -> None:
    """Row for row, whatever the state."""
    city.span(markt, MORNING + timedelta(hours=2), MORNING + timedelta(hours=4), {0: 3})
    asked = {"from_": "2026-06-01", "to": "2026-06-03", "resolution": "30min", "split": "direction,class,sensor"}

    values = api.counts("markt", **asked)
    rows = list(csv.DictReader(io.StringIO(api.get("/api/v1/stations/markt/counts", **asked, format="csv").text)))

    def as_row(value: dict[str, Any]) -> dict[str, str]:
        row = {{"start": "interval_start", "end": "interval_end"}.get(name, name): v for name, v in value.items()}
        row["final"] = "true" if row["final"] else "false"
        return {name: "" if v is None else str(v) for name, v in row.items()}

    assert rows == [as_row(value) for value in values]
    assert {row["state"] for row in rows} == {"measured", "missing", "coarse"}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/csv", "text/csv"),
        ("text/csv, text/plain;q=0.5", "text/csv"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/json, text/csv", "application/json"),
        ("text/csv, */*;q=0.1", "text/csv"),
        ("text/csv;q=0.5, application/geo+json;q=0.6", "application/geo+json"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("text/csv;q=much", "application/json"),
        ("", "application/json"),
    ],
)
def test_the_accept_header_chooses_where_no_format_is_named(
    markt: int, api: Api, accept: str, content_type: str
) -> None:
    """CSV for who asks for nothing wider; a format in the address wins."""
    path, headers = "/api/v1/stations/markt/counts", {"Accept": accept}

    assert api.get(path, headers=headers, **ASKED).headers["Content-Type"].startswith(content_type)
    assert api.get(path, headers=headers, **ASKED, format="json").headers["Content-Type"] == "application/json"


def test_pages_follow_one_another(city: City, markt: int, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """`next` is an absolute address, its pages join without gap or overlap, and the last one has none."""
    whole = api.counts("markt", from_="2026-06-01", to="2026-06-02", split="direction,class")
    monkeypatch.setattr("footfall_api.routes.PAGE_INTERVALS", 7)

    values: list[dict[str, Any]] = []
    response = api.get("/api/v1/stations/markt/counts", from_="2026-06-01", to="2026-06-02", split="direction,class")
    sizes = []
    while True:
        page = response.json()
        sizes.append(len(page["values"]))
        values += page["values"]
        if page["next"] is None:
            break
        assert page["next"].startswith("http://footfall.test/api/v1/stations/markt/counts?")
        assert f'<{page["next"]}>; rel="next"' in response.headers["Link"]
        response = api.get(page["next"])

    assert sizes == [14, 14, 14, 6]
    assert values == whole


def test_the_next_page_of_today_is_todays(city: City, markt: int, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults that depend on the time are in the link as they were, so that the pages belong together."""
    monkeypatch.setattr("footfall_api.routes.PAGE_INTERVALS", 10)
    link = api.get("/api/v1/stations/markt/counts", tz="UTC").json()["next"]
    api.now += timedelta(days=3)

    page = api.get(link).json()

    assert [value["start"][:13] for value in page["values"]] == ["2026-06-10T10", "2026-06-10T11"]
    assert page["next"] is None


def test_links_use_the_public_address(city: City, markt: int, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy the address is the one that the settings name."""
    monkeypatch.setattr("footfall_api.routes.PAGE_INTERVALS", 1)
    settings = api.app.state.settings
    api.app.state.settings = settings.model_copy(
        update={"http": settings.http.model_copy(update={"public_url": "https://zaehlung.example/stadt"})}
    )

    link = api.get("/api/v1/stations/markt/counts", **ASKED).json()["next"]

    assert link.startswith(
        "https://zaehlung.example/stadt/api/v1/stations/markt/counts?from=2026-06-01T10%3A00%3A00%2B02"
    )


def test_large_answers_go_out_in_large_pieces(city: City, markt: int, api: Api) -> None:
    """A row by itself would cost more than the database; pieces have 64 kB at least, the last one excepted."""
    pieces: list[int] = []

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                pieces.append(len(message["body"]))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "http",
            "method": "GET",
            "path": "/api/v1/stations/markt/counts",
            "query_string": b"from=2026-06-01&to=2026-06-04&resolution=1min&format=csv",
            "headers": [],
        }
        await api.app(scope, receive, send)

    api.run(ask())

    assert sum(pieces) > 3 * 1440 * 80
    assert [size for size in pieces[:-2] if size < 65_536] == []
    assert len(pieces) < 10


def test_large_answers_are_compressed_for_those_who_can(markt: int, api: Api) -> None:
    """gzip, and the same content."""
    path = "/api/v1/stations/markt/counts"
    packed = api.get(path, headers={"Accept-Encoding": "gzip"}, from_="2026-06-01", to="2026-06-08")
    plain = api.get(path, headers={"Accept-Encoding": "identity"}, from_="2026-06-01", to="2026-06-08")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.text == plain.text


def test_the_tag_of_a_running_time_passes_with_it(markt: int, api: Api) -> None:
    """An answer that contains the present is another one a second later."""
    path = "/api/v1/stations/markt/counts"
    api.now += timedelta(minutes=30)
    tag = api.get(path).headers["ETag"]

    assert api.get(path, headers={"If-None-Match": tag}).status_code == 304
    api.now += timedelta(seconds=1)
    assert api.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_head_has_the_headers_alone(markt: int, api: Api) -> None:
    """Type, tag and file name are there without a row being counted; it costs one look at the station."""
    path = "/api/v1/stations/markt/counts"
    get = api.get(path, **ASKED, format="csv")

    head = api.request("HEAD", path, params={"from": ASKED["from_"], "to": ASKED["to"], "format": "csv"})

    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "ETag", "Link", "Cache-Control"):
        assert head.headers[name] == get.headers[name]
    for other in ("/api/v1/stations", "/api/v1/live", "/healthz", "/openapi.json"):
        answer = api.request("HEAD", other)
        assert (answer.status_code, answer.content) == (200, b""), other
    assert api.request("HEAD", "/nirgends").status_code == 404
    labels = {"method": "HEAD", "route": "/api/v1/stations", "status": "200"}
    assert api.telemetry.registry.get_sample_value("footfall_http_requests_total", labels) == 1


def test_everybody_may_ask_from_anywhere(markt: int, api: Api) -> None:
    """Pages of other hosts may read the answers, and each names the licence."""
    response = api.get("/api/v1/stations/markt/counts", headers={"Origin": "https://hackathon.example"})

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert '<https://www.govdata.de/dl-de/zero-2-0>; rel="license"' in response.headers["Link"]


# -- who may see how much ---------------------------------------------------------------------------------------


def ago(**length: float) -> str:
    return (NOW - timedelta(**length)).isoformat()


@pytest.mark.parametrize("resolution", ["1min", "5min"])
def test_fine_counts_are_public_for_a_day(city: City, public_api: Api, resolution: str) -> None:
    """Finer than a quarter of an hour only for the last 24 hours; the refusal says what would be right."""
    city.counter("markt")
    path = "/api/v1/stations/markt/counts"

    assert public_api.get(path, resolution=resolution, from_=ago(hours=24)).status_code == 200
    refused = public_api.get(path, resolution=resolution, from_=ago(hours=24, minutes=10))

    assert refused.status_code == 403
    problem = refused.json()
    assert problem["type"] == "urn:footfall:problem:too-fine"
    assert problem["parameter"] == "resolution"
    assert "last 24 hours" in problem["detail"]
    assert "15min" in problem["detail"]


def test_quarters_of_an_hour_are_public_for_ever(city: City, public_api: Api) -> None:
    """15 minutes and coarser have no limit."""
    city.counter("markt")

    for resolution in ("15min", "30min", "1h", "1d", "1w", "1mo", "1y"):
        response = public_api.get(
            "/api/v1/stations/markt/counts", resolution=resolution, from_="2020-01-01", to="2020-02-01"
        )
        assert response.status_code == 200, resolution


def test_the_next_page_of_something_too_fine_is_too_fine(city: City, public_api: Api) -> None:
    """A page's begin is not what decides: the question is."""
    city.counter("markt")

    response = public_api.get(
        "/api/v1/stations/markt/counts", resolution="1min", from_=ago(days=3), to=ago(days=0), after=ago(minutes=5)
    )

    assert response.status_code == 403


def test_the_operator_sees_everything(city: City, public_api: Api) -> None:
    """With the token there is no limit; the answer is for the operator alone to keep."""
    city.counter("markt")

    response = public_api.get(
        "/api/v1/stations/markt/counts",
        headers={"Authorization": "Bearer the-operators-own-token"},
        resolution="1min",
        from_=ago(days=3),
    )

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("token", ["wrong", "", "the-operators-own-token2", "ä"])
def test_a_wrong_token_is_not_taken_for_none(city: City, public_api: Api, token: str) -> None:
    """Whoever mistypes the token is told so."""
    city.counter("markt")

    response = public_api.get(
        "/api/v1/stations/markt/counts",
        headers={b"Authorization": f"Bearer {token}".encode()},  # type: ignore[dict-item]
    )

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["type"] == "urn:footfall:problem:wrong-token"


def test_where_no_token_is_set_none_is_right(markt: int, api: Api) -> None:
    """An empty setting does not make the empty token the operator's."""
    response = api.get("/api/v1/stations/markt/counts", headers={"Authorization": "Bearer "}, **ASKED)

    assert response.status_code == 401


def test_other_ways_to_log_in_are_none_of_our_business(markt: int, api: Api) -> None:
    """A proxy in front may want a password of its own."""
    headers = {"Authorization": "Basic dXNlcjpwYXNz"}

    assert api.get("/api/v1/stations/markt/counts", headers=headers, **ASKED).status_code == 200


# -- questions that cannot be answered --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "parameter", "sentence"),
    [
        ({"from_": "2026-03-29T02:30"}, "from", "does not exist in Europe/Berlin"),
        ({"from_": "2026-03-01", "to": "2026-03-29T02:30"}, "to", "does not exist"),
        ({"from_": "yesterday"}, "from", "'yesterday' is not a time"),
        ({"from_": ""}, "from", "is not a time"),
        ({"from_": "2026-06-02", "to": "2026-06-01"}, "to", "is not after from"),
        ({"from_": "2026-06-01", "to": "2026-06-01"}, "to", "is not after from"),
        ({"from_": "2026-10-25T02:30+02:00", "to": "2026-10-25T02:30"}, "to", "is not after from"),
        ({"from_": "2027-01-01"}, "from", "now, which stands in for the missing 'to'"),
        ({"from_": "1899-01-01"}, "from", "between the years 2000 and 2099"),
        ({"to": "3000-01-01"}, "to", "between the years"),
        ({"from_": "2001-01-01", "to": "2026-06-01", "resolution": "1min"}, "resolution", "5,500,000 intervals"),
        ({"from_": "2026-01-01", "to": "2027-08-01"}, "to", "more than a year ahead"),
        ({"resolution": "1hour"}, "resolution", "1min"),
        ({"resolution": "10s"}, "resolution", "1min"),
        ({"split": "direction,colour"}, "split", "'colour' is nothing to split by"),
        ({"format": "xlsx"}, "format", "json"),
        ({"tz": "Europe/Jena"}, "tz", "'Europe/Jena' is not a time zone"),
        ({"tz": "../../etc/passwd"}, "tz", "is not a time zone"),
        ({"resolutoin": "1d"}, "resolutoin", "there is no parameter 'resolutoin' here (did you mean 'resolution'?)"),
        ({"station": "markt"}, "station", "there are format, from, remarks, resolution, split, to, tz"),
        ({"tz": ["UTC", "Europe/Berlin"]}, "tz", "tz is given more than once"),
        ({"remarks": "footnote"}, "remarks", "'link' or 'column'"),
        ({"from_": "2026-06-01", "after": "2026-05-01"}, "after", "follow the link in 'next'"),
        ({"from_": "2026-06-01", "after": "2026-06-01T10:30"}, "after", "follow the link in 'next'"),
    ],
)
def test_a_bad_parameter_is_named_with_what_would_be_right(
    markt: int, api: Api, asked: dict[str, Any], parameter: str, sentence: str
) -> None:
    """One shape for all of them; a space in a bad value does no harm."""
    response = api.get("/api/v1/stations/markt/counts", **asked)

    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert list(problem) == ["type", "title", "status", "detail", "instance", "parameter"]
    assert problem["type"] == "urn:footfall:problem:invalid-parameter"
    assert problem["status"] == 422
    assert problem["parameter"] == parameter
    assert sentence in problem["detail"]
    assert problem["instance"].startswith("/api/v1/stations/markt/counts?")


def test_the_split_may_be_given_several_times(markt: int, api: Api) -> None:
    """`split=direction,sensor` and `split=direction&split=sensor` are the same."""
    path = "/api/v1/stations/markt/counts?from=2026-06-01T10:00&to=2026-06-01T11:00"

    joined, repeated = api.get(f"{path}&split=direction,sensor"), api.get(f"{path}&split=sensor&split=direction")

    assert joined.json() == repeated.json()
    assert len(joined.json()["values"]) == 2


def test_a_lost_plus_is_found(markt: int, api: Api) -> None:
    """`+02:00` typed into an address arrives as a space."""
    raw = api.get("/api/v1/stations/markt/counts?from=2026-06-01T10:00:00+02:00&to=2026-06-01T11:00:00+02:00")

    assert [value["count"] for value in raw.json()["values"]] == [180]


def test_an_unknown_station_is_not_found(api: Api) -> None:
    """404 with a hint, for its counts as for itself; ids that are no ids are just as unknown."""
    for path in (
        "/api/v1/stations/nirgends",
        "/api/v1/stations/nirgends/counts",
        "/api/v1/stations/%27%3B--",
        "/api/v1/stations/%00/counts",
    ):
        response = api.get(path)
        assert response.status_code == 404
        assert response.json()["type"] == "urn:footfall:problem:no-such-station"
        assert "/api/v1/stations lists" in response.json()["detail"]


@pytest.mark.parametrize("split", ["", "direction", "sensor", "class", "direction,class,sensor"])
def test_a_station_without_a_sensor_has_gaps_too(city: City, api: Api, split: str) -> None:
    """Each interval has its values, all of them not installed, whatever is split."""
    city.station("leer")

    values = api.counts("leer", **ASKED, split=split)

    assert {value["reason"] for value in values} == {"not_installed"}
    assert len({value["start"] for value in values}) == 2
