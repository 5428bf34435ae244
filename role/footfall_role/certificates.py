"""When certificates end, read from their files with nothing but the standard library.

A certificate is DER: values of a tag, a length and a content, one in the other. Of all that is in it only the second
of the two times of its validity is wanted, whose place is fixed: Certificate → tbsCertificate → validity → notAfter
(RFC 5280). Nothing is checked here; whether a certificate is to be trusted is OpenSSL's to say.
"""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
"""Stands first, or not at all."""
_BEFORE_VALIDITY: Final = ("serialNumber", "signature", "issuer")
_UTC_TIME: Final = 0x17
"""Two digits of the year: from 50 on of the last century."""
_GENERALIZED_TIME: Final = 0x18
_LONG: Final = 0x80
"""A length above 127 is written in as many bytes as the low bits of the first one say."""


class CertificateError(Exception):
    """A file with no certificate that can be read; the message names it."""


def first_end_s(path: Path) -> int:
    """When the first of the certificates in a PEM file ends, in UTC unix seconds.

    Raises:
        CertificateError: it cannot be read, or there is none in it.
    """
    try:
        found = [end_s(ssl.PEM_cert_to_DER_cert(part.decode("ascii"))) for part in _PEM.findall(path.read_bytes())]
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CertificateError(f"{path}: a certificate in it cannot be read: {error}") from error
    if not found:
        raise CertificateError(f"{path}: there is no certificate in it (PEM)")
    return min(found)


def end_s(der: bytes) -> int:
    """When a certificate ends, in UTC unix seconds.

    Raises:
        ValueError: it is not a certificate.
    """
    fields = [field for field in _values(_content(_content(der))) if field[0] != _VERSION]
    if len(fields) < len(_BEFORE_VALIDITY) + 1 or fields[len(_BEFORE_VALIDITY)][0] != _SEQUENCE:
        raise ValueError("there is no validity where it should be")
    times = list(_values(fields[len(_BEFORE_VALIDITY)][1]))
    if len(times) != 2:
        raise ValueError("the validity has no two times")
    return _time_s(*times[1])


def _content(data: bytes) -> bytes:
    """The content of the first value, which has to be a sequence."""
    tag, content = next(_values(data), (None, b""))
    if tag != _SEQUENCE:
        raise ValueError("a sequence is expected")
    return content


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The values one after another: tag and content."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("a value breaks off")
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= _LONG:
            size = length - _LONG
            if not 1 <= size <= 4 or at + size > len(data):
                raise ValueError("a length is out of all bounds")
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("a value breaks off")
        yield tag, data[at : at + length]
        at += length


def _time_s(tag: int, content: bytes) -> int:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if text < "50" else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("the end is no time")
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp())
