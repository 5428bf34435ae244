"""The endpoint for the operator: how nodes, sensors, quarantine and database are doing. Nobody else is answered."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from footfall_api.access import NO_STORE, SECURITY, check_operator
from footfall_api.database import snapshot
from footfall_api.describe import Closed, Moment, problems_of
from footfall_api.operations import read_operations

router = APIRouter()

Share = Annotated[float, Field(ge=0, le=1)]


class NodeState(Closed):
    """What is known of an edge box."""

    node: str
    state: Literal["online", "offline"]
    version: str = Field(description="of the software on it")
    started: Moment = Field(description="when its process started")
    seen: Moment = Field(description="when it said so; of an offline one: when it went")


class SensorHealth(Closed):
    """What a node says of a sensor; counters run since the node's process started."""

    state: Literal["ok", "silent", "fault"]
    since: Moment | None = Field(description="when this state began; null: the node's clock is not set yet")
    seen: Moment = Field(description="when the node said so")
    last_frame: Moment | None = Field(description="the latest valid frame; null: none yet")
    frames: int
    bad_frames: int
    skipped_bytes: int
    restarts: int
    waiting_slots: int = Field(description="slots in the node's outbox that are not known to be stored")
    detail: str


class SensorOperation(Closed):
    """A sensor that is installed, or was heard of in the last seven days."""

    sensor: str
    node: str | None = Field(description="the node that it belongs to, else that speaks of it")
    station: str | None = Field(description="where it hangs now; null: the stations do not name it")
    role: Literal["part", "reference"] | None
    health: SensorHealth | None = Field(description="null: nobody has said anything")
    last_report: Moment | None = Field(description="when a report of it arrived last; imports are none")
    measured_until: Moment | None = Field(description="end of what it measured last, within the last 31 days")
    coverage_24h: Share | None = Field(description="measured ÷ expected time where it hangs; null: it was not there")
    coverage_7d: Share | None


class StationOperation(Closed):
    """How well a station was measured."""

    station: str
    name: str
    timezone: str
    sensors: list[str] = Field(description="those that hang there now")
    coverage_24h: Share | None = Field(description="measured ÷ expected time over its parts; null: there were none")
    coverage_7d: Share | None


class QuarantineReason(Closed):
    """Messages that could not be used, for one reason (docs/quarantine.md)."""

    reason: str
    messages: int
    times: int = Field(description="how often they came, repetitions included")
    last_seen: Moment


class WrongClock(Closed):
    """Messages of a node from the future, or from long ago."""

    node: str
    messages: int
    last_seen: Moment


class QuarantinedMessage(Closed):
    """One message that could not be used; its content is not given here."""

    id: int
    reason: str
    kind: str = Field(description="counts, health or status")
    node: str | None
    sensor: str | None
    detail: str
    first_seen: Moment
    last_seen: Moment
    times: int


class Quarantine(Closed):
    """What waits for somebody to look at it."""

    open: int = Field(description="messages")
    reasons: list[QuarantineReason]
    wrong_clocks: list[WrongClock]
    newest: list[QuarantinedMessage] = Field(description="at most 20")


class Refused(Closed):
    """Messages that were neither stored nor kept: their node had used up a budget (docs/misbehaving-node.md)."""

    node: str | None = Field(description="null: no node could be read")
    budget: Literal["sensors", "streams", "rows", "quarantine", "queue"]
    messages: int
    last: Moment


class DatabaseState(Closed):
    """How the database is doing."""

    bytes: int = Field(description="of the whole database")
    hours_to_sum_up: int = Field(description="hours of sensors, over for an hour at least, whose sums are not made yet")
    oldest_hour_to_sum_up: Moment | None


class Operations(Closed):
    """How the installation is doing."""

    at: Moment
    complete: bool = Field(description="false: there are more than 1000 nodes or sensors, the others are left out")
    nodes: list[NodeState]
    sensors: list[SensorOperation]
    stations: list[StationOperation]
    quarantine: Quarantine | None = Field(description="null: the API's account may not see it yet")
    refused: list[Refused] = Field(description="in the last seven days")
    database: DatabaseState


@router.get(
    "/api/v1/operations",
    summary="How nodes, sensors, quarantine and database are doing",
    tags=["operation"],
    response_model=Operations,
    responses=problems_of(401, 403, 422, 503),
    openapi_extra=SECURITY,
)
async def operations(request: Request) -> Response:
    """For the operator only, with the token as a bearer's or as the password of any user name."""
    check_operator(request)
    async with snapshot(request.app.state.pool) as connection:
        found = await read_operations(connection, request.app.state.clock())
    return JSONResponse(found, headers=NO_STORE)
