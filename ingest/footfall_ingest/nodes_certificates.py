"""The nodes' certificate authority, for those who have none: it signs the broker's certificate and those of nodes.

The keys are on the curve P-256. A certificate begins a day before it is made, because the clock of a box may be wrong
and then no connection at all would be possible. The list of revoked certificates ends with the authority: a list that
is out of date makes OpenSSL refuse every certificate, and nobody would renew it in time.

This module needs the package `cryptography`; `footfall_ingest.nodes` imports it only for what has to do with
certificates.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from footfall_ingest.commands import RefusedError
from footfall_ingest.nodes_folder import read

AUTHORITY_DAYS: Final = 20 * 365
"""The authority is in every box, so it is meant to outlive them."""
SERVER_DAYS: Final = 825

_EARLIER: Final = timedelta(days=1)
_LONGEST_NAME: Final = 64
"""Of a common name, by X.509."""


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was made for an account."""

    account: str
    serial: int
    ends: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate and the key that signs for it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Self:
        """The authority in these two files.

        Raises:
            RefusedError: one is missing, is none, or they do not belong together.
        """
        for path in (certificate, key):
            if not path.exists():
                raise RefusedError(f"there is no {path}: make the authority with `footfall-ingest node ca init`")
        found = _certificate(certificate)
        try:
            secret = serialization.load_pem_private_key(read(key).encode(), None)
        except (ValueError, TypeError) as error:
            raise RefusedError(f"{key}: is no private key without a passphrase: {error}") from error
        if not isinstance(secret, ec.EllipticCurvePrivateKey) or secret.public_key() != found.public_key():
            raise RefusedError(f"{key}: is not the key of {certificate}")
        return cls(found, secret)

    def list_revoked(self, previous: x509.CertificateRevocationList | None, more: Iterable[int]) -> bytes:
        """The list of all that `previous` has and of the serials in `more`, as PEM."""
        now = _now()
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=self.certificate.subject,
            last_update=now - timedelta(minutes=5),
            next_update=self.certificate.not_valid_after_utc,
        )
        before = list(previous) if previous is not None else []
        known = {one.serial_number for one in before}
        for one in before:
            builder = builder.add_revoked_certificate(one)
        for serial in sorted(set(more) - known):
            revoked = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=now)
            builder = builder.add_revoked_certificate(revoked.build())
        builder = builder.add_extension(x509.CRLNumber(_number_of(previous) + 1), critical=False)
        builder = builder.add_extension(_key_id_of_issuer(self.certificate), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def sign_server(self, hosts: Sequence[str], days: int = SERVER_DAYS) -> Made:
        """A certificate for the broker under the names and addresses `hosts`.

        Raises:
            RefusedError: one of them is none.
        """
        names = [_general_name(host) for host in hosts]
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder("footfall broker", key, days, ExtendedKeyUsageOID.SERVER_AUTH)
        return self._signed(builder.add_extension(x509.SubjectAlternativeName(names), critical=False), key)

    def sign_node(self, account: str, days: int) -> Made:
        """A certificate with which a client is `account`; no broker can be made of it.

        Raises:
            RefusedError: the name does not fit into a certificate.
        """
        if len(account) > _LONGEST_NAME:
            raise RefusedError(
                f"{account} has more than {_LONGEST_NAME} characters, and no certificate has room for it: take a "
                "password, or give the node a shorter name"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        return self._signed(self._builder(account, key, days, ExtendedKeyUsageOID.CLIENT_AUTH), key)

    def _builder(
        self, name: str, key: ec.EllipticCurvePrivateKey, days: int, purpose: x509.ObjectIdentifier
    ) -> x509.CertificateBuilder:
        # None outlives the authority: it would be refused from then on, and nobody would know why.
        ends = min(_now() + timedelta(days=days), self.certificate.not_valid_after_utc)
        return (
            _plain(name, self.certificate.subject, key, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_others=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(_key_id_of_issuer(self.certificate), critical=False)
        )

    def _signed(self, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> Made:
        return Made(_pem(builder.sign(self.key, hashes.SHA256())), _pem_key(key))


def new_authority(name: str, days: int = AUTHORITY_DAYS) -> Made:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    itself = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _plain(name, itself, key, _now() + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_others=True), critical=True)
    )
    return Made(_pem(builder.sign(key, hashes.SHA256())), _pem_key(key))


def revoked_in(path: Path) -> x509.CertificateRevocationList | None:
    """The list in `path`; None if there is no such file.

    Raises:
        RefusedError: it is no list.
    """
    if not path.exists():
        return None
    try:
        return x509.load_pem_x509_crl(read(path).encode())
    except ValueError as error:
        raise RefusedError(f"{path}: is no list of revoked certificates: {error}") from error


def issued_in(folder: Path) -> list[Issued]:
    """The certificates in `folder`, revoked ones and ended ones too, the oldest first; empty if there is no folder.

    Raises:
        RefusedError: a file in it is no certificate.
    """
    found = [_certificate(path) for path in sorted(folder.glob("*.crt"))]
    found.sort(key=lambda certificate: certificate.not_valid_before_utc)
    return [Issued(_name_of(one), one.serial_number, one.not_valid_after_utc) for one in found]


def one_of(certificate: bytes) -> Issued:
    """What a certificate in PEM says."""
    found = x509.load_pem_x509_certificate(certificate)
    return Issued(_name_of(found), found.serial_number, found.not_valid_after_utc)


def faults(authority: Path, revoked: Path, server: Path, now: datetime) -> list[str]:
    """What is wrong with the files that the broker proves itself and others by, a sentence each.

    Raises:
        RefusedError: one is not what it should be.
    """
    said = []
    signer = _certificate(authority)
    found = revoked_in(revoked)
    if found is not None:
        if not _is_signed_by(found, signer):
            said.append(f"{revoked}: is not signed by {authority}, so the broker would refuse every certificate")
        if found.next_update_utc is not None and found.next_update_utc <= now:
            said.append(f"{revoked}: is out of date, so the broker would refuse every certificate")
    said += [f"{path}: has ended" for path in (authority, server) if _certificate(path).not_valid_after_utc <= now]
    return said


def ends(path: Path) -> datetime:
    """When the certificate in `path` ends.

    Raises:
        RefusedError: it is none.
    """
    return _certificate(path).not_valid_after_utc


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(read(path).encode())
    except ValueError as error:
        raise RefusedError(f"{path}: is no certificate: {error}") from error


def _is_signed_by(found: x509.CertificateRevocationList, signer: x509.Certificate) -> bool:
    key = signer.public_key()
    try:
        return found.is_signature_valid(key)  # type: ignore[arg-type]  # a key of another kind raises TypeError
    except (InvalidSignature, TypeError):
        return False


def _number_of(previous: x509.CertificateRevocationList | None) -> int:
    if previous is None:
        return 0
    try:
        return previous.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return 0


def _name_of(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _plain(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _EARLIER)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        key_cert_sign=signs_others,
        crl_sign=signs_others,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_id_of_issuer(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode())
    except UnicodeError:
        raise RefusedError(f"{host!r} is no host name and no address") from None


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
