"""What the figures were measured on: the machine, and the versions of all that took part."""

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
import time
from typing import Any

import psutil
import psycopg

from footfall_demo.broker import find_mosquitto

LIBRARIES = ("numpy", "psycopg", "paho-mqtt", "cbor2", "duckdb", "polars", "fastapi", "uvicorn")

_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")


def describe() -> dict[str, Any]:
    """This machine and its programs. `load` is how many processes were busy or waiting in the minute before."""
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        **{name: _version(name) for name in LIBRARIES},
    }


def _version(distribution: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(distribution)
    return "not installed"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            found = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def mosquitto() -> str:
    """Its version."""
    program = find_mosquitto()
    assert program is not None
    # Asked for its usage it says so with a status that is not zero.
    answer = subprocess.run([program, "-h"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\S+)", answer.stdout + answer.stderr)
    return found[1] if found else "of unknown version"


def database(dsn: str) -> str:
    """The server's version, the extension's in this database if there is one, and settings that matter for speed."""
    with psycopg.connect(dsn) as connection:
        version = connection.execute("SHOW server_version").fetchone()
        extension = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
        settings = connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s) ORDER BY name", [list(_SETTINGS)]
        ).fetchall()
    assert version is not None
    parts = [f"PostgreSQL {version[0].split()[0]}"]
    if extension:
        parts.append(f"TimescaleDB {extension[0]}")
    return ", ".join([*parts, *(f"{name} {value}" for name, value in settings)])
