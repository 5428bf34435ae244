"""docs/api.md: its commands run, and its names are those of the code."""

import json
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from footfall_api.answers import Reason, State
from footfall_api.counts import CLASS_WORDS
from footfall_api.intervals import Resolution
from footfall_api.ngsi_ld.entity import CONTEXT, attributes_of
from footfall_api.question import Dimension, Format, RemarksIn
from footfall_api.routes_places import REMARK_FIELDS
from footfall_api.writing import AREA_HEADER, HEADER, REMARKS_HEADER
from footfall_testing.city import Api, City
from footfall_testing.processes import ApiProcess
from footfall_testing.waiting import wait_until

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
TEXT = DOCUMENT.read_text("utf-8")
DEMO = "http://127.0.0.1:8000"


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does."""
    return subprocess.run(command, shell=True, capture_output=True, text=True, cwd=folder, timeout=60, check=False)


def test_the_commands_in_the_document_run(city: City, database: str, tmp_path: Path) -> None:
    """Each curl line that asks the demo is answered without an error."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    city.minutes(city.counter("markt"), now - timedelta(minutes=30), 30, {0: 1})
    city.area("zentrum", "markt")
    city.remark(now - timedelta(days=400), None, "Gerüst", station="markt")
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if DEMO in line]
    config = tmp_path / "api.toml"
    config.write_text(f'[http]\nport = 0\n[database]\ndsn = "{database}"\n')

    assert len(lines) >= 10
    with ApiProcess(config) as process:
        for line in lines:
            command = line.replace(DEMO, process.url).replace("curl ", "curl --fail --silent --show-error ", 1)
            if "/live" in line:  # it hangs up after some seconds, whatever has come by then
                wait_until(lambda asked=command: "event: board" in run(asked, tmp_path).stdout, what=line)  # type: ignore[misc]
                continue
            done = run(command, tmp_path)
            assert done.returncode == 0, (line, done.stderr)
            assert done.stdout or "-OJ" in shlex.split(line), line
    assert sorted(path.name for path in tmp_path.glob("footfall_*")) == [
        "footfall_markt_1d_2026-03-01_2026-03-31.excel-de.csv",
        "footfall_markt_1h_2026-01-01_2026-02-28.parquet",
    ]


@pytest.mark.parametrize(
    "word",
    [
        *State,
        *Reason,
        *Resolution,
        *Dimension,
        *Format,
        *RemarksIn,
        *CLASS_WORDS.values(),
        "in",
        "out",
        "undirected",
        "all",
    ],
)
def test_every_word_is_explained(word: str) -> None:
    """What can stand in an answer or a question is in the document."""
    assert f"`{word}`" in TEXT


def test_every_column_is_explained() -> None:
    """The headers of CSV are in the tables of fields."""
    for column in (*HEADER, *AREA_HEADER, REMARKS_HEADER, *REMARK_FIELDS):
        assert f"`{column}`" in TEXT or column == "station"


def test_every_attribute_of_an_entity_is_explained() -> None:
    """What an NGSI-LD entity can have, as the vectors show, is in the document."""
    vectors = (Path(__file__).parent / "vectors" / "ngsi-ld").glob("*.json")
    attributes = {name for path in vectors for name in attributes_of(json.loads(path.read_text("utf-8"))["normalized"])}

    assert attributes > CONTEXT.keys()
    assert [name for name in attributes if f"`{name}`" not in TEXT] == []


def test_every_metric_is_explained(api: Api) -> None:
    """What /metrics answers is in the table of metrics."""
    table = TEXT.split("| metric | meaning |")[1]
    names = re.findall(r"^# TYPE (\S+)(?<!_created) ", api.figures(), re.MULTILINE)

    assert len(names) > 5
    for name in names:
        assert name in table or name.replace("footfall_database", "…") in table, name


def test_every_problem_is_explained() -> None:
    """The types of problems in the code are in the document."""
    source = "".join(path.read_text("utf-8") for path in (DOCUMENT.parents[1] / "api" / "footfall_api").glob("*.py"))
    kinds = set(re.findall(r'kind="([a-z-]+)"', source))

    assert len(kinds) >= 7
    assert [kind for kind in kinds if f":{kind}`" not in TEXT] == []
