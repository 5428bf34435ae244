"""The broker as it is shipped, and accounts by the real commands: what a node may do, and that it may do nothing else.

mosquitto acknowledges what it does not let pass, so "refused" is shown by what does not arrive: somebody who may hear
everything hears what was sent afterwards, and not that.
"""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import MQTTv5

from footfall_contract import topics
from footfall_demo.broker import find_mosquitto
from footfall_ingest import nodes_accounts
from footfall_ingest.inbox import Inbox, Limits
from footfall_ingest.settings import IngestMqttSettings, IngestSettings
from footfall_ingest.subscriber import Subscriber
from footfall_testing.secure_broker import HOST, Box, SecureBroker, nothing_but
from footfall_testing.waiting import wait_until

Login = tuple[str, ...]

BOTH = pytest.mark.parametrize("login", [(), ("--certificate",)], ids=["password", "certificate"])


@pytest.fixture(scope="module")
def secure(open_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """The broker of the tests that leave it as it was; each makes nodes of its own."""
    need_parts()
    with SecureBroker(open_folder / tmp_path_factory.mktemp("secure").name) as broker:
        yield broker


@pytest.fixture
def own(open_folder: Path, unique: str) -> Iterator[SecureBroker]:
    """A broker of the test's own."""
    need_parts()
    with SecureBroker(open_folder / unique) as broker:
        yield broker


def need_parts() -> None:
    """Skip, and say what to install."""
    if not find_mosquitto():
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    if not nodes_accounts.can_sign():
        pytest.skip("the package cryptography is not installed: pip install 'footfall[ingest]'")


@pytest.fixture
def nodes(secure: SecureBroker, unique: str) -> tuple[Box, Box]:
    """Two nodes: the first logs in with a password, the second with a certificate."""
    return secure.add("add", f"{unique}-a"), secure.add("add", f"{unique}-b", "--certificate")


@BOTH
def test_a_node_may_write_its_own_topics_and_read_its_notices(secure: SecureBroker, unique: str, login: Login) -> None:
    """Counts, health and status arrive at footfall-ingest; its status and what is stored of it come to the node."""
    box = secure.add("add", unique, *login)
    own = [topics.counts(unique, "s-1"), topics.health(unique, "s-2"), topics.status(unique)]
    notice = topics.committed(unique)
    with (
        secure.service(
            f"{unique}-i", filters=["footfall/v1/+/+/counts", "footfall/v1/+/+/health", "footfall/v1/+/status"]
        ) as i,
        secure.box(box, filters=[notice, topics.status(unique)]) as node,
    ):
        for topic in own:
            node.publish(topic, retain=not topic.endswith("counts"))
        i.publish(notice, b"stored", retain=True)
        wait_until(lambda: len(i.heard) == len(own) and len(node.heard) == 2, what="what is allowed")

        assert [topic for topic, _ in i.heard] == own
        assert node.heard == [(topics.status(unique), b"x"), (notice, b"stored")]


@BOTH
def test_a_node_may_write_nothing_else(secure: SecureBroker, nodes: tuple[Box, Box], unique: str, login: Login) -> None:
    """Not another node's topics, no notice, not what footfall's processes write, nothing of the broker's own."""
    mine, other = nodes[::-1] if login else nodes
    forbidden = [
        topics.counts(other.node, "s"),
        topics.health(other.node, "s"),
        topics.status(other.node),
        topics.committed(other.node),
        topics.committed(mine.node),
        topics.probe("x"),
        f"footfall/v1/{mine.node}/counts",
        f"footfall/v1/{mine.node}/s/counts/more",
        f"footfall/v1/{mine.node}",
        f"footfall/v2/{mine.node}/s/counts",
        f"footfall/public/v1/{mine.node}/15min",
        "footfall/public/v1/status",
        "$SYS/broker/uptime",
        f"$SYS/broker/connection/{mine.account}/state",
        "$CONTROL/dynamic-security/v1",
        mine.node,
    ]
    with (
        secure.watcher("#", "$SYS/broker/connection/#") as watcher,
        secure.box(mine) as node,
        nothing_but(watcher, node, topics.status(mine.node)) as heard,
    ):
        for topic in forbidden:
            node.publish(topic, b"forbidden", retain=True)

    assert heard == []


def test_who_speaks_mqtt_5_is_told_that_it_was_refused(secure: SecureBroker, nodes: tuple[Box, Box]) -> None:
    """MQTT 3.1.1 has no word for it: the broker acknowledges and throws away."""
    mine, other = nodes
    with secure.box(mine, version=MQTTv5) as node:
        assert node.publish(topics.counts(other.node, "s")) == "Not authorized"
        assert node.publish(topics.counts(mine.node, "s")) != "Not authorized"
    with secure.box(mine) as node:
        assert node.publish(topics.counts(other.node, "s")) == "Success"


@BOTH
def test_a_node_hears_nothing_of_others(secure: SecureBroker, nodes: tuple[Box, Box], login: Login) -> None:
    """Every subscription is granted, and what the rules allow is delivered: nothing retained, nothing that comes."""
    mine, other = nodes[::-1] if login else nodes
    told = topics.committed(other.node)
    wanted = ["#", "+/+/+/+", "footfall/v1/#", "footfall/v1/+/committed", told, "$SYS/#", "$share/x/footfall/v1/#"]
    with secure.service("speaker") as ingest, secure.box(other) as theirs, secure.box(mine) as node:
        ingest.publish(told, b"of another", retain=True)
        theirs.publish(topics.status(other.node), b"of another", retain=True)
        granted = node.subscribe(topics.committed(mine.node), *wanted)
        with nothing_but(node, ingest, topics.committed(mine.node)) as heard:
            ingest.publish(told, b"of another", retain=True)
            theirs.publish(topics.counts(other.node, "s"))
            theirs.publish(topics.health(other.node, "s"), retain=True)

    assert set(granted) == {"Granted QoS 1"}
    assert heard == []
    assert node.kept == []


def test_a_node_that_joins_a_group_it_can_guess_takes_nothing_from_it(
    secure: SecureBroker, nodes: tuple[Box, Box]
) -> None:
    """Mosquitto would count it as a member and throw away its share of everybody's counts.

    So the group has a name at the broker that only those with the password know.
    """
    mine, other = nodes
    settings = IngestMqttSettings(
        host="127.0.0.1",
        port=secure.ports[1883],
        username="footfall-ingest",
        password=secure.passwords["footfall-ingest"],
        share="footfall-ingest",
    )
    counts = topics.counts(other.node, "s")
    inboxes = [Inbox(Limits(interval_s=0.02, window=1)) for _ in range(2)]
    with (
        Subscriber(settings, inboxes[0], [counts], []) as first,
        Subscriber(settings, inboxes[1], [counts], []) as second,
        secure.box(mine) as thief,
        secure.box(other) as node,
    ):
        thief.subscribe(f"$share/{settings.share}/{counts}", "$share/footfall-ingest/#")
        wait_until(lambda: first.subscribed and second.subscribed, what="the two members")
        for _ in range(60):
            node.publish(counts)
        wait_until(lambda: sum(map(len, inboxes)) == 60, what="60 counts")

        assert all(map(len, inboxes))
        # And if it knew it:
        thief.subscribe(f"$share/{settings.group}/{counts}")
        with nothing_but(node, node, topics.status(other.node)):
            node.subscribe(topics.status(other.node))
            for _ in range(60):
                node.publish(counts)
        assert sum(map(len, inboxes)) < 120


@BOTH
def test_a_last_will_into_another_topic_is_not_published(
    secure: SecureBroker, nodes: tuple[Box, Box], login: Login
) -> None:
    """The will of a node is its own status; what the broker was asked to say elsewhere it does not say."""
    mine, other = nodes[::-1] if login else nodes
    wills = [topics.status(other.node), topics.committed(mine.node), topics.status(mine.node)]
    with secure.watcher() as watcher:
        for topic in wills:
            with secure.box(mine, will=(topic, b"will")) as node:
                node.cut()
        wait_until(lambda: (wills[-1], b"will") in watcher.heard, what="the will that is allowed")

    assert [topic for topic, payload in watcher.heard if payload == b"will"] == wills[-1:]


def test_nobody_is_let_in_who_should_not_be(secure: SecureBroker, nodes: tuple[Box, Box]) -> None:
    """Without name, with a wrong password, with an account of another listener, without TLS."""
    mine, signed = nodes
    service = secure.passwords["footfall-ingest"]
    tries = {
        "wrong password": secure.box(mine, password=f"{mine.password}x"),
        "no password": secure.box(mine, password=None),
        "no name": secure.box(mine, username=None, password=None),
        "no such account": secure.box(mine, username="nobody"),
        "a node without a password": secure.box(mine, username=signed.account),
        "a service where nodes are": secure.box(mine, username="footfall-ingest", password=service),
        "a node where services are": secure.service(
            "x", "footfall-ingest", username=mine.account, password=mine.password
        ),
        "no name where services are": secure.service("x", "footfall-ingest", username=None, password=None),
        "no TLS": secure.box(mine, tls=None),
        "no TLS for certificates": secure.box(signed, tls=None),
    }
    for name, connection in tries.items():
        with connection:
            assert connection.refused, name


def test_tls_below_1_2_and_its_old_ciphers_are_refused(secure: SecureBroker, nodes: tuple[Box, Box]) -> None:
    """Of 1.2 only what is still good; 1.3 as it is."""
    mine, _ = nodes

    def refused(minimum: ssl.TLSVersion, maximum: ssl.TLSVersion, ciphers: str = "DEFAULT:@SECLEVEL=0") -> str:
        tls = ssl.create_default_context(cafile=mine.folder / f"{mine.account}-ca.crt")
        tls.minimum_version, tls.maximum_version = minimum, maximum
        tls.set_ciphers(ciphers)
        with secure.box(mine, tls=tls) as node:
            return node.refused

    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        assert "version" in refused(ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1).lower()
    assert refused(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256")
    assert not refused(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert not refused(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)


def test_certificates_of_others_are_refused(
    secure: SecureBroker, nodes: tuple[Box, Box], tmp_path: Path, unique: str
) -> None:
    """One of another authority, one of itself, the broker's own, none at all; and a box refuses another broker."""
    from footfall_ingest.nodes_certificates import Authority, new_authority

    _, signed = nodes

    def stranger(name: str) -> Authority:
        made = new_authority(name)
        (tmp_path / "ca.crt").write_bytes(made.certificate)
        (tmp_path / "ca.key").write_bytes(made.key)
        return Authority.load(tmp_path / "ca.crt", tmp_path / "ca.key")

    def refused(certificate: bytes | None, key: bytes | None = None) -> str:
        tls = ssl.create_default_context(cafile=secure.files / "ca.crt")
        if certificate is not None and key is not None:
            (tmp_path / "c").write_bytes(certificate)
            (tmp_path / "k").write_bytes(key)
            tls.load_cert_chain(tmp_path / "c", tmp_path / "k")
        with secure.box(signed, tls=tls) as node:
            return node.refused

    other = stranger("footfall nodes").sign_node(signed.account, 10)
    itself = new_authority(signed.account)
    server = secure.files / "server.crt", secure.files / "server.key"
    good = [(signed.folder / f"{signed.account}-{name}").read_bytes() for name in ("mqtt.crt", "mqtt-key")]

    assert refused(other.certificate, other.key)
    assert refused(itself.certificate, itself.key)
    assert refused(*(path.read_bytes() for path in server))
    assert refused(None)
    assert not refused(*good)
    with secure.box(signed, tls=ssl.create_default_context(cafile=tmp_path / "ca.crt")) as node:
        assert "certificate verify failed" in node.refused


def test_an_expired_certificate_is_refused(secure: SecureBroker, unique: str, tmp_path: Path) -> None:
    """It was good until it ended; the account's rules are there all the same."""
    box = secure.add("add", unique, "--certificate")
    signer = nodes_accounts.authority(IngestSettings.load(secure.config).nodes)
    ended = signer.sign_node(unique, 0)
    (tmp_path / "c").write_bytes(ended.certificate)
    (tmp_path / "k").write_bytes(ended.key)
    tls = ssl.create_default_context(cafile=secure.files / "ca.crt")
    tls.load_cert_chain(tmp_path / "c", tmp_path / "k")

    def refused() -> bool:
        with secure.box(box, tls=tls) as node:
            return bool(node.refused)

    wait_until(refused, what="the end of the certificate", every=0.3)
    with secure.box(box) as node:
        assert not node.refused


@BOTH
def test_a_node_throws_out_nobody(secure: SecureBroker, nodes: tuple[Box, Box], login: Login) -> None:
    """Whatever client id it gives, its own account is taken: neither another node nor footfall-ingest has to go."""
    mine, other = nodes[::-1] if login else nodes
    with secure.service("footfall-ingest", clean=False) as ingest, secure.box(other) as theirs:
        for client_id in (other.account, "footfall-ingest"):
            with secure.box(mine, client_id=client_id) as node:
                assert node.alive
                node.publish(topics.status(mine.node))
        theirs.publish(topics.status(other.node))
        ingest.publish(topics.committed(other.node))

        assert theirs.alive
        assert ingest.alive


def test_a_certificate_counts_and_not_the_name_beside_it(secure: SecureBroker, nodes: tuple[Box, Box]) -> None:
    """Whoever logs in with a certificate and another account's name and password is who the certificate says."""
    other, mine = nodes
    with (
        secure.watcher() as watcher,
        secure.box(mine, username=other.account, password=other.password) as node,
        nothing_but(watcher, node, topics.status(mine.node)) as heard,
    ):
        node.publish(topics.counts(other.node, "s"))

    assert heard == []


def test_two_boxes_with_one_account_throw_each_other_out(secure: SecureBroker, nodes: tuple[Box, Box]) -> None:
    """And nobody else."""
    mine, other = nodes
    with secure.box(other) as theirs, secure.box(mine) as first, secure.box(mine) as second:
        first.wait_gone()

        assert second.alive
        assert theirs.alive


def test_what_is_too_large_is_not_passed_on(secure: SecureBroker, nodes: tuple[Box, Box]) -> None:
    """A report has room. Above 128 KiB nothing arrives; above 4 MiB the sender is disconnected."""
    mine, _ = nodes
    counts = topics.counts(mine.node, "s")
    with secure.watcher() as watcher, secure.box(mine) as node:
        with nothing_but(watcher, node, topics.status(mine.node)) as heard:
            for size in (65536, 131_072, 131_073, 1_000_000):
                node.publish(counts, bytes(size))

        assert [len(payload) for _, payload in heard] == [65536, 131_072]
    with secure.box(mine) as node:
        node._client.publish(counts, bytes(4_300_000), 1)
        node.wait_gone()


@pytest.mark.parametrize(
    ("service", "allowed", "forbidden"),
    [
        (
            "footfall-ingest",
            ["footfall/v1/{node}/committed", "footfall/v1/_probe/x"],
            ["footfall/v1/{node}/s/counts", "footfall/v1/{node}/status", "footfall/public/v1/status", "x"],
        ),
        (
            "footfall-public",
            ["footfall/public/v1/markt/15min", "footfall/public/v1/status"],
            ["footfall/v1/{node}/committed", "footfall/v1/_probe/x", "footfall/public", "x"],
        ),
    ],
)
def test_footfalls_own_processes_may_write_what_they_need(
    secure: SecureBroker, unique: str, service: str, allowed: list[str], forbidden: list[str]
) -> None:
    """Each its own topics: a fault in one does not become a fault in another."""
    expected = [topic.format(node=unique) for topic in allowed]
    with (
        secure.watcher() as watcher,
        secure.service(f"{unique}-{service}", service) as process,
        nothing_but(watcher, process, expected[0]) as heard,
    ):
        for topic in (*forbidden, *allowed):
            process.publish(topic.format(node=unique))

    assert [topic for topic, _ in heard] == expected


@BOTH
def test_a_revoked_account_is_gone_at_once(secure: SecureBroker, unique: str, login: Login) -> None:
    """Its connection ends, its last will is said, it is not let in again, its rules are gone; another node stays."""
    box, other = secure.add("add", unique, *login), secure.add("add", f"{unique}-other", *login)
    status = topics.status(unique)
    with (
        secure.watcher(status) as watcher,
        secure.box(other) as theirs,
        secure.box(box, will=(status, b"offline")) as node,
    ):
        node.publish(status, b"online", retain=True)

        secure.node("revoke", unique)

        node.wait_gone()
        wait_until(lambda: watcher.heard[-1:] == [(status, b"offline")], what="the will")
        theirs.publish(topics.status(other.node), retain=True)
        assert theirs.alive
    with secure.box(box) as again:
        assert again.refused
    with secure.watcher(status) as later:
        later.subscribe(topics.status(other.node))
        wait_until(lambda: (topics.status(other.node), b"x") in later.kept, what="what the other one had retained")
        assert unique not in [topic.split("/")[2] for topic, _ in later.kept], (
            "what a revoked one had is not handed out"
        )
    for name in ("nodes.passwd", "nodes.acl"):
        assert unique not in (secure.files / name).read_text().replace(f"{unique}-other", "")


def test_a_revoked_certificate_does_not_come_back_by_an_old_session(secure: SecureBroker, unique: str) -> None:
    """TLS lets who has been there take up where it was, without showing the certificate again."""
    import socket

    box = secure.add("add", unique, "--certificate")
    tls = ssl.create_default_context(cafile=secure.files / "ca.crt")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(box.folder / f"{unique}-mqtt.crt", box.folder / f"{unique}-mqtt-key")

    def shake_hands(session: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
        with (
            socket.create_connection((HOST, secure.ports[8884])) as sock,
            tls.wrap_socket(sock, server_hostname=HOST, session=session) as connection,
        ):
            assert connection.session_reused is (session is not None)
            return connection.session

    secure.settle()
    session = shake_hands()
    shake_hands(session)
    secure.node("revoke", unique)

    with pytest.raises(ssl.SSLError, match="revoked"):
        shake_hands(session)


@BOTH
def test_a_second_account_does_not_disturb_the_first(secure: SecureBroker, unique: str, login: Login) -> None:
    """Both may be used at the same time for the same topics; taking the old one away leaves the new one connected."""
    old = secure.add("add", unique, *login)
    counts = topics.counts(unique, "s")
    with secure.watcher(counts) as watcher, secure.box(old) as before:
        new = secure.add("rotate", unique)
        with secure.box(new) as after:
            before.publish(counts, b"old")
            after.publish(counts, b"new")
            secure.node("revoke", "--account", old.account)
            before.wait_gone()
            after.publish(counts, b"still")
            wait_until(lambda: len(watcher.heard) == 3, what="all three")

    assert new.account == f"{unique}.1"
    assert new.settings["node"] == unique
    assert [payload for _, payload in watcher.heard] == [b"old", b"new", b"still"]


def test_a_password_account_may_become_a_certificate(secure: SecureBroker, unique: str) -> None:
    """`rotate --certificate`; the box gets another port and no password."""
    secure.add("add", unique)

    new = secure.add("rotate", unique, "--certificate")

    assert new.password is None
    assert new.mqtt["port"] == secure.ports[8884]
    with secure.box(new) as node:
        assert not node.refused


def test_what_waits_for_ingest_outlives_a_reload_and_a_restart(own: SecureBroker, unique: str) -> None:
    """The commands reload the broker often; what it holds for who is away is not touched by that."""
    box = own.add("add", unique)
    counts = topics.counts(unique, "s")
    with own.service("footfall-ingest", clean=False, filters=[counts]):
        pass
    with own.box(box) as node:
        node.publish(counts, b"1")
        own.reload()
        node.publish(counts, b"2")
    own.stop()
    own.start()
    with own.box(box) as node:
        node.publish(counts, b"3")
    with own.service("footfall-ingest", clean=False) as ingest:
        wait_until(lambda: len(ingest.heard) == 3, what="what waited")

        assert [payload for _, payload in ingest.heard] == [b"1", b"2", b"3"]


def test_the_server_certificate_is_changed_without_an_interruption(own: SecureBroker, unique: str) -> None:
    """`node ca server`: who is connected stays, who comes next sees the new one."""
    box = own.add("add", unique)

    def serial() -> str:
        import socket

        tls = ssl.create_default_context(cafile=own.files / "ca.crt")
        with (
            socket.create_connection((HOST, own.ports[8883])) as sock,
            tls.wrap_socket(sock, server_hostname=HOST) as connection,
        ):
            return str((connection.getpeercert() or {})["serialNumber"])

    before = serial()
    with own.box(box) as node:
        own.node("ca", "server", "--host", HOST, "--host", "127.0.0.1")
        wait_until(lambda: serial() != before, what="the new certificate")
        node.publish(topics.status(unique))

        assert node.alive


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (
            "nodes.acl",
            "topic reed footfall/v1/#\n",
            "nodes.acl line 1: 'topic reed footfall/v1/#' has 'reed' where one of",
        ),
        ("services.acl", "user\n", "services.acl line 1: 'user' says no name"),
        ("nodes.passwd", "jena-nord:geheim\n", "nodes.passwd line 1: what follows 'jena-nord' is no hash"),
        ("nodes.crl", "hello\n", "nodes.crl: is no list of revoked certificates"),
        ("server.crt", "hello\n", "server.crt"),
        ("ca.crt", "hello\n", "ca.crt: is no certificate"),
    ],
)
def test_what_the_broker_could_not_read_is_found_before_it_reloads(
    own: SecureBroker, unique: str, file: str, content: str, said: str
) -> None:
    """`node check` says what and where with status 1; and the files of accounts are not changed further."""
    own.add("add", unique)
    assert own.node("check").endswith("the broker can read its files again\n")
    (own.files / file).write_text(content)

    assert said in own.node("check", status=1)
    if file.endswith((".acl", ".passwd")):
        assert said in own.node("rotate", unique, status=1)
        assert (own.files / file).read_text() == content


def test_why_the_check_stands_before_a_reload(own: SecureBroker, unique: str) -> None:
    """What mosquitto does with a mistake in its rules: 2.0 goes on without any, 2.1 ends.

    Should this fail with a newer one, docs/broker.md and the file for systemd have something to take back.
    """
    mine, other = own.add("add", f"{unique}-a"), own.add("add", f"{unique}-b")
    with (own.files / "nodes.acl").open("a") as file:
        file.write("a line of no kind\n")
    assert own.process is not None
    with own.watcher() as watcher, own.box(mine) as node:
        subprocess.run(["sh", "-c", f"kill -HUP $(cat {own.folder}/pid)"], check=True)

        def ended_or_open() -> bool:
            assert own.process is not None
            if own.process.poll() is not None:
                return True
            node._client.publish(topics.counts(other.node, "s"), b"everything goes", qos=1)
            return any(payload == b"everything goes" for _, payload in watcher.heard)

        wait_until(ended_or_open, what="the end of the broker, or of its rules", every=0.1)


@pytest.mark.skipif("os.geteuid() != 0", reason="only root can make a file somebody else's")
def test_a_file_that_the_broker_may_not_read_is_a_fault(own: SecureBroker) -> None:
    """Who writes it as root with a strict umask takes it away from the broker."""
    shutil.chown(own.files / "nodes.acl", "root", "root")
    (own.files / "nodes.acl").chmod(0o600)

    assert "may not read" in own.node("check", status=1)
