"""A short soak of the whole system, and that a soak notices what is wrong."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from footfall_demo.broker import find_mosquitto
from footfall_soak import ledger, report, soak
from footfall_soak.city import City
from footfall_soak.faults import ALL, Strike, by_name
from footfall_soak.layout import jena
from footfall_soak.schedule import plan
from footfall_soak.soak import Options, Result, Soak

pytestmark = [
    pytest.mark.xdist_group("soak"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(find_mosquitto() is None, reason="the soak strikes mosquitto, which is not installed"),
]

SEED = 4
SECONDS = 32.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the database's account can enter."""
    made = Path(tempfile.mkdtemp(prefix="footfall-soak-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def run(folder: Path, strikes: tuple[Strike, ...], seconds: float, settle_s: float = 120) -> tuple[Result, str]:
    """A run in `folder`, and what there is to say about it."""
    city = City(jena(), folder, SEED)
    options = Options(SEED, jena(), strikes, by_name(), seconds, settle_s)
    try:
        with city:
            result = Soak(city, options, print).run()
        return result, report.text(result, "make soak") + report.what_to_look_at(result, city.logs())
    finally:
        city.remove()


def test_a_minute_of_everything_loses_nothing_and_doubles_nothing(folder: Path) -> None:
    """Every kind of fault strikes the running city once; then each passage is stored exactly once."""
    strikes = plan(SEED, SECONDS, jena(), ALL, each=1, total=len(ALL), haste=0.5)
    result, told = run(folder, strikes, SECONDS)

    assert (result.balance.lost, result.balance.double) == (0, 0), told
    assert result.good, told
    assert result.by_kind == Counter(fault.name for fault in ALL), told
    assert result.balance.passages > 1000, told
    assert result.balance.cells > 40, told
    assert len(result.recoveries) == len(ALL), told


@pytest.mark.full
def test_a_wrong_truth_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One passage more than happened is lost, one fewer is double: a run with such a ledger fails and says where."""
    reported = ledger.Truths.reported

    def wrong(truths: ledger.Truths) -> Counter[ledger.Cell]:
        return reported(truths) + Counter({("markt-1", 0, 0): 1}) - Counter({("markt-2", 1, 0): 1})

    monkeypatch.setattr(soak.ledger.Truths, "reported", wrong)
    result, told = run(folder, (), 1, settle_s=8)

    assert not result.good
    assert (result.balance.lost, result.balance.double) == (1, 1), told
    assert "markt-1, direction 0, class 0: true" in told
    assert "NOT GOOD" in told
