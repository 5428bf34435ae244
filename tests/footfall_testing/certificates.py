"""Certificates that OpenSSL makes, and what it says of them."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def made(folder: Path, name: str, days: int, *more: str) -> Path:
    """A certificate of OpenSSL's that ends after so many days."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed: apt-get install openssl")
    path = folder / f"{name}.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *more,
         "-keyout", str(folder / f"{name}.key"), "-out", str(path), "-days", str(days), "-subj", f"/CN={name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


def said_by_openssl(path: Path) -> int:
    """The end of a certificate in OpenSSL's words."""
    done = subprocess.run(
        ["openssl", "x509", "-in", str(path), "-noout", "-enddate"], check=True, capture_output=True, text=True
    )
    return ssl.cert_time_to_seconds(done.stdout.strip().removeprefix("notAfter="))
