"""A report to print: a month, a quarter or a year, a first page with all stations, then a page for each."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.responses import Response

from footfall_api.pages.frame import Here, Page
from footfall_api.pages.report_view import (
    Answers,
    Period,
    StationReport,
    default_period,
    finding,
    offered,
    period_of,
    shares,
    station_report,
)

AT_ONCE: Final = 3
"""So many stations are asked about at the same time: the database's other connections are for everybody else."""


async def answer(here: Here) -> Response:
    """The page; ``period`` is as in ``2026-10``, ``2026-Q3``, ``2026``, ``station`` may be given several times."""
    features = sorted((await here.ask("stations"))["features"], key=lambda found: found["properties"]["name"])
    if not features:
        return here.page_of("empty.html")
    now: datetime = here.request.app.state.clock()
    local = now.astimezone(ZoneInfo(features[0]["properties"]["timezone"]))
    faults: dict[str, str] = {}
    period = _period(here, local, faults)
    wanted = here.queries("station")
    unknown = [name for name in wanted if name not in {feature["id"] for feature in features}]
    if unknown:
        faults["station"] = here.t("report.fault_station", name=unknown[0])
    chosen = [feature for feature in features if feature["id"] in wanted] or features
    names = {feature["id"]: feature["properties"]["name"] for feature in features}
    areas = (await here.ask("areas"))["features"]
    names |= {f"area:{area['id']}": area["properties"]["name"] for area in areas}
    few = asyncio.Semaphore(AT_ONCE)

    async def of(feature: Mapping[str, Any]) -> StationReport:
        async with few:
            return await _report(here, feature, period, now, names)

    reports = await asyncio.gather(*map(of, chosen))
    return here.page_of(
        "report.html",
        period=period,
        period_name=period.name(here.t),
        running=period.end > local.date(),
        typed=here.query("period") or "",
        choices=_choices(period, local),
        features=features,
        chosen={feature["id"] for feature in chosen},
        reports=reports,
        shares=shares(reports),
        finding=finding(reports, period, here.t),
        made=here.t.moment(local),
        zone=here.t.zone(local),
        faults=faults,
        downloads={feature["id"]: _downloads(here, feature["id"], period) for feature in chosen},
        status=422 if faults else 200,
    )


def _period(here: Here, local: datetime, faults: dict[str, str]) -> Period:
    text = here.query("period")
    found = period_of(text) if text else None
    if text and found is None:
        faults["period"] = here.t("report.fault_period")
    elif found and found.first > local.date():
        faults["period"] = here.t("report.fault_future")
        found = None
    return found or default_period(local.date())


def _choices(period: Period, local: datetime) -> Mapping[str, list[Period]]:
    """The periods to choose from, with the one that is shown."""
    found = {str(length): periods for length, periods in offered(local.date()).items()}
    if period not in found[period.length]:
        found[period.length].append(period)
    return found


async def _report(
    here: Here, feature: Mapping[str, Any], period: Period, now: datetime, names: Mapping[str, str]
) -> StationReport:
    station = f"stations/{feature['id']}"
    time: dict[str, Any] = {"from_": period.first.isoformat(), "to": period.end.isoformat()}
    answers = Answers(
        feature,
        await here.ask(f"{station}/totals", **time, resolution="all", lang="de" if here.language == "de" else "en"),
        await here.ask(f"{station}/compare", **time, resolution="1d"),
        await here.ask(f"{station}/counts", **time, resolution="1d"),
        await here.ask(f"{station}/counts", **time, resolution="1mo", split="direction"),
    )
    return station_report(answers, period, now, here.t, names)


def _downloads(here: Here, station: str, period: Period) -> list[tuple[str, str]]:
    path = f"stations/{station}/counts"
    time: dict[str, Any] = {"from_": period.first, "to": period.end, "resolution": "1d", "split": "direction"}
    return [
        (here.t("report.csv"), here.data_url(path, **time, format="csv")),
        (here.t("report.excel"), here.data_url(path, **time, format="csv-de", remarks="column")),
    ]


PAGE: Final = Page("report", answer)
