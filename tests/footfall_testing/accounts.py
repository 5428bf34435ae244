"""`deploy/database/accounts.sh` run on a server of the tests."""

import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from footfall_demo.postgres import _wheel

SCRIPT: Final = Path(__file__).parents[2] / "deploy" / "database" / "accounts.sh"

ACCOUNTS: Final = (
    "footfall_owner",
    "footfall_ingest_login",
    "footfall_api_login",
    "footfall_backup_login",
    "footfall_grafana",
)
"""All that log in."""


@dataclass(frozen=True)
class Accounts:
    """Accounts on the server of the superuser's DSN `maintenance`, whose passwords are files in `folder`."""

    maintenance: str
    folder: Path
    database: str = "footfall"

    def make_passwords(self) -> None:
        """A new password for each account."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ACCOUNTS:
            (self.folder / name).write_text(secrets.token_hex(24))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the script, which logs in as the superuser, with more words for psql."""
        parts = urlsplit(self.maintenance)
        server = ["--host", str(parts.hostname), "--port", str(parts.port), "--username", str(parts.username)]
        return subprocess.run(
            [str(SCRIPT), str(self.folder), *server, "--set", f"database={self.database}", *words],
            env=self._variables({"PGPASSWORD": parts.password or ""}),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def dsn(self, account: str, database: str | None = None) -> str:
        """How `account` logs in, with the password that its file has now."""
        parts = urlsplit(self.maintenance)
        password = (self.folder / account).read_text()
        place = f"{account}:{password}@{parts.hostname}:{parts.port}"
        return urlunsplit(parts._replace(netloc=place, path=f"/{database or self.database}"))

    def _variables(self, more: Mapping[str, str]) -> dict[str, str]:
        # psql of the wheel comes first: the system's, where there is one, may be older than the server.
        return {**os.environ, "PATH": f"{_wheel() / 'pginstall' / 'bin'}{os.pathsep}{os.environ['PATH']}", **more}
