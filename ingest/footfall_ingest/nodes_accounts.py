"""The nodes' accounts in the broker's folder: which there are, and how one comes, and goes.

The order in which files are written is the point. What an account may do is written before the account can log in, and
taken away after it no longer can: at no moment does the broker know an account without its rules, whenever it is told
to reload, and a last will that says ``offline`` is still allowed when its connection is ended.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import util
from typing import TYPE_CHECKING, Final

from footfall_ingest import nodes_broker, nodes_files, nodes_folder, nodes_handover
from footfall_ingest.commands import RefusedError
from footfall_ingest.nodes_folder import FOR_BROKER, PUBLIC
from footfall_ingest.nodes_handover import Handover
from footfall_ingest.nodes_rules import SERVICES, Account, hashed, new_password
from footfall_ingest.settings import IngestSettings, NodesSettings
from footfall_role.settings import MqttSettings

if TYPE_CHECKING:
    from footfall_ingest.nodes_certificates import Authority, Issued

HEADER: Final = "# Written by `footfall-ingest node`; lines of your own stay. See docs/broker.md.\n"


class Login(StrEnum):
    """With what an account logs in."""

    PASSWORD = "password"  # noqa: S105  # the word for it
    CERTIFICATE = "certificate"
    ELSEWHERE = "elsewhere"
    """With a certificate that was not made here; here it has its rules alone."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the files say, all of them understood."""

    passwords: str
    rules: str
    with_password: Sequence[str]
    with_rules: Mapping[str, Sequence[str]]
    remarks: Sequence[str]
    """What people should know about the nodes' rules."""
    reserved: frozenset[str]
    """Names of footfall's own processes."""
    issued: "Sequence[Issued]"
    """Certificates that were made here and are not revoked, the oldest first."""

    def logins(self) -> Mapping[str, Sequence[Login]]:
        """With what each account may log in, by its name, in the order of nodes and numbers."""
        signed = {one.account for one in self.issued}
        found: dict[str, Sequence[Login]] = {}
        for name in sorted({*self.with_password, *self.with_rules, *signed}, key=_place):
            has = {Login.PASSWORD: name in self.with_password, Login.CERTIFICATE: name in signed}
            found[name] = [login for login, there in has.items() if there] or [Login.ELSEWHERE]
        return found

    def accounts(self, node: str) -> list[Account]:
        """The accounts of `node`, in the order of their numbers."""
        named = [account for name in self.logins() if (account := Account.named(name))]
        return [account for account in named if account.node == node]


def _place(name: str) -> tuple[str, int]:
    account = Account.named(name)
    return (account.node, account.number) if account else (name, 0)


def can_sign() -> bool:
    """Whether what certificates need is installed."""
    return util.find_spec("cryptography") is not None


def need_signing() -> None:
    """Make sure that certificates can be made.

    Raises:
        RefusedError: what they need is not installed.
    """
    if not can_sign():
        raise RefusedError("certificates need the package cryptography: pip install 'footfall[ingest]'")


def known(settings: IngestSettings) -> Known:
    """What the broker's files say.

    Raises:
        RefusedError: one cannot be used: by us, or by the broker.
    """
    folder, owner = settings.nodes.folder, nodes_folder.ids_of(settings.nodes.owner)
    if not folder.is_dir():
        raise RefusedError(
            f"there is no folder {folder}: run this on the broker's machine; docs/broker.md says how it is set up"
        )
    texts = {}
    names = (
        nodes_folder.PASSWORDS,
        nodes_folder.RULES,
        nodes_folder.SERVICE_PASSWORDS,
        nodes_folder.SERVICE_RULES,
    )
    for name in names:
        path = folder / name
        texts[name] = nodes_folder.read(path)
        if path.exists() and (hidden := nodes_folder.hidden_from(path, owner)):
            raise RefusedError(hidden)
    passwords, rules, service_passwords, service_rules = (texts[name] for name in names)
    given = nodes_files.rules_in(rules, str(folder / nodes_folder.RULES))
    services = nodes_files.rules_in(service_rules, str(folder / nodes_folder.SERVICE_RULES)).users
    return Known(
        passwords=passwords,
        rules=rules,
        with_password=nodes_files.passwords(passwords, str(folder / nodes_folder.PASSWORDS)),
        with_rules=given.users,
        remarks=nodes_files.remarks(given),
        reserved=frozenset(
            {
                *SERVICES,
                nodes_broker.VISITOR,
                settings.mqtt.client_id,
                settings.mqtt.username,
                *services,
                *nodes_files.passwords(service_passwords, str(folder / nodes_folder.SERVICE_PASSWORDS)),
            }
        ),
        issued=_issued(settings.nodes),
    )


def _issued(settings: NodesSettings) -> "list[Issued]":
    if not can_sign():
        return []
    from footfall_ingest import nodes_certificates  # noqa: PLC0415

    revoked = nodes_certificates.revoked_in(settings.folder / nodes_folder.REVOKED)
    return [
        one
        for one in nodes_certificates.issued_in(settings.folder / nodes_folder.ISSUED)
        if revoked is None or revoked.get_revoked_certificate_by_serial_number(one.serial) is None
    ]


def authority(settings: NodesSettings) -> "Authority":
    """The authority that signs certificates.

    Raises:
        RefusedError: there is none here.
    """
    need_signing()
    from footfall_ingest import nodes_certificates  # noqa: PLC0415

    return nodes_certificates.Authority.load(settings.folder / nodes_folder.AUTHORITY, settings.ca_key)


def make(
    settings: NodesSettings, found: Known, account: Account, login: Login, deliver: Callable[[Handover], object]
) -> None:
    """Write an account that is not there yet, and `deliver` what its box gets. The broker is not told.

    Raises:
        RefusedError: it cannot be made, or not completely; then `revoke` removes what there is.
    """
    if not settings.host:
        raise RefusedError("[nodes] host is not set: the name or address under which boxes reach the broker")
    owner = nodes_folder.ids_of(settings.owner)
    signer = authority(settings) if login is Login.CERTIFICATE else None
    files = _trust(settings)
    password = new_password()
    secret = ""
    rules = nodes_files.with_rules(found.rules or HEADER, account)
    nodes_folder.replace(settings.folder / nodes_folder.RULES, rules, owner, FOR_BROKER)
    if signer is not None:
        made = signer.sign_node(str(account), settings.certificate_days)
        _keep(settings, made.certificate, owner)
        secret = nodes_handover.BOX_KEY
        files |= {nodes_handover.BOX_CERTIFICATE: made.certificate.decode(), secret: made.key.decode()}
    elif login is Login.PASSWORD:
        secret = nodes_handover.BOX_PASSWORD
        files |= {secret: password}
    by_password = login is Login.PASSWORD
    head = nodes_handover.head(
        account,
        settings.host,
        settings.port if by_password else settings.certificate_port,
        has_authority=not settings.public_certificate,
        by_password=by_password,
    )
    deliver(Handover(account, head, files, secret))
    if by_password:
        passwords = nodes_files.with_password(found.passwords or HEADER, str(account), hashed(password))
        nodes_folder.replace(settings.folder / nodes_folder.PASSWORDS, passwords, owner, FOR_BROKER)


def _trust(settings: NodesSettings) -> dict[str, str]:
    """The file by which a box knows the broker, if it needs one."""
    if settings.public_certificate:
        return {}
    path = settings.folder / nodes_folder.AUTHORITY
    if not (text := nodes_folder.read(path)):
        raise RefusedError(
            f"there is no {path} for the box to know the broker by: lay the authority there that signed the broker's "
            "certificate, or set [nodes] public_certificate if every system trusts it"
        )
    return {nodes_handover.BOX_AUTHORITY: text}


def _keep(settings: NodesSettings, certificate: bytes, owner: nodes_folder.Ids | None) -> None:
    from footfall_ingest import nodes_certificates  # noqa: PLC0415

    folder = settings.folder / nodes_folder.ISSUED
    folder.mkdir(mode=0o755, exist_ok=True)
    serial = nodes_certificates.one_of(certificate).serial
    nodes_folder.replace(folder / f"{serial:x}.crt", certificate, owner, PUBLIC)


@dataclass(slots=True)
class Revocation:
    """What came of taking accounts away, in sentences: what did not go well, and what people should know."""

    troubles: list[str]
    remarks: list[str]


def revoke(settings: NodesSettings, mqtt: MqttSettings, found: Known, accounts: Sequence[Account]) -> Revocation:
    """Take `accounts` away, and their connections as far as the broker can be told. All files are written in any case.

    Raises:
        RefusedError: a file could not be written.
    """
    told = Revocation([], [])
    owner = nodes_folder.ids_of(settings.owner)
    visit = _Visit(settings, mqtt, owner, told)
    try:
        visit.end(accounts)
        _take_logins(settings, found, accounts, owner, told)
        visit.reload()
        visit.end(accounts)
        rules = found.rules
        for account in accounts:
            rules = nodes_files.without_rules(rules, str(account))
        nodes_folder.replace(settings.folder / nodes_folder.RULES, rules, owner, FOR_BROKER)
    finally:
        visit.leave()
    return told


def _take_logins(
    settings: NodesSettings,
    found: Known,
    accounts: Sequence[Account],
    owner: nodes_folder.Ids | None,
    told: Revocation,
) -> None:
    names = [str(account) for account in accounts]
    passwords = found.passwords
    for name in names:
        passwords = nodes_files.without_password(passwords, name)
    if passwords != found.passwords:
        nodes_folder.replace(settings.folder / nodes_folder.PASSWORDS, passwords, owner, FOR_BROKER)
    if not can_sign() and any((settings.folder / nodes_folder.ISSUED).glob("*.crt")):
        told.remarks.append(
            "certificates were not looked at, because the package cryptography is not installed. One of these accounts "
            "could still connect, but neither write nor read"
        )
    if serials := [one.serial for one in found.issued if one.account in names]:
        _list_revoked(settings, serials, owner, told)


def _list_revoked(
    settings: NodesSettings, serials: Sequence[int], owner: nodes_folder.Ids | None, told: Revocation
) -> None:
    from footfall_ingest import nodes_certificates  # noqa: PLC0415

    path = settings.folder / nodes_folder.REVOKED
    try:
        listed = authority(settings).list_revoked(nodes_certificates.revoked_in(path), serials)
    except RefusedError as error:
        told.troubles.append(
            f"{error}; so the certificate is not on the list of revoked ones. Whoever has it can still connect, but "
            "may neither write nor read"
        )
        return
    nodes_folder.replace(path, listed, owner, PUBLIC)


class _Visit:
    """The broker's part in a revocation. What goes wrong is noted, and the files are written all the same."""

    def __init__(
        self, settings: NodesSettings, mqtt: MqttSettings, owner: nodes_folder.Ids | None, told: Revocation
    ) -> None:
        self._settings = settings
        self._owner = owner
        self._told = told
        self._login: MqttSettings | None = None
        self._comes = bool(settings.reload) and (settings.folder / nodes_folder.SERVICE_PASSWORDS).exists()
        if self._comes:
            self._login = nodes_broker.visitor(settings.folder, owner, mqtt)
            self.reload()

    def reload(self) -> None:
        """Tell the broker to read its files."""
        if not self._settings.reload:
            return
        try:
            nodes_broker.reload(self._settings.reload)
        except RefusedError as error:
            self._login = None
            if str(error) not in self._told.troubles:
                self._told.troubles.append(str(error))

    def end(self, accounts: Sequence[Account]) -> None:
        """End the connections of `accounts`."""
        for account in accounts:
            if self._login is None:
                return
            if reason := nodes_broker.end_connection(self._login, str(account)):
                self._login = None
                self._told.remarks.append(
                    f"connections could not be ended: {reason}. The broker itself has ended those with a password; one "
                    "with a certificate may neither write nor read, and goes with `systemctl restart mosquitto`"
                )

    def leave(self) -> None:
        """Take the visitor away, and tell the broker the last time."""
        if self._comes:
            nodes_broker.forget_visitor(self._settings.folder, self._owner)
        self.reload()
