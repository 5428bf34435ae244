"""Spare clients what they do not need: entity tags, 304 for those who have the current answer, headers without it.

Tags are weak, because an answer is the same whether it was compressed or not.
"""

import hashlib
import json
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from footfall_api.database import Connection
from footfall_api.stations import Station

HEAD_KEY: Final = "footfall.head"
"""In the scope of a request that wants the headers only."""


def is_head(request: Request) -> bool:
    """Whether the client wants the headers only."""
    return HEAD_KEY in request.scope


def tag(*parts: object) -> str:
    """An entity tag for whatever `parts` describe."""
    return f'W/"{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"'


def not_modified(request: Request, etag: str) -> bool:
    """Whether the client has what `etag` stands for."""
    known = request.headers.get("If-None-Match", "")
    return known.strip() == "*" or etag in {part.strip() for part in known.split(",")}


def small_json(request: Request, content: Any, media_type: str, max_age_s: int) -> Response:
    """A short answer with a tag made from its content."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    etag = tag(body)
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={max_age_s}"}
    if not_modified(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


async def data_version(connection: Connection, station: Station) -> str:
    """Changes with every report that is stored for a sensor of the station, however late.

    What a stream has received says it exactly; a number that quarantine gives free later touches the stream.
    """
    cursor = await connection.execute(
        """
        SELECT coalesce(md5(string_agg(seen, ',')), '') FROM (
            SELECT concat_ws('/', sensor, stream, received, touched) AS seen
            FROM stream WHERE sensor = ANY(%s) ORDER BY sensor, stream
        ) streams
        """,
        [sorted({installation.sensor_key for installation in station.installations})],
    )
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])
