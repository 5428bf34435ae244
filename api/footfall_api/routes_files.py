"""The files that ``footfall-api dump`` writes, under ``/files/``: those that ``SHA256SUMS`` names, and no others.

Whoever reads Parquet over HTTP asks for the end of a file first and then for parts of it. So parts are answered, and
the tag of a file is its SHA-256: it stays as long as the bytes do. A file that is replaced while somebody reads it is
read to its end as it was.

Files that were made under other rules of publication than those in force are not handed out: what is held back now is
in them.
"""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from footfall_api.accept import preferred
from footfall_api.caching import is_head, not_modified
from footfall_api.dump.package import PACKAGE, SUMS, parse_sums
from footfall_api.dump.plan import rules_digest, table_of
from footfall_api.problems import Problem
from footfall_api.publication import Publication
from footfall_api.question import Format, nearest
from footfall_api.routes import MEDIA_TYPES

PREFIX: Final = "/files/"

_PIECE: Final = 256 * 1024
"""Bytes read and sent at a time."""

_MEDIA_TYPES: Final = {
    ".gz": "application/gzip",  # a file of its own, not an encoding: the bytes are those of the checksum
    ".parquet": MEDIA_TYPES[Format.PARQUET],
    ".geojson": MEDIA_TYPES[Format.GEOJSON],
    ".json": MEDIA_TYPES[Format.JSON],
    ".csv": MEDIA_TYPES[Format.CSV],
}

_LONGEST_PATH: Final = 100
"""No path of ours is so long; to compare one with all others would take its time."""

_RANGE: Final = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)

LISTED: Final = "/daten#files"
"""Where people find the list of all files."""

router = APIRouter()


class RangeRefusedError(ValueError):
    """A part that begins after the end of the file."""


def part_of(header: str | None, size: int) -> tuple[int, int] | None:
    """The part [start, end) of a file of `size` bytes that the header Range asks for; None: all of it.

    Several parts at once are not offered: the answer is all of the file then, as to what cannot be read.

    Raises:
        RangeRefusedError: there is no such part.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        length = int(found[2])
        if not length or not size:
            raise RangeRefusedError
        return max(0, size - length), size
    start, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < start:
        return None
    if start >= size:
        raise RangeRefusedError
    return start, min(last + 1, size)


@dataclass(frozen=True, slots=True)
class _List:
    """What the files say of themselves."""

    sums: dict[str, str]
    rules: str
    mtime_ns: int
    """Of ``SHA256SUMS``, which is written last."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file, and what is said of it."""

    file: BufferedReader
    size: int
    sha256: str
    modified: datetime


class PublishedFiles:
    """The folder of the files. It keeps in mind what it has read of it as long as that is unchanged."""

    def __init__(self, folder: Path | None, rules: Publication) -> None:
        self._folder = folder
        self._rules = rules_digest(rules)
        self._known: tuple[object, _List] | None = None
        self._hashes: dict[str, tuple[object, str]] = {}

    def open(self, path: str) -> _Opened:
        """One of the files.

        Raises:
            Problem: it is not there, or may not be handed out.
        """
        found = self._list()
        if self._folder is None or (path not in found.sums and path != SUMS):
            likely = nearest(path, found.sums) if len(path) < _LONGEST_PATH else ""
            raise _missing(f"there is no file of that name{likely}; {PREFIX}{PACKAGE} lists those there are")
        if table_of(path) is not None and found.rules != self._rules:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "this file was made under other rules of publication than those in force; it is there again once "
                "footfall-api dump has run with these, and footfall-api as well",
                kind="outdated-file",
                title="Made under other rules of publication",
                headers={"Retry-After": "3600"},
            )
        try:
            file = (self._folder / path).open("rb")
        except OSError as error:
            raise _missing(f"there is no file '{path}' at the moment; it is being made anew") from error
        try:
            status = os.fstat(file.fileno())
            known = found.sums.get(path) if status.st_mtime_ns <= found.mtime_ns else None
            sha256 = known or self._hash(path, file, status)
            modified = datetime.fromtimestamp(status.st_mtime_ns // 10**9, UTC)
            return _Opened(file, status.st_size, sha256, modified)
        except BaseException:
            file.close()
            raise

    def names(self) -> tuple[str, ...]:
        """The paths of all files that are handed out now, in order; none where no files are published."""
        try:
            found = self._list()
        except Problem:
            return ()
        return tuple(path for path in found.sums if found.rules == self._rules or table_of(path) is None)

    def _list(self) -> _List:
        """What there is.

        Raises:
            Problem: nothing is.
        """
        if self._folder is None:
            raise _missing("no files are published here")
        try:
            status = (self._folder / SUMS).stat()
            version = _version(status)
            if self._known is None or self._known[0] != version:
                sums = parse_sums((self._folder / SUMS).read_text("utf-8"))
                self._known = version, _List(sums, self._rules_of_package(), status.st_mtime_ns)
        except (OSError, ValueError) as error:
            raise _missing("no files have been published yet") from error
        return self._known[1]

    def _rules_of_package(self) -> str:
        assert self._folder is not None
        return str(json.loads((self._folder / PACKAGE).read_text("utf-8")).get("rules"))

    def _hash(self, path: str, file: BufferedReader, status: os.stat_result) -> str:
        """The SHA-256 of a file that ``SHA256SUMS`` says nothing of, or not yet."""
        version = _version(status)
        known = self._hashes.get(path)
        if known is None or known[0] != version:
            known = self._hashes[path] = version, hashlib.file_digest(file, "sha256").hexdigest()
        return known[1]


def _version(status: os.stat_result) -> object:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _missing(detail: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, detail, kind="no-such-file", title="No such file")


@router.get("/files/", include_in_schema=False)
async def all_files(request: Request) -> Response:
    """What there is says the package, if there is anything; to people the page with the data."""
    files: PublishedFiles = request.app.state.files
    (await asyncio.to_thread(files.open, PACKAGE)).file.close()
    where = preferred(request, (PREFIX + PACKAGE, LISTED), {PREFIX + PACKAGE: "application/json", LISTED: "text/html"})
    return RedirectResponse(where, headers={"Vary": "Accept"})


@router.get("/files/{path:path}", include_in_schema=False)
async def one_file(request: Request, path: str) -> Response:
    """A file, or a part of it."""
    files: PublishedFiles = request.app.state.files
    opened = await asyncio.to_thread(files.open, path)
    etag = f'"{opened.sha256}"'
    headers = {
        "ETag": etag,
        "Last-Modified": format_datetime(opened.modified, usegmt=True),
        "Cache-Control": "public, no-cache",
        "Accept-Ranges": "bytes",
    }
    with ExitStack() as unsent:
        unsent.callback(opened.file.close)
        if not_modified(request, etag, opened.modified):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        table = table_of(path)
        if table is not None:
            name = f"footfall_{table.resolution}_{path.rpartition('/')[2]}"
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        media_type = _MEDIA_TYPES.get(Path(path).suffix, "text/plain; charset=utf-8")
        if is_head(request):
            return Response(headers={**headers, "Content-Length": str(opened.size)}, media_type=media_type)
        part = _part(request, headers, opened.size)
        unsent.pop_all()
    start, end = part or (0, opened.size)
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{opened.size}"
    status = HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT
    return _Sending(opened.file, start, end, status_code=status, headers=headers, media_type=media_type)


def _part(request: Request, headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """The part that is asked for, if the client has the rest from the file that there is now; None: all of it.

    Raises:
        Problem: there is no such part.
    """
    condition = request.headers.get("If-Range")
    if condition is not None and condition.strip() not in {headers["ETag"], headers["Last-Modified"]}:
        return None
    try:
        return part_of(request.headers.get("Range"), size)
    except RangeRefusedError as error:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the file has {size} bytes; there is nothing at {request.headers['Range']!r}",
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        ) from error


class _Sending(StreamingResponse):
    """Sends [start, end) of an open file, and closes it however that ends."""

    def __init__(self, file: BufferedReader, start: int, end: int, **words: Any) -> None:
        super().__init__(_pieces(file, start, end), **words)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._file:
            await super().__call__(scope, receive, send)


async def _pieces(file: BufferedReader, start: int, end: int) -> AsyncIterator[bytes]:
    file.seek(start)
    while start < end:
        piece = await asyncio.to_thread(file.read, min(_PIECE, end - start))
        if not piece:
            raise OSError("a file became shorter while it was read")
        start += len(piece)
        yield piece
