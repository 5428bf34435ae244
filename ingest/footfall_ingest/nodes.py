"""``footfall-ingest node``: the nodes' accounts at the broker: made, listed, changed, taken away.

On the broker's machine, as root: it writes the files that mosquitto reads (`[nodes] folder`) and makes it read them
(`[nodes] reload`). A secret is shown once, on standard output or in a file for its owner alone, and never again: only
its hash is kept.
"""

import argparse
import contextlib
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from footfall_ingest import nodes_accounts, nodes_broker, nodes_files, nodes_folder, nodes_handover
from footfall_ingest.commands import RefusedError
from footfall_ingest.moments import utc
from footfall_ingest.nodes_accounts import HEADER, Known, Login
from footfall_ingest.nodes_folder import FOR_BROKER, PUBLIC, SECRET
from footfall_ingest.nodes_rules import Account, hashed, new_password, next_account
from footfall_ingest.settings import IngestSettings, NodesSettings

if TYPE_CHECKING:
    from footfall_ingest.nodes_certificates import Made

_SOON: Final = timedelta(days=30)
"""So long before a certificate ends it is spoken of."""

_DATABASE_S: Final = 3

Act = Callable[[IngestSettings, argparse.Namespace], int]


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add ``node`` and its verbs to the parser's `commands`; each sets `run`."""
    help_text = "the nodes' accounts at the broker"
    verbs = commands.add_parser("node", help=help_text).add_subparsers(metavar="VERB", required=True)

    def verb(name: str, act: Act, help_text: str, among: Any = verbs) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = among.add_parser(name, parents=[config], help=help_text, description=help_text)
        added.set_defaults(run=act)
        return added

    adding = verb("add", _add, "make an account for a node that has none, and show what its box needs")
    adding.add_argument("node", metavar="NODE")
    login = adding.add_mutually_exclusive_group()
    login.add_argument("--certificate", action="store_true", help="it logs in with a client certificate, made here")
    login.add_argument("--elsewhere", action="store_true", help="it has a certificate with this name from another PKI")
    _add_out(adding)

    verb("list", _list, "show all accounts, when certificates end, and what the nodes say of themselves")

    rotating = verb("rotate", _rotate, "make one more account for a node, which goes on with the one it has")
    rotating.add_argument("node", metavar="NODE")
    login = rotating.add_mutually_exclusive_group()
    login.add_argument("--certificate", action="store_true", help="with a client certificate")
    login.add_argument("--password", action="store_true", help="with a password; without either: as the last one")
    _add_out(rotating)

    revoking = verb("revoke", _revoke, "take all accounts of a node away, or one, and end its connection")
    which = revoking.add_mutually_exclusive_group(required=True)
    which.add_argument("node", metavar="NODE", nargs="?")
    which.add_argument("--account", metavar="ACCOUNT", help="this one alone, such as jena-nord.1")

    verb("check", _check, "look whether the broker can read its files again without harm; status 1 if not")

    serving = verb("service", _service, "give a process of footfall a new password; standard output is the password")
    serving.add_argument("name", metavar="NAME", help="a user in services.acl, such as footfall-ingest")

    help_text = "the authority that signs certificates, for who has no PKI"
    authority = verbs.add_parser("ca", help=help_text).add_subparsers(metavar="VERB", required=True)
    starting = verb("init", _ca_init, "make the authority, and the broker's certificate by it", authority)
    _add_host(starting)
    starting.add_argument(
        "--no-server", action="store_true", help="the broker has a certificate, from Let's Encrypt say"
    )
    renewing = verb("server", _ca_server, "make the broker a new certificate", authority)
    _add_host(renewing)


def _add_out(parser: argparse.ArgumentParser) -> None:
    help_text = "write what the box needs into files there, for their owner alone, instead of showing it"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=help_text)


def _add_host(parser: argparse.ArgumentParser) -> None:
    help_text = "a name or address of the broker, repeatable; without: [nodes] host"
    parser.add_argument("--host", action="append", default=[], metavar="HOST", help=help_text)


def _add(settings: IngestSettings, options: argparse.Namespace) -> int:
    login = Login.CERTIFICATE if options.certificate else Login.ELSEWHERE if options.elsewhere else Login.PASSWORD
    with _changing(settings) as found:
        node = nodes_files.checked_node(options.node, found.reserved)
        if there := found.accounts(node):
            raise RefusedError(
                f"{node} has the account {there[0]} already; `footfall-ingest node rotate {node}` makes one more, "
                "`revoke` takes it away"
            )
        _make(settings, found, Account(node, 0), login, options.out)
    return 0


def _rotate(settings: IngestSettings, options: argparse.Namespace) -> int:
    with _changing(settings) as found:
        node = nodes_files.checked_node(options.node, found.reserved)
        there = found.accounts(node)
        if not there:
            raise RefusedError(f"{node} has no account; `footfall-ingest node add {node}` makes one")
        last = found.logins()[str(there[-1])][-1]
        chosen = Login.CERTIFICATE if options.certificate else Login.PASSWORD if options.password else last
        account = next_account(node, there)
        _make(settings, found, account, chosen, options.out)
        sys.stdout.write(
            f"# Until then {', '.join(map(str, there))} can be used as before. Once the box uses {account}: "
            f"footfall-ingest node revoke --account {there[-1]}\n"
        )
    return 0


def _make(settings: IngestSettings, found: Known, account: Account, login: Login, out: Path | None) -> None:
    said: list[str] = []

    def deliver(handover: nodes_handover.Handover) -> None:
        said.append("\n".join(nodes_handover.in_folder(handover, out)) if out else nodes_handover.on_paper(handover))

    if out:
        nodes_handover.check_folder(out, account)
    nodes_accounts.make(settings.nodes, found, account, login, deliver)
    _tell(settings.nodes)
    sys.stdout.write("\n".join(said).rstrip() + "\n")


def _tell(settings: NodesSettings) -> None:
    """Make the broker read its files, or say that somebody has to."""
    if settings.reload:
        nodes_broker.reload(settings.reload)
    else:
        sys.stderr.write(
            "the broker does not know it yet: systemctl reload mosquitto ([nodes] reload does it by itself)\n"
        )


def _revoke(settings: IngestSettings, options: argparse.Namespace) -> int:
    with _changing(settings) as found:
        if options.account:
            account = Account.named(options.account)
            accounts = [account] if account and options.account in found.logins() else []
        else:
            accounts = found.accounts(options.node)
        if not accounts:
            raise RefusedError(
                f"there is no account {options.account or f'of {options.node}'} (`footfall-ingest node list` shows all)"
            )
        told = nodes_accounts.revoke(settings.nodes, settings.mqtt, found, accounts)
    sys.stderr.writelines(f"{remark}\n" for remark in told.remarks)
    names = ", ".join(map(str, accounts))
    if settings.nodes.reload and not told.troubles:
        sys.stdout.write(f"taken away at the broker: {names}\n")
    else:
        sys.stdout.write(f"taken out of the broker's files: {names}\n")
    if not settings.nodes.reload:
        sys.stderr.write(
            "the broker does not know it yet: systemctl reload mosquitto. That ends connections with these passwords; "
            "one with a certificate goes with systemctl restart mosquitto\n"
        )
    if told.troubles:
        raise RefusedError("\n".join(told.troubles))
    return 0


@contextlib.contextmanager
def _changing(settings: IngestSettings) -> Iterator[Known]:
    """A context in which nobody else changes the files, and what they say."""
    if not settings.nodes.folder.is_dir():
        nodes_accounts.known(settings)  # says so
    with nodes_folder.locked(settings.nodes.folder):
        yield nodes_accounts.known(settings)


def _list(settings: IngestSettings, _options: argparse.Namespace) -> int:
    found = nodes_accounts.known(settings)
    now = datetime.now(UTC)
    states, trouble = _states(settings.database.dsn)
    rows = [("node", "account", "logs in with", "until (UTC)", "says", "since (UTC)", "last heard (UTC)")]
    for name, logins in found.logins().items():
        account = Account.named(name)
        node = account.node if account else "-"
        ends = max((one.ends for one in found.issued if one.account == name), default=None)
        rows.append((node, name, " and ".join(logins), _until(ends, now), *states.get(node, ("-", "-", "-"))))
    accounted = {row[0] for row in rows}
    rows += [(node, "-", "-", "-", *said) for node, said in states.items() if node not in accounted]
    sys.stdout.writelines(f"{line}\n" for line in _table(rows))
    notes = [*found.remarks, *([] if nodes_accounts.can_sign() else [_UNSEEN]), *([trouble] if trouble else [])]
    sys.stderr.writelines(f"{note}\n" for note in notes)
    return 0


_UNSEEN: Final = "certificates are not shown: the package cryptography is not installed"

_Said = tuple[str, str, str]


def _states(dsn: str) -> tuple[dict[str, _Said], str]:
    """What each node says of itself: its state, since when, when it was last heard; and why that is not known."""
    query = "SELECT node, state, since, seen FROM node_state ORDER BY node"
    try:
        with psycopg.connect(dsn, connect_timeout=_DATABASE_S) as connection:
            return {node: (state, utc(since), utc(seen)) for node, state, since, seen in connection.execute(query)}, ""
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        return {}, f"what the nodes say of themselves is not shown: the database does not tell: {reason}"


def _until(ends: datetime | None, now: datetime) -> str:
    if ends is None:
        return "-"
    left = "  ended" if ends <= now else f"  in {(ends - now).days} days" if ends - now <= _SOON else ""
    return utc(ends) + left


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _check(settings: IngestSettings, _options: argparse.Namespace) -> int:
    found = nodes_accounts.known(settings)
    faults, notes = _proofs(settings.nodes, datetime.now(UTC))
    notes += found.remarks
    notes += [
        f"{name} has a password and no rules, so it may do nothing"
        for name in found.with_password
        if name not in found.with_rules
    ]
    sys.stdout.writelines(f"note: {note}\n" for note in notes)
    if faults:
        raise RefusedError("\n".join(faults))
    sys.stdout.write("the broker can read its files again\n")
    return 0


def _proofs(settings: NodesSettings, now: datetime) -> tuple[list[str], list[str]]:
    """What is wrong with the files that the broker proves itself and others by, and what will be."""
    folder, owner = settings.folder, nodes_folder.ids_of(settings.owner)
    authority, revoked, certificate, key = (
        folder / name
        for name in (
            nodes_folder.AUTHORITY,
            nodes_folder.REVOKED,
            nodes_folder.SERVER_CERTIFICATE,
            nodes_folder.SERVER_KEY,
        )
    )
    faults = []
    for path in (authority, revoked, certificate, key):
        if not path.exists():
            faults.append(f"there is no {path}")
        elif hidden := nodes_folder.hidden_from(path, owner):
            faults.append(hidden)
    if faults:
        return faults, []
    faults += [fault for load, fault in _loads(authority, revoked, certificate, key) if not _works(load)]
    if faults or not nodes_accounts.can_sign():
        return faults, []
    from footfall_ingest import nodes_certificates  # noqa: PLC0415

    notes = [
        f"{path}: ends {utc(ends)}"
        for path in (authority, certificate)
        if now < (ends := nodes_certificates.ends(path)) <= now + _SOON
    ]
    return nodes_certificates.faults(authority, revoked, certificate, now), notes


def _loads(authority: Path, revoked: Path, certificate: Path, key: Path) -> list[tuple[Callable[[], object], str]]:
    def context() -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    return [
        (lambda: context().load_verify_locations(authority), f"{authority}: is no certificate"),
        (lambda: context().load_verify_locations(revoked), f"{revoked}: is no list of revoked certificates"),
        (
            lambda: context().load_cert_chain(certificate, key, ""),
            f"{certificate}, {key}: are no certificate and its key",
        ),
    ]


def _works(act: Callable[[], object]) -> bool:
    try:
        act()
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False
    return True


def _service(settings: IngestSettings, options: argparse.Namespace) -> int:
    folder, owner = settings.nodes.folder, nodes_folder.ids_of(settings.nodes.owner)
    with _changing(settings):
        rules = folder / nodes_folder.SERVICE_RULES
        users = nodes_files.rules_in(nodes_folder.read(rules), str(rules)).users
        if options.name not in users:
            there = ", ".join(users) or "nobody"
            raise RefusedError(f"{options.name} is not in {rules}, so it might do nothing; there is {there}")
        path = folder / nodes_folder.SERVICE_PASSWORDS
        password = new_password()
        text = nodes_files.with_password(nodes_folder.read(path) or HEADER, options.name, hashed(password))
        nodes_folder.replace(path, text, owner, FOR_BROKER)
        _tell(settings.nodes)
    sys.stdout.write(f"{password}\n")
    return 0


def _ca_init(settings: IngestSettings, options: argparse.Namespace) -> int:
    nodes_accounts.need_signing()
    from footfall_ingest import nodes_certificates  # noqa: PLC0415

    own = settings.nodes
    owner = nodes_folder.ids_of(own.owner)
    hosts = [] if options.no_server else _hosts(own, options)
    with _changing(settings):
        certificate = own.folder / nodes_folder.AUTHORITY
        server = (
            []
            if options.no_server
            else [own.folder / name for name in (nodes_folder.SERVER_CERTIFICATE, nodes_folder.SERVER_KEY)]
        )
        for path in (certificate, own.ca_key, own.folder / nodes_folder.REVOKED, *server):
            if path.exists():
                raise RefusedError(f"{path} is there already, and boxes may depend on it; nothing was changed")
        made = nodes_certificates.new_authority("footfall nodes")
        nodes_folder.replace(own.ca_key, made.key, None, SECRET)
        nodes_folder.replace(certificate, made.certificate, owner, PUBLIC)
        signer = nodes_certificates.Authority.load(certificate, own.ca_key)
        nodes_folder.replace(own.folder / nodes_folder.REVOKED, signer.list_revoked(None, ()), owner, PUBLIC)
        if hosts:
            _write_server(own, signer.sign_server(hosts), owner)
        for name in (nodes_folder.PASSWORDS, nodes_folder.RULES):
            if not (own.folder / name).exists():
                nodes_folder.replace(own.folder / name, HEADER, owner, FOR_BROKER)
    sys.stdout.write(
        f"the authority is {certificate}; its key is {own.ca_key}. Whoever has the key can be any node: keep a copy "
        "where you keep such things\n"
    )
    return 0


def _ca_server(settings: IngestSettings, options: argparse.Namespace) -> int:
    own = settings.nodes
    hosts = _hosts(own, options)
    with _changing(settings):
        made = nodes_accounts.authority(own).sign_server(hosts)
        _write_server(own, made, nodes_folder.ids_of(own.owner))
        _tell(own)
    return 0


def _hosts(settings: NodesSettings, options: argparse.Namespace) -> list[str]:
    hosts = options.host or [settings.host]
    if not all(hosts):
        raise RefusedError("under which name do boxes reach the broker? Give --host, or set [nodes] host")
    return list(hosts)


def _write_server(settings: NodesSettings, made: "Made", owner: nodes_folder.Ids | None) -> None:
    nodes_folder.replace(settings.folder / nodes_folder.SERVER_KEY, made.key, owner, SECRET)
    nodes_folder.replace(settings.folder / nodes_folder.SERVER_CERTIFICATE, made.certificate, owner, PUBLIC)
