"""When certificates end, held against what OpenSSL says of certificates that it made."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_role.certificates import CertificateError, end_s, first_end_s
from footfall_testing.certificates import made, said_by_openssl


@pytest.mark.parametrize("days", [1, 365, 40_000], ids=["a day", "a year", "beyond 2050, written otherwise"])
def test_the_end_is_what_openssl_says(tmp_path: Path, days: int) -> None:
    """Of short lives and long ones, and whatever else is in the certificate."""
    path = made(tmp_path, "box", days, "-addext", "subjectAltName=DNS:broker.example,IP:10.0.0.1")

    assert first_end_s(path) == said_by_openssl(path)


def test_of_several_in_a_file_the_first_that_ends(tmp_path: Path) -> None:
    """As in a file of authorities, with words between them."""
    long, short = made(tmp_path, "long", 700), made(tmp_path, "short", 7)
    both = tmp_path / "ca.crt"
    both.write_text(f"# old\n{long.read_text()}\n# new\n{short.read_text()}")

    assert first_end_s(both) == said_by_openssl(short) < said_by_openssl(long)


def test_a_file_without_a_certificate_is_a_sentence(tmp_path: Path) -> None:
    """It names the file, and says what is wrong."""
    empty, torn = tmp_path / "empty.crt", tmp_path / "torn.crt"
    empty.write_text("nothing")
    torn.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")

    for path, why in ((empty, "no certificate"), (torn, "cannot be read"), (tmp_path / "none.crt", "No such file")):
        with pytest.raises(CertificateError, match=f"{path.name}.*{why}"):
            first_end_s(path)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: b"\x30\x3c\x30\x3a" + data))
def test_no_bytes_do_more_than_to_be_refused(data: bytes) -> None:
    """Whatever is handed in is a certificate or a ValueError."""
    try:
        found = end_s(data)
    except ValueError:
        return
    assert datetime.fromtimestamp(found, UTC)
