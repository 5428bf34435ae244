"""A client that somebody generates from the OpenAPI document reads the counts, typed."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from footfall_testing.city import Api, City
from footfall_testing.processes import ApiProcess

PACKAGE = "footfall_generated_client"
START = datetime(2026, 6, 1, 8, tzinfo=UTC)


@pytest.fixture
def generated(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package as openapi-python-client makes it, on the path of imports."""
    document, config = tmp_path / "openapi.json", tmp_path / "config.yaml"
    document.write_text(json.dumps(api.get("/openapi.json").json()), "utf-8")
    config.write_text("post_hooks: []\n")  # how the code is formatted does not matter here
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--config", config,
               "--output-path", tmp_path / PACKAGE, "--meta", "none", "--fail-on-warning"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def module(name: str) -> Any:
    """A module of the generated package."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def test_a_generated_client_reads_the_counts(city: City, database: str, generated: Path, tmp_path: Path) -> None:
    """Counts, remarks, stations and areas come as objects with times, numbers and words; errors as problems."""
    city.minutes(city.counter("markt"), START, 60, {0: 2})
    city.area("zentrum", "markt")
    city.remark(START, None, "Gerüst", station="markt")
    config = tmp_path / "api.toml"
    config.write_text(f'[http]\nport = 0\n[database]\ndsn = "{database}"\n')
    models = module("models")

    with ApiProcess(config) as process, module("client").Client(base_url=process.url) as client:
        asked = {"from_": START.isoformat(), "to": (START + timedelta(hours=2)).isoformat()}
        one = module("api.counts.station_counts").sync("markt", client=client, split=["direction"], **asked)
        many = module("api.counts.counts").sync(
            client=client, station=["markt"], area=["zentrum"], resolution=models.Resolution.VALUE_4, tz="UTC", **asked
        )
        stations = module("api.stations.stations").sync(client=client)
        areas = module("api.areas.areas").sync(client=client)
        remarks = module("api.remarks.remarks").sync(client=client, station=["markt"])
        refused = module("api.counts.counts").sync(client=client, station=["mark"])

    assert isinstance(one, models.Counts)
    first = one.values[0]
    assert (first.start, first.direction, first.count, first.state) == (
        START, models.ValueDirection.IN, 120, models.State.MEASURED
    )  # fmt: skip
    assert one.values[-1].count is None
    assert one.remarks[0].text == "Gerüst"
    assert one.next_ is None
    assert [(value.station, value.carried_by) for value in many.values[:2]] == [("markt", None), ("all", ["markt"])]
    assert stations.features[0].geometry.coordinates == [11.58782, 50.92818]
    assert areas.features[0].properties.stations == ["markt"]
    assert remarks.remarks[0].from_ == START
    assert isinstance(refused, models.ProblemDetails)
    assert refused.parameter == "station"
