"""The benchmarks run, say what they measured, and the page shows it. What they measure here says nothing."""

import json
import math
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from bench.browser import find_chromium

from conftest import TIMESCALE, DatabaseServer
from footfall_demo.broker import find_mosquitto

ROOT = Path(__file__).parents[1]
NEED_MOSQUITTO = {"ingest", "city", "workers", "memory"}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """``bench`` is a package of the checkout, which is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))


def _bench(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_BENCH_")}
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT / "tests"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _tiny(name: str, folder: Path, server: DatabaseServer) -> dict[str, Any]:
    environment = {"FOOTFALL_BENCH_POSTGRES_DSN": server.maintenance}
    if dsn := os.environ.get(TIMESCALE):
        environment["FOOTFALL_BENCH_TIMESCALE_DSN"] = dsn
    done = _bench(name, "--tiny", "--json", str(folder), **environment)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text("utf-8"))
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [
        "aggregate",
        "decoding",
        "sensors",
        "accuracy",
        "ingest",
        "memory",
        "writing",
        "disk",
        "pages",
        pytest.param("api", marks=pytest.mark.full),
        pytest.param("things", marks=pytest.mark.full),
        pytest.param("questions", marks=pytest.mark.full),
        pytest.param("city", marks=pytest.mark.full),
        pytest.param("workers", marks=pytest.mark.full),
    ],
)
def test_a_benchmark_runs(name: str, tmp_path: Path, postgres_server: DatabaseServer) -> None:
    """Each benchmark runs to its end and writes figures with their spread, its targets, the machine, its command."""
    if name in NEED_MOSQUITTO and not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    if name == "pages" and not find_chromium():
        pytest.skip("Chromium is not installed")
    found = _tiny(name, tmp_path, postgres_server)
    assert found["skipped"] is None
    assert found["tiny"] is True
    assert found["command"] == f'make bench ARGS="{name} --tiny"'
    assert {"cpu", "cores", "memory_gb", "python", "numpy"} <= found["machine"].keys()
    assert found["figures"]
    for measured in (*found["figures"], *found["targets"]):
        spread = measured["spread"]
        assert math.isfinite(spread["median"]), measured
        assert spread["low"] <= spread["median"] <= spread["high"], measured
    for target in found["targets"]:
        assert target["reached"] == (target["verdict"] != "NOT REACHED")
    for what, which in found["servers"].items():
        assert what in {"broker", "browser"} or "fsync" in which


def test_every_benchmark_is_known_and_tried_here() -> None:
    """A module that measures something is run by `make bench`, shown on the page, and tried by these tests."""
    modules = {path.stem for path in (ROOT / "bench").glob("*.py") if "\nTITLE = " in path.read_text("utf-8")}
    pages = ("performance.md", "sensors/accuracy.md")
    page = "".join((ROOT / "docs" / name).read_text("utf-8") for name in pages)
    tried = {
        value if isinstance(value, str) else value.values[0]
        for mark in test_a_benchmark_runs.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
        for value in mark.args[1]
    }
    assert modules == set(import_module("bench.__main__").NAMES) == tried
    for name in modules:
        assert f"<!-- bench:{name} -->" in page


def test_the_page_is_what_the_results_give() -> None:
    """The tables of docs/performance.md are those of the files in bench/results."""
    assert import_module("bench.__main__").main(["report", "--check"]) == 0


def test_what_is_not_reached_is_named_as_such(tmp_path: Path) -> None:
    """The page says of each target whether it was reached, names first what was not, and what was not measured."""
    result, report = import_module("bench.result"), import_module("bench.report")
    measured = result.Result("aggregate", "sums", {"cells": 10}, command="make bench ARGS=aggregate")
    measured.machine = {"when": "today", "cpu": "x", "cores": 2, "memory_gb": 1, "load": 0, "system": "Linux"}
    measured.at_least("against one", [0.5, 1.4, 3], 1.5, aim=2)
    measured.at_least("against two", [3, 2.5, 2], 1.5, aim=2)
    measured.at_most("milliseconds", 30, 30, unit="ms")
    measured.write(tmp_path / "aggregate.json")
    result.Result("disk", "bytes", {}, skipped="no disk").write(tmp_path / "disk.json")
    marked = "<!-- bench:{0} -->\nold\n<!-- /bench:{0} -->\n"
    page = report.made("".join(["by hand\n", *(marked.format(name) for name in ("summary", "aggregate", "disk", "api"))]), tmp_path)  # fmt: skip  # noqa: E501
    assert page.startswith("by hand\n")
    assert "old" not in page
    missed = page[page.index("**Not reached:**") : page.index("| benchmark |")]
    assert "- aggregate: against one (1.4 ×, at least 1.5 (aim 2))" in missed
    assert "against two" not in missed
    assert "- disk: not measured, no disk" in missed
    assert "| against one | at least 1.5 (aim 2) × | 1.4 | 0.5 … 3 | **NOT REACHED** |" in page
    assert "| against two | at least 1.5 (aim 2) × | 2.5 | 2 … 3 | aim reached |" in page
    assert "| milliseconds | at most 30 ms | 30 |  | reached |" in page
    assert "`make bench ARGS=aggregate`" in page
    assert "There is no result: `make bench ARGS=api` makes one." in page
    assert report.made(page, tmp_path) == page


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["decodin"], "there is no benchmark 'decodin'; there are: aggregate, decoding"),
        (["decoding", "--size", "report=10"], "--size report=10: there is no such size; there are: reports, rounds"),
        (["decoding", "--size", "reports=many"], "--size reports=many: must be like reports=1000"),
    ],
)
def test_what_there_is_not_is_refused(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown benchmark or size is refused, with those that there are."""
    with pytest.raises(SystemExit):
        import_module("bench.__main__").main(words)
    assert sentence in capsys.readouterr().err


def test_history_is_the_same_each_time_and_has_nights() -> None:
    """The made-up history has no zeros, is ascending, repeats exactly, and is quiet at night."""
    history = import_module("bench.history")
    day = 1_764_547_200  # 2025-12-01, a Monday
    one, again = history.minutes(0, day, day + 86_400), history.minutes(0, day, day + 86_400)
    counts, coverage = one.count_minute, one.coverage_minute
    assert (counts == again.count_minute).all()
    assert (counts["count"] > 0).all()
    places = list(zip(counts["bucket"].tolist(), counts["direction"].tolist(), strict=True))
    assert places == sorted(set(places))
    assert len(coverage) == 1440
    unmeasured = set(coverage["bucket"][coverage["observed_s"] == 0].tolist())
    assert not unmeasured & set(counts["bucket"].tolist())
    hours = counts["bucket"] // 3600 % 24
    assert counts["count"][hours == 16].sum() > 20 * counts["count"][hours == 3].sum()
