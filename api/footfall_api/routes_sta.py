"""The OGC SensorThings API 1.1 at ``/sta/v1.1``. What answers is imported when it is first asked: it takes memory."""

import asyncio
from importlib import import_module

from fastapi import APIRouter, Request
from starlette.responses import Response

router = APIRouter(include_in_schema=False)


@router.get("/sta/v1.1")
@router.get("/sta/v1.1/{path:path}")
async def sensor_things(request: Request, path: str = "") -> Response:
    """What a path names, as the options want it (`footfall_api.sta.http`)."""
    http = await asyncio.to_thread(import_module, "footfall_api.sta.http")
    answer: Response = await http.respond(request, path)
    return answer
