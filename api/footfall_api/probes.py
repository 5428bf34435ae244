"""What machines that watch over the API ask: does it live, can it answer, how is it doing."""

import asyncio
import logging
from http import HTTPStatus
from typing import Final, Literal

import psycopg
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from psycopg_pool import PoolTimeout
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from footfall_api.access import NO_STORE, SECURITY, check_here_or_operator
from footfall_api.database import missing_tables, own_snapshot
from footfall_api.describe import METRICS_RESPONSES, problems_of
from footfall_api.problems import Problem

log = logging.getLogger(__name__)

_WAIT_S: Final = 2
"""How long the database may take: monitors do not wait long."""

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Questions can be answered."""

    status: Literal["ready"]


@router.get("/healthz", summary="Is the process alive?", response_model=Health)
async def healthz() -> Response:
    """Answers as long as the process does; the database is not asked."""
    return JSONResponse({"status": "ok"}, headers=NO_STORE)


@router.get("/readyz", summary="Can questions be answered?", response_model=Readiness, responses=problems_of(503))
async def readyz(request: Request) -> Response:
    """200 if the database can be reached and has the tables that are read, else a problem that says why not."""
    reason = await _obstacle(request)
    if reason:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, kind="not-ready", title="Not ready")
    return JSONResponse({"status": "ready"}, headers=NO_STORE)


async def _obstacle(request: Request) -> str | None:
    try:
        async with request.app.state.pool.connection(timeout=_WAIT_S) as connection:
            missing = await missing_tables(connection)
    except PoolTimeout:
        return None if await _is_there(request) else "the database cannot be reached"
    except psycopg.Error as error:
        log.warning("the database is not ready: %s", error)
        return "the database cannot be asked; the log says why"
    if missing:
        return f"the database has not been set up (footfall-ingest migrate); missing: {', '.join(missing)}"
    return None


async def _is_there(request: Request) -> bool:
    """Whether the database can be reached although the pool has no connection left: one of its own shows it.

    Else whoever keeps them all busy would have the API taken for one that is out of order. One at a time: anybody asks.
    """
    state = request.app.state
    try:
        async with state.beside.held(), asyncio.timeout(_WAIT_S), own_snapshot(state.settings.database):
            return True
    except (psycopg.Error, OSError):
        return False


@router.get(
    "/metrics",
    summary="Figures about the process",
    response_class=Response,
    responses=METRICS_RESPONSES,
    openapi_extra=SECURITY,
)
async def metrics(request: Request) -> Response:
    """In the text format of Prometheus, for the machine itself and the operator; a port of their own has no lock."""
    check_here_or_operator(request)
    return Response(
        generate_latest(request.app.state.telemetry.registry), media_type=CONTENT_TYPE_LATEST, headers=NO_STORE
    )
