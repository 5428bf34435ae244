"""Comparisons: stations and areas against each other in a period, or one of them before and after a day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from starlette.responses import Response

from footfall_api.pages.compare_view import (
    DEFAULT_WEEKS,
    MAX_WEEKS,
    STEP_KEYS,
    YEAR_BACK,
    About,
    Asked,
    Place,
    asked,
    change_view,
    fitting_step,
    names_of,
    places_of,
    places_view,
)
from footfall_api.pages.frame import Here, Page
from footfall_api.pages.measured import RemarkView, remark_views

MAX_REMARKS: Final = 8
"""So many remarks are offered as dates, the newest."""


async def answer(here: Here) -> Response:
    """The page: the form, and what its address asks for."""
    places = places_of(await here.ask("stations"), await here.ask("areas"))
    if not places:
        return here.page_of("empty.html")
    now: datetime = here.request.app.state.clock()
    words = {name: here.queries(name) for name in here.request.query_params}
    form = asked(words, places, now.astimezone(ZoneInfo(places[0].zone)).date(), here.t)
    shown = await (_change(here, form, places) if form.way == "change" else _places(here, form, places, now))
    values = {
        "places": None,
        "change": None,
        "coarser": None,
        "downloads": (),
        "offers": (),
        "beside": (),
        "year_before": None,
        "share": None,
        "zone": "",
        "boot": here.boot(),
    }
    return here.page_of(
        "compare.html",
        form=form,
        every=places,
        steps=STEP_KEYS,
        max_weeks=MAX_WEEKS,
        default_weeks=DEFAULT_WEEKS,
        status=422 if form.faults else 200,
        **(values | shown),
    )


async def _places(here: Here, form: Asked, places: Sequence[Place], now: datetime) -> dict[str, Any]:
    by = fitting_step(form.by, form.first, form.last)
    zone = form.places[0].zone
    question: dict[str, Any] = {
        "station": [place.id for place in form.places if not place.area],
        "area": [place.id for place in form.places if place.area],
        "from_": form.first.isoformat(),
        "to": (form.last + timedelta(days=1)).isoformat(),
        "tz": zone if len({place.zone for place in places}) > 1 else None,
    }
    days = await _counts(here, **question, resolution="1d")
    shown = days if by == "1d" else await _counts(here, **question, resolution=by)
    view = places_view(replace(form, by=by), days, shown, here.t, _about(here, days, places))
    data = {**question, "resolution": by}
    return {
        "places": view,
        "coarser": here.t(STEP_KEYS[by]) if by != form.by else None,
        "downloads": (
            (here.t("compare.csv"), here.data_url("counts", **data, format="csv")),
            (here.t("compare.excel"), here.data_url("counts", **data, format="csv-de", remarks="column")),
            (here.t("compare.parquet"), here.data_url("counts", **data, format="parquet")),
            (here.t("compare.json"), here.data_url("counts", **data)),
        ),
        "share": here.url(
            "compare",
            station=question["station"],
            area=question["area"],
            from_=form.first,
            to=form.last,
            by=by,
            show="index" if form.index else None,
        ),
        "zone": here.t.zone(now.astimezone(ZoneInfo(zone))),
    }


async def _counts(here: Here, **question: object) -> dict[str, Any]:
    """All pages of an answer as one."""
    found: dict[str, Any] = await here.ask("counts", **question)
    further = found["next"]
    while further:
        address = urlsplit(further)
        page = await here.ask(address.path.rpartition("/api/v1/")[2], **parse_qs(address.query))
        found["values"] += page["values"]
        further = page["next"]
    return found


async def _change(here: Here, form: Asked, places: Sequence[Place]) -> dict[str, Any]:
    place = form.at
    assert place is not None, "there is a place"
    known = names_of(places)
    asked_of = {"area" if place.area else "station": place.id}
    remarks = remark_views((await here.ask("remarks", **asked_of))["remarks"], here.t, known)
    found: dict[str, Any] = {"offers": _offers(here, form, place, remarks)}
    if form.before is None:
        return found
    change: dict[str, Any] = {"before": form.before, "after": form.after, "weeks": form.weeks}
    answer = await here.ask(f"{place.path}/before-after", **change, lang=_language(here))
    view = change_view(place, answer, here.t, _about(here, answer, places))
    path = f"{place.path}/before-after"
    back: dict[str, Any] = {
        "before": form.before - YEAR_BACK,
        "after": form.after and form.after - YEAR_BACK,
        "weeks": form.weeks,
    }
    return {
        **found,
        "change": view,
        "downloads": (
            (here.t("compare.csv"), here.data_url(path, **change, format="csv")),
            (here.t("compare.excel"), here.data_url(path, **change, format="csv-de")),
            (here.t("compare.json"), here.data_url(path, **change, lang=_language(here))),
        ),
        "year_before": here.url("compare", way="change", at=place.key, **back),
        "beside": [
            (other.name, here.url("compare", way="change", at=other.key, **change))
            for other in places
            if other != place and not other.area
        ],
        "share": here.url("compare", way="change", at=place.key, **change),
        "zone": here.t.zone(datetime.fromisoformat(answer["after"]["from"]).replace(tzinfo=ZoneInfo(place.zone))),
    }


def _language(here: Here) -> str:
    """The language of `method`; the API has German and English."""
    return "de" if here.language == "de" else "en"


def _offers(
    here: Here, form: Asked, place: Place, remarks: Sequence[RemarkView]
) -> list[tuple[RemarkView, str | None]]:
    """The newest remarks, each with the address that takes its time as the time between before and after.

    There is no address while a remark lasts: then nothing comes after it.
    """
    today = here.request.app.state.clock().astimezone(ZoneInfo(place.zone)).date()
    found: list[tuple[RemarkView, str | None]] = []
    for remark in list(reversed(remarks))[:MAX_REMARKS]:
        after = None if remark.last is None else remark.last + timedelta(days=1)
        over = after is not None and after < today
        address = here.url("compare", way="change", at=place.key, before=remark.first, after=after, weeks=form.weeks)
        found.append((remark, address if over else None))
    return found


def _about(here: Here, answer: dict[str, Any], places: Sequence[Place]) -> About:
    source = here.t("compare.source", attribution=answer["attribution"], licence=answer["licence"])
    return About(source, answer["timezone"], names_of(places), here.request.app.state.clock())


PAGE: Final = Page("compare", answer)
