"""The files over HTTP: whole and in parts, with tags that are their checksums, and nothing but what is listed."""

import io
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from footfall_api.routes_files import RangeRefusedError, part_of
from footfall_api.settings import ApiSettings, DatabaseSettings, FilesSettings, PublicationSettings
from footfall_testing.city import NOW, Api, City
from footfall_testing.dumps import dump_into, parquet_rows, sums, visible
from footfall_testing.processes import ApiProcess

CSV = "/files/counts/1h/2026-05.csv.gz"
PARQUET = "/files/counts/1h/2026-05.parquet"


@pytest.fixture
def settings(city: City, database: str, tmp_path: Path) -> ApiSettings:
    """Of a city whose files are written and served; a month of one station."""
    city.minutes(city.counter("markt"), datetime(2026, 5, 4, tzinfo=UTC), 2000, {0: 1, 1: 2})
    found = ApiSettings(database=DatabaseSettings(dsn=database), files=FilesSettings(folder=str(tmp_path / "files")))
    dump_into(Path(found.files.folder), found)
    return found


@pytest.fixture
def files(settings: ApiSettings) -> Path:
    """The folder."""
    return Path(settings.files.folder)


@pytest.fixture
def served(settings: ApiSettings) -> Iterator[Api]:
    """The API that serves them."""
    with Api(settings) as api:
        yield api


def test_people_find_the_list_on_the_page_with_the_data(served: Api, files: Path) -> None:
    """A browser is led there, and every link on it has a file."""
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert served.get("/files/", headers=browser).headers["Location"] == "/daten#files"
    page = served.get("/daten").text
    links = set(re.findall(r'href="(/files/[^"]+)"', page))
    assert {f"/files/{name}" for name in visible(files) if name.startswith("counts/")} < links
    assert {served.get(link).status_code for link in links} == {200}


def test_each_file_is_served_as_it_is(served: Api, files: Path) -> None:
    """With its type, its checksum as the tag, its date, the licence; never packed again."""
    types = {
        ".gz": "application/gzip",
        ".parquet": "application/vnd.apache.parquet",
        ".geojson": "application/geo+json",
        ".json": "application/json",
        ".csv": "text/csv; charset=utf-8; header=present",
        "": "text/plain; charset=utf-8",
    }
    for name in visible(files):
        answer = served.get(f"/files/{name}", headers={"Accept-Encoding": "gzip"})
        content = (files / name).read_bytes()
        assert answer.status_code == 200, name
        assert answer.content == content, name
        assert answer.headers["Content-Type"] == types[Path(name).suffix], name
        assert answer.headers["ETag"] == f'"{sha256(content).hexdigest()}"', name
        assert answer.headers["Content-Length"] == str(len(content)), name
        assert answer.headers["Accept-Ranges"] == "bytes", name
        assert answer.headers["Cache-Control"] == "public, no-cache", name
        assert "Last-Modified" in answer.headers, name
        assert "Content-Encoding" not in answer.headers, name
        assert 'rel="license"' in answer.headers["Link"], name
    assert served.get(CSV).headers["Content-Disposition"] == 'attachment; filename="footfall_1h_2026-05.csv.gz"'


def test_the_address_of_all_leads_to_the_package(served: Api) -> None:
    """It names what there is."""
    answer = served.get("/files/")

    assert (answer.status_code, answer.headers["Location"]) == (307, "/files/datapackage.json")
    assert served.get("/files/datapackage.json").json()["profile"] == "data-package"


def test_the_package_leads_to_every_file(served: Api) -> None:
    """By paths beside its own address, with the sizes and checksums of what is served."""
    package = served.get("/files/datapackage.json").json()

    assert len(package["resources"]) == 19
    for resource in package["resources"]:
        answer = served.get(f"/files/{resource['path']}")
        assert len(answer.content) == resource["bytes"]
        assert resource["hash"] == f"sha256:{sha256(answer.content).hexdigest()}"


def test_who_has_the_file_is_not_sent_it_again(served: Api) -> None:
    """By its tag, or by its date."""
    first = served.get(PARQUET)

    for known in ({"If-None-Match": first.headers["ETag"]}, {"If-Modified-Since": first.headers["Last-Modified"]}):
        again = served.get(PARQUET, headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
    assert served.get(PARQUET, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_says_how_long_the_file_is(served: Api) -> None:
    """Without sending it, and of the whole file even if a part is named: parts are of GET only."""
    whole = served.get(PARQUET)

    for headers in ({}, {"Range": "bytes=0-3"}):
        head = served.request("HEAD", PARQUET, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Content-Type"):
            assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-3", 0, 4), ("bytes=-8", -8, None), ("bytes=10-", 10, None), ("bytes=5-5", 5, 6)],
)
def test_parts_are_served(served: Api, asked: str, start: int, end: int | None) -> None:
    """The first and last bytes are part of them; a part longer than the file ends with it."""
    whole = served.get(PARQUET).content
    answer = served.get(PARQUET, headers={"Range": asked, "Accept-Encoding": "gzip"})

    assert answer.status_code == 206
    assert answer.content == whole[start:end]
    first = start % len(whole)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert "Content-Encoding" not in answer.headers


def test_a_part_of_another_version_is_never_served(served: Api) -> None:
    """Who has a part of what the file was before gets all of what it is now."""
    etag, date = (served.get(PARQUET).headers[name] for name in ("ETag", "Last-Modified"))

    for known in (etag, date):
        assert served.get(PARQUET, headers={"Range": "bytes=0-3", "If-Range": known}).status_code == 206
    for other in ('"other"', f"W/{etag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert served.get(PARQUET, headers={"Range": "bytes=0-3", "If-Range": other}).status_code == 200


def test_a_part_that_is_not_there_is_refused(served: Api) -> None:
    """With the length of the file, as a problem."""
    size = len(served.get(PARQUET).content)

    answer = served.get(PARQUET, headers={"Range": f"bytes={size}-"})

    assert answer.status_code == 416
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Content-Range"] == f"bytes */{size}"
    assert answer.json()["detail"] == f"the file has {size} bytes; there is nothing at 'bytes={size}-'"


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
@example(0, 0, 0)
def test_a_part_is_what_was_asked_for(size: int, first: int, last: int) -> None:
    """Compared with slices of as many bytes."""
    content = bytes(range(size))

    def served(header: str) -> bytes | None:
        try:
            part = part_of(header, size)
        except RangeRefusedError:
            return None
        return content if part is None else content[slice(*part)]

    inside = first < size
    assert served(f"bytes={first}-") == (content[first:] if inside else None)
    if last < first:
        assert served(f"bytes={first}-{last}") == content  # such a header says nothing
    else:
        assert served(f"bytes={first}-{last}") == (content[first : last + 1] if inside else None)
    assert served(f"bytes=-{last}") == (content[max(0, size - last) :] if last and size else None)


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes 0-1"]
)
def test_what_is_no_part_is_the_whole(header: str | None) -> None:
    """Several parts at once are not offered."""
    assert part_of(header, 10) is None


@pytest.mark.parametrize(
    "path",
    [
        ".state.json",
        ".lock",
        "..%2fapi.toml",
        "counts/%2e%2e/%2e%2e/api.toml",
        "%2fetc%2fpasswd",
        "counts",
        "counts/",
        "counts/1h/.2026.csv.gz.part",
        "secret.txt",
        "counts/1h/2026-05.csv",
        "counts/1h/2026-05.csv.gz%00",
        "//etc/passwd",
        "x" * 5000,
    ],
)
def test_nothing_but_what_is_listed_is_served(served: Api, files: Path, path: str) -> None:
    """Whatever lies in the folder or beside it."""
    (files / "secret.txt").write_text("not listed")
    (files.parent / "api.toml").write_text("the settings")

    answer = served.get(f"/files/{path}")

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:footfall:problem:no-such-file"
    assert answer.json()["detail"].endswith("/files/datapackage.json lists those there are")


@pytest.mark.parametrize("path", ["../api.toml", "counts/../../api.toml", "//etc/passwd", "./stations.geojson", "\0"])
def test_no_path_leads_out_of_the_folder(served: Api, files: Path, path: str) -> None:
    """Not even one that no client would send: they take such steps out before they ask."""
    (files.parent / "api.toml").write_text("the settings")
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    served.run(served.app(scope_of(f"/files/{path}"), receive, send))

    assert said[0]["status"] == 404
    assert b"settings" not in said[1]["body"]


def scope_of(path: str) -> dict[str, Any]:
    """A request that goes straight into the application."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    }


def test_a_name_that_is_nearly_right_is_helped(served: Api) -> None:
    """With those that are like it."""
    detail = served.get("/files/counts/1h/2026-5.csv.gz").json()["detail"]

    assert "did you mean 'counts/1h/2026-05.csv.gz'" in detail


def test_where_no_files_are_published_that_is_said(api: Api, settings: ApiSettings, tmp_path: Path) -> None:
    """Without a folder, and with one in which nothing was written yet."""
    for path in ("/files/", "/files/datapackage.json", CSV):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["detail"]) == (404, "no files are published here")
    empty = settings.model_copy(update={"files": FilesSettings(folder=str(tmp_path / "no"))})
    with Api(empty) as other:
        assert other.get(CSV).json()["detail"] == "no files have been published yet"
        shutil.copytree(settings.files.folder, tmp_path / "no")  # it need not be started again
        assert other.get(CSV).status_code == 200


def test_a_new_version_is_served_with_its_own_tag(served: Api, settings: ApiSettings, files: Path, city: City) -> None:
    """Also in the time between the file and the list, and after it; a file that stayed keeps its tag."""
    before = {path: served.get(path).headers["ETag"] for path in (CSV, "/files/SHA256SUMS")}
    listed = sums(files)
    (key,) = city.connection.execute("SELECT key FROM sensor").fetchone() or (0,)
    city.minutes(key, datetime(2026, 5, 20, tzinfo=UTC), 5, {0: 1})

    dump_into(files, settings)
    new_list = sums(files)
    stat = (files / "SHA256SUMS").stat()
    (files / "SHA256SUMS").write_text(listed)  # as it is before the run has come to its end
    old = stat.st_mtime_ns - 3_600_000_000_000
    os.utime(files / "SHA256SUMS", ns=(old, old))
    between = served.get(CSV)
    (files / "SHA256SUMS").write_text(new_list)
    after = served.get(CSV)

    assert between.headers["ETag"] == after.headers["ETag"] == f'"{sha256(after.content).hexdigest()}"'
    assert between.headers["ETag"] != before[CSV]
    assert served.get("/files/SHA256SUMS").headers["ETag"] != before["/files/SHA256SUMS"]


def test_a_file_that_is_new_is_found_at_once(served: Api, settings: ApiSettings, files: Path) -> None:
    """The API need not be started again when a month has come, or when one has gone."""
    july = "/files/counts/1h/2026-07.csv.gz"
    assert served.get(july).status_code == 404

    dump_into(files, settings, NOW + timedelta(days=30))
    assert served.get(july).status_code == 200

    dump_into(files, settings)
    assert served.get(july).status_code == 404


def test_a_reader_is_not_disturbed_by_a_new_version(settings: ApiSettings, files: Path) -> None:
    """A file that is replaced while it is sent is sent to its end as it was."""
    with Api(settings) as api:
        content = (files / CSV.removeprefix("/files/")).read_bytes()
        pieces: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert (b"content-length", str(len(content)).encode()) in message["headers"]
                replaced = files / CSV.removeprefix("/files/")
                (files / "other").write_bytes(b"another version")
                (files / "other").replace(replaced)
            else:
                pieces.append(message["body"])

        api.run(api.app(scope_of(CSV), receive, send))

        assert b"".join(pieces) == content


def test_files_made_under_other_rules_are_not_handed_out(settings: ApiSettings, files: Path) -> None:
    """What is held back now is in them; once they are made anew they are there again. Places are no secret."""
    rules = PublicationSettings.model_validate({"held_back": [{"stations": ["markt"], "reason": "Geprüft."}]})
    changed = settings.model_copy(update={"publication": rules})

    with Api(changed) as api:
        refused = api.get(CSV)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:footfall:problem:outdated-file"
        assert "Retry-After" in refused.headers
        assert api.get(CSV, headers={"If-None-Match": "*"}).status_code == 503
        assert api.get("/files/stations.geojson").status_code == 200

        dump_into(files, changed)
        assert api.get(CSV).status_code == 200


def test_pages_of_other_sites_may_read_parts(served: Api) -> None:
    """A browser asks first whether it may (CORS), and may then see what it needs to read Parquet."""
    origin = {"Origin": "https://other.example"}
    for method in ("GET", "HEAD"):
        asks = {**origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "range,if-range"}
        assert served.request("OPTIONS", PARQUET, headers=asks).status_code == 200

    answer = served.get(PARQUET, headers={**origin, "Range": "bytes=-8"})

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = {name.strip() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
    assert {"Content-Range", "Accept-Ranges", "ETag"} <= exposed


class Remote(io.RawIOBase):
    """A file elsewhere, of which only what is needed is fetched."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(timeout=60)
        self._url = url
        self._position = 0
        head = self._client.head(url)
        assert head.headers["Accept-Ranges"] == "bytes"
        self.length = int(head.headers["Content-Length"])
        self.fetched = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self.length)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if not len(buffer) or self._position >= self.length:
            return 0
        last = min(self._position + len(buffer), self.length) - 1
        answer = self._client.get(self._url, headers={"Range": f"bytes={self._position}-{last}"})
        assert answer.status_code == 206
        buffer[: len(answer.content)] = answer.content
        self._position += len(answer.content)
        self.fetched += len(answer.content)
        return len(answer.content)

    def close(self) -> None:
        self._client.close()
        super().close()


def test_readers_fetch_over_the_network(city: City, database: str, tmp_path: Path) -> None:
    """From a real server: pyarrow reads two columns of Parquet in parts; DuckDB what was downloaded."""
    now = datetime.now(UTC)
    begin = (now - timedelta(days=400)).replace(minute=0, second=0, microsecond=0)
    city.minutes(city.counter("markt"), begin, 3000, {0: 1})
    folder = tmp_path / "files"
    config = tmp_path / "api.toml"
    config.write_text(f'[http]\nport = 0\n[database]\ndsn = "{database}"\n[files]\nfolder = "{folder}"\n')
    dump_into(folder, ApiSettings.load(config), now)
    year = f"{begin.year}"

    with ApiProcess(config) as process:
        package = httpx.get(f"{process.url}/files/", follow_redirects=True, timeout=60).json()
        assert f"counts-15min-{year}-parquet" in {resource["name"] for resource in package["resources"]}
        with Remote(f"{process.url}/files/counts/15min/{year}.parquet") as remote:
            table = pq.read_table(pa.PythonFile(remote, mode="r"), columns=["direction", "count"])
            assert remote.fetched < remote.length
        assert (
            sum(table.column("count").drop_null().to_pylist())
            == sum(row["count"] or 0 for row in parquet_rows(folder / f"counts/15min/{year}.parquet"))
            > 0
        )
        with httpx.stream("GET", f"{process.url}/files/counts/1h/{year}.csv.gz", timeout=60) as answer:
            (tmp_path / "got.csv.gz").write_bytes(b"".join(answer.iter_raw()))
        head = httpx.head(f"{process.url}/files/counts/1h/{year}.csv.gz", timeout=60)
        assert int(head.headers["Content-Length"]) == (tmp_path / "got.csv.gz").stat().st_size
        assert head.headers["ETag"] == f'"{sha256((tmp_path / "got.csv.gz").read_bytes()).hexdigest()}"'
    (total,) = duckdb.sql(f"SELECT sum(count) FROM '{tmp_path / 'got.csv.gz'}'").fetchall()
    assert total[0] == sum(row["count"] or 0 for row in parquet_rows(folder / f"counts/1h/{year}.parquet"))
