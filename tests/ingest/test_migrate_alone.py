"""Migrating depends on nothing around it and disturbs nothing; receiving does not load what migrates."""

import subprocess
import sys
from pathlib import Path

import psycopg

from footfall_ingest import schema
from footfall_ingest.migrate import migrate


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in `folder`."""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_it_reads_no_file_of_the_folder_and_is_quiet(blank_database: str, tmp_path: Path) -> None:
    """A stray alembic.ini is not read, nothing is left behind, and at level INFO no line is about the tool itself."""
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = /nowhere\n")

    done = python(
        "import logging; logging.basicConfig(level=logging.INFO)\n"
        f"from footfall_ingest.migrate import migrate; migrate({blank_database!r})",
        tmp_path,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["alembic.ini"]


def test_the_last_step_is_the_one_that_is_asked_for(blank_database: str) -> None:
    """What a migrated database is at is what the receiving process was written for."""
    migrate(blank_database)

    with psycopg.connect(blank_database) as connection:
        schema.check(connection)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.NEWEST,)]


def test_receiving_does_not_load_what_migrates(tmp_path: Path) -> None:
    """Alembic and SQLAlchemy would double the time to start and stay in memory for nothing."""
    done = python("import sys, footfall_ingest.cli; print({'alembic', 'sqlalchemy'} & set(sys.modules))", tmp_path)

    assert done.stdout == "set()\n"
