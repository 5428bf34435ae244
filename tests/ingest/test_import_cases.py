"""Files as they are, and what an import makes of them: each folder in ``import_cases`` is one.

A folder has one or more CSV files, a mapping or the name of a ready one (and options), and ``expected.txt``: what the
import says, and then what is stored.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from footfall_ingest.commands import Connection
from footfall_ingest.history import importing, mapping
from footfall_ingest.judge import Rules
from footfall_ingest.stations import apply_stations
from footfall_testing.history import NOW, STATIONS, stored

CASES = Path(__file__).parent / "import_cases"


@pytest.fixture(scope="module")
def shared(postgres_server: Any, postgres_template: str) -> Iterator[Connection]:
    """A connection to one database with two stations for all cases, each of which takes back what it did."""
    name = "footfall_import_cases"
    with psycopg.connect(postgres_server.create(name, postgres_template), autocommit=True) as connection:
        apply_stations(connection, STATIONS)
        yield connection
    postgres_server.drop(name)


def outcome(connection: Connection, folder: Path) -> str:
    """What importing the files of a case says and stores."""
    given = folder / "mapping.txt"
    name, *options = given.read_text().split() if given.exists() else [str(folder / "mapping.toml")]
    _, found = mapping.load(name)
    paths = sorted(folder.glob("*.csv"))
    wanted = importing.Wanted(paths, "case", found, skip_faulty="--skip-faulty" in options)
    with connection.transaction(force_rollback=True):
        said = importing.run(connection, wanted, Rules(), now=NOW).lines()
        return "\n".join([*said, "--", *stored(connection)]).replace(f"{folder}/", "") + "\n"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_case(shared: Connection, case: str) -> None:
    """The files of the case give what stands in its expected.txt."""
    expected = (CASES / case / "expected.txt").read_text("utf-8")

    assert outcome(shared, CASES / case) == expected


def test_every_ready_mapping_has_a_case() -> None:
    """No mapping is shipped that no file was ever read with."""
    with_case = {path.read_text().split()[0] for path in CASES.glob("*/mapping.txt")}

    assert with_case == set(mapping.names())
