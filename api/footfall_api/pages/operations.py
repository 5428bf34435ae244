"""Operations: how nodes, sensors, quarantine and database are doing, for who runs them; behind the operator's token."""

from typing import Final

from starlette.responses import Response

from footfall_api.access import NO_STORE, Refusal, check_operator
from footfall_api.pages.frame import Here, Page
from footfall_api.pages.operations_view import QUARANTINE_COMMANDS, STATIONS_COMMAND, operations_view
from footfall_api.problems import Problem

EVERY_S: Final = 30
"""How often the page renews itself."""

_WHY: Final = {
    Refusal.UNNAMED: "ops_locked.unnamed",
    Refusal.WRONG: "ops_locked.wrong",
    Refusal.GUESSING: "ops_locked.guessing",
    Refusal.UNSET: "ops_locked.unset",
}


async def answer(here: Here) -> Response:
    """The page, or why it is not shown."""
    try:
        check_operator(here.request)
    except Problem as problem:
        return _locked(here, problem)
    view = operations_view(await here.ask("operations"), here.t)
    return here.page_of(
        "operations.html",
        headers=NO_STORE,
        view=view,
        stations_command=STATIONS_COMMAND,
        quarantine_commands=QUARANTINE_COMMANDS,
        boot=here.boot(everyS=EVERY_S),
    )


PAGE: Final = Page("operations", answer, browser=("ops_live",), in_nav=False)


def _locked(here: Here, problem: Problem) -> Response:
    """The same refusal as the API's, in the page's dress."""
    refusal = Refusal(problem.type.rpartition(":")[2])
    return here.page_of(
        "operations/locked.html",
        status=int(problem.status),
        headers={**problem.headers, **NO_STORE},
        why=here.t(_WHY[refusal]),
        is_unset=refusal is Refusal.UNSET,
        explains=refusal is Refusal.UNNAMED,
    )
