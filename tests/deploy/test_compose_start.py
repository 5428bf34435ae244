"""What compose.yaml starts, by hand from the same files and variables: a count that a box sends can be asked for.

No container engine is needed. `footfall_testing.compose.Translation` says what differs from containers: paths, ports,
and names of services. What cannot be tried without an engine is what its images are made of, and what the engine does:
networks, limits, rights.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from footfall_contract import decode_notice, topics
from footfall_contract.report import SlotReport, encode_json
from footfall_contract.words import Direction, PassageClass
from footfall_demo.broker import find_mosquitto
from footfall_demo.ports import free_port
from footfall_demo.postgres import EmbeddedPostgres, _wheel
from footfall_role.children import die_with_parent
from footfall_role.mqtt import hang_up
from footfall_testing import compose
from footfall_testing.accounts import Accounts
from footfall_testing.compose import ROOT, Translation, secrets_of
from footfall_testing.waiting import wait_until

pytestmark = [pytest.mark.xdist_group("compose"), pytest.mark.timeout(900)]

WEB_HOST = "zaehlung.localhost"
"""Caddy makes certificates for names that end so by itself."""
MQTT_HOST = "broker.example.org"

TOKEN = "operator-token"
"""Name of the file, outside of what was prepared, with what prepare.sh showed once."""

STATIONS = ROOT / "deploy" / "jena" / "stations.geojson"
PATIENCE_S = 60
NODE, SENSOR, STATION, COUNT = "jena-sued", "markt-1", "markt", 7
MODULES = {"footfall-ingest": "footfall_ingest", "footfall-api": "footfall_api"}


@dataclass
class Process:
    """A process with its log."""

    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)

    def follow(self) -> None:
        """Read what it says, until it ends."""
        assert self.process.stdout is not None
        self.log.extend(iter(self.process.stdout.readline, ""))

    @property
    def said(self) -> str:
        """All of it."""
        return "".join(self.log)


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], user: int | None = None) -> Iterator[Process]:
    """A context in which `command` runs, as `user` if one is given; asked to stop at the end."""
    account = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    with subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  # calls one C function that was loaded before
        **account,  # type: ignore[call-overload]  # which of its forms this is, mypy cannot tell from a dict
    ) as popen:
        process = Process(popen)
        reader = threading.Thread(target=process.follow)
        reader.start()
        try:
            yield process
        finally:
            popen.terminate()
            try:
                popen.wait(20)
            finally:
                popen.kill()
                reader.join()


@dataclass(frozen=True)
class City:
    """All that was started."""

    at: Translation
    processes: Mapping[str, Process]
    ports: Mapping[str, int]
    token: str

    @property
    def api(self) -> str:
        """Where the API answers, without a proxy."""
        return f"http://127.0.0.1:{self.ports['api:8000']}"


def ours(at: Translation, name: str) -> list[str]:
    """The command line of a service of ours, run by this Python."""
    words = at.words(name)
    image = f"footfall-{at.service(name)['build']['target']}"
    program = next(word for word in (*words, image) if word in MODULES)
    rest = [word for word in words if word != program]
    return [sys.executable, "-m", MODULES[program], *rest]


@pytest.fixture(scope="module")
def prepared(open_folder: Path) -> Translation:
    """`deploy/compose` as prepare.sh leaves it; what it asks a container for, footfall-ingest does here."""
    if os.geteuid() != 0:
        pytest.skip("prepare.sh gives each secret to the account of a container: only root can")
    folder = compose.copied(open_folder / f"compose-{uuid4().hex[:8]}")
    names = {"WEB_HOST": WEB_HOST, "MQTT_HOST": MQTT_HOST, "ACME_EMAIL": "it@example.org", "VERSION": "0.1.0"}
    document = compose.read({**names, "WEB_SUBNET": "127.0.0.0/8"})
    ports = ["database:5432", "mosquitto:1883", "api:8000", "api:9105", "ingest:9102"]
    at = Translation(
        folder, document, {name: f"127.0.0.1:{free_port()}" for name in ports}, open_folder / f"here-{uuid4().hex[:8]}"
    )
    tool = f"{sys.executable} -m footfall_ingest node"
    environment = {**at.environment("authority"), "NODE": tool, "FOOTFALL_NODES__FOLDER": str(folder / "broker")}
    done = compose.prepare(folder, WEB_HOST, "it@example.org", MQTT_HOST, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    again = compose.prepare(folder, environment=environment)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "is new" not in again.stdout
    assert "shown this once" not in again.stdout
    token = re.search(r"/betrieb, shown this once; .*: ([0-9a-f]{48})$", done.stdout, re.MULTILINE)
    assert token
    assert token[1] not in (folder / "secrets" / "api-operator-token").read_text()
    at.scratch.mkdir(exist_ok=True)
    (at.scratch / TOKEN).write_text(token[1])
    return at


def test_each_secret_is_for_the_account_of_the_one_service_that_reads_it(prepared: Translation) -> None:
    """And for nobody else, neither on the machine nor in another container; none is empty but that for mail."""
    for service in prepared.document["services"].values():
        if service["user"] == "0:0":
            continue
        for name in secrets_of(service).values():
            path = prepared.compose / "secrets" / name
            there = path.stat()
            assert f"{there.st_uid}:{there.st_gid}" == service["user"], name
            assert there.st_mode & 0o777 == 0o400, name
            assert there.st_size >= 24 or name == "smtp-password", name
    assert (prepared.compose / "secrets").stat().st_mode & 0o777 == 0o700
    assert (prepared.compose / "authority").stat().st_mode & 0o777 == 0o700


def test_everything_that_is_mounted_is_there(prepared: Translation) -> None:
    """Once prepare.sh has run: compose would make an empty folder of what is missing."""
    for name, service in prepared.document["services"].items():
        for source in compose.mounts_of(service).values():
            assert (prepared.compose / source).exists(), f"{name}: {source}"


def test_what_is_made_for_containers_differs_where_it_has_to(prepared: Translation) -> None:
    """One listener is open to the network of containers, and three addresses are names."""
    made, shipped = prepared.compose / "made", prepared.compose.parent
    for own, origin, number in (
        (made / "mosquitto" / "footfall.conf", shipped / "mosquitto" / "footfall.conf", 1),
        (made / "prometheus" / "prometheus.yml", shipped / "prometheus" / "prometheus.yml", 3),
        (made / "prometheus" / "alerts.yml", shipped / "prometheus" / "alerts.yml", 0),
    ):
        lines = list(zip(own.read_text().splitlines(), origin.read_text().splitlines(), strict=True))
        assert sum(ours != theirs for ours, theirs in lines) == number, own.name
    text = (made / "prometheus" / "prometheus.yml").read_text()
    assert set(re.findall(r"127\.0\.0\.1:\d+", text)) == {"127.0.0.1:9090"}
    assert not re.search(
        "127.0.0.1|example", "".join(p.read_text() for p in (made / "prometheus/targets").glob("[!b]*"))
    )


def test_what_was_prepared_is_not_made_anew(prepared: Translation) -> None:
    """Secrets and settings stay; a version that has changed is written down, and names are asked for once only."""
    before = {path: path.read_bytes() for path in (prepared.compose / "secrets").iterdir()}
    told = {**prepared.environment("authority"), "FOOTFALL_NODES__FOLDER": str(prepared.compose / "broker")}
    refused = compose.prepare(prepared.compose, "other.example.org", "it@example.org", environment=told)

    assert refused.returncode == 1
    assert "there is a .env already" in refused.stderr
    assert {path: path.read_bytes() for path in (prepared.compose / "secrets").iterdir()} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say which names to use"),
        (["zaehlung.example.org"], "say which names to use"),
        (["Zählung", "it@example.org"], "no name of a web site"),
        (["localhost", "it@example.org"], "no name of a web site"),
        (["zaehlung.example.org", "it"], "no e-mail address"),
        (["zaehlung.example.org", "it@example.org", "tcp://broker"], "no name of a broker"),
    ],
)
def test_names_that_cannot_be_used_are_refused_before_anything_is_made(
    tmp_path: Path, words: list[str], said: str
) -> None:
    """With what would be right."""
    if os.geteuid() != 0:
        pytest.skip("prepare.sh wants to be root")
    folder = compose.copied(tmp_path)
    done = compose.prepare(folder, *words)

    assert done.returncode == 1
    assert said in done.stderr
    assert not (folder / ".env").exists()
    assert not (folder / "secrets").exists()


@pytest.fixture(scope="module")
def city(prepared: Translation, open_folder: Path) -> Iterator[City]:
    """Database, accounts, migration, broker, ingest and API, in the order in which they wait for each other."""
    if not find_mosquitto():
        pytest.skip("mosquitto is not installed (Debian: mosquitto)")
    ports = {name: int(address.rpartition(":")[2]) for name, address in prepared.addresses.items()}
    ports |= {"mosquitto:8883": free_port(), "mosquitto:8884": free_port()}
    with ExitStack() as started:
        started.enter_context(database(prepared, open_folder, ports["database:5432"]))
        finish(ours(prepared, "migrate"), prepared.environment("migrate"))
        ingest = prepared.environment("ingest")
        finish([*ours(prepared, "ingest"), "stations", "apply", str(STATIONS)], ingest)
        processes = {
            "mosquitto": started.enter_context(mosquitto(prepared, ports)),
            "ingest": started.enter_context(running(ours(prepared, "ingest"), ingest)),
            "api": started.enter_context(running(ours(prepared, "api"), prepared.environment("api"))),
        }
        found = City(prepared, processes, ports, (prepared.scratch / TOKEN).read_text())
        wait_until(lambda: answers(f"{found.api}/readyz"), what="the API to be ready", timeout=120)
        wait_until(lambda: "connected to the broker" in processes["ingest"].said, what="ingest", timeout=120)
        yield found


def finish(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a command that ends well; what it said."""
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def database(at: Translation, open_folder: Path, port: int) -> Iterator[None]:
    """PostgreSQL with the shipped pg_hba.conf and accounts.

    The image has TimescaleDB, this one not. Its superuser is called otherwise and comes by the loopback, so the first
    line of pg_hba.conf is another one.
    """
    flags = dict(word.removeprefix("-c").split("=", 1) for word in at.words("database") if word.startswith("-c"))
    shipped = Path(flags.pop("hba_file")).read_text()
    hba = at.scratch / "pg_hba.conf"
    hba.parent.mkdir(parents=True, exist_ok=True)
    hba.write_text("host all footfall 127.0.0.1/32 scram-sha-256\n" + re.sub("(?m)^local .*", "", shipped))
    hba.chmod(0o644)
    at.scratch.chmod(0o755)
    flags = {name: value for name, value in flags.items() if not name.startswith("timescaledb.")}
    server = EmbeddedPostgres(
        open_folder / f"postgres-{uuid4().hex[:8]}", port, settings={**flags, "hba_file": str(hba), "fsync": "off"}
    )
    with server:
        folder = at.scratch / "run-secrets"
        folder.mkdir()
        for target, name in secrets_of(at.service("database")).items():
            shutil.copy(at.compose / "secrets" / name, folder / Path(target).name)
        done = Accounts(server.dsn("postgres"), folder).run()
        assert done.returncode == 0, done.stderr
        yield
    server.remove()


@contextmanager
def mosquitto(at: Translation, ports: Mapping[str, int]) -> Iterator[Process]:
    """The broker, as the account that it has in its container: that one can read what it has to."""
    here = at.scratch / "mosquitto"
    (here / "conf.d").mkdir(parents=True)
    main, rest = (at.compose / name for name in ("mosquitto.conf", "made/mosquitto/footfall.conf"))
    text = at.text("mosquitto", main.read_text()).replace(str(at.compose / "made/mosquitto"), str(here / "conf.d"))
    (here / "mosquitto.conf").write_text(text)
    text = at.text("mosquitto", rest.read_text())
    for name, port in ports.items():
        service, _, number = name.partition(":")
        if service == "mosquitto":
            text, found = re.subn(rf"(?m)^listener {number}$", f"listener {port} 127.0.0.1", text)
            assert found == 1, number
    (here / "conf.d" / "footfall.conf").write_text(text)
    user = int(at.service("mosquitto")["user"].partition(":")[0])
    os.chown(at.volume("broker"), user, user)
    command = [str(find_mosquitto()), "-c", str(here / "mosquitto.conf")]
    with running(command, dict(os.environ), user) as process:
        for name in ("mosquitto:1883", "mosquitto:8883", "mosquitto:8884"):
            wait_until(lambda port=ports[name]: listens(port) or process.process.poll() is not None, what=name)
            assert process.process.poll() is None, process.said
        yield process


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether it is answered with 200."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def password(city: City) -> str:
    """An account for a box, made as an administrator makes it; the broker knows it at once."""
    broker = city.processes["mosquitto"].process.pid
    environment = {**city.at.environment("nodes"), "FOOTFALL_NODES__FOLDER": str(city.at.compose / "broker")}
    # In the container process 1 is the broker.
    environment["FOOTFALL_NODES__RELOAD"] = environment["FOOTFALL_NODES__RELOAD"].replace("kill(1,", f"kill({broker},")
    environment["FOOTFALL_NODES__RELOAD"] = environment["FOOTFALL_NODES__RELOAD"].replace(
        '"python"', f'"{sys.executable}"'
    )
    out = city.at.scratch / "box"
    finish([sys.executable, "-m", "footfall_ingest", "node", "add", NODE, "--out", str(out)], environment)
    (found,) = out.glob(f"{NODE}-mqtt-password")
    return found.read_text().strip()


@contextmanager
def box(city: City, password: str, heard: Callable[[str, bytes], None]) -> Iterator[Client]:
    """A client at the listener for boxes. The name in the broker's certificate is compared by the test below."""
    context = ssl.create_default_context(cafile=str(city.at.compose / "broker" / "ca.crt"))
    context.check_hostname = False
    client = Client(CallbackAPIVersion.VERSION2, client_id=NODE)
    client.username_pw_set(NODE, password)
    client.tls_set_context(context)
    client.tls_insecure_set(True)
    client.on_connect = lambda found, *_: found.subscribe(topics.committed(NODE), 1)
    client.on_message = lambda _client, _userdata, message: heard(message.topic, bytes(message.payload))
    client.connect("127.0.0.1", city.ports["mosquitto:8883"])
    client.loop_start()
    try:
        yield client
    finally:
        hang_up(client)


@pytest.fixture(scope="module")
def sent(city: City, password: str) -> int:
    """The beginning (UTC seconds) of a minute in which seven passed: a box has sent it and knows that it is stored."""
    start = int(time.time()) // 60 * 60 - 120
    report = SlotReport(
        SENSOR, uuid4(), 0, start, 60, 1, (60,), (0,), (Direction.IN,), (PassageClass.PEDESTRIAN,), (COUNT,)
    )
    heard: list[bytes] = []
    with box(city, password, lambda _topic, payload: heard.append(payload)) as client:
        client.publish(topics.counts(NODE, SENSOR), encode_json(report), qos=1).wait_for_publish(20)
        wait_until(
            lambda: any(SENSOR in decode_notice(payload).sensors for payload in heard if payload),
            what=f"the commit notice\n{city.processes['ingest'].said}",
        )
    return start


def counted(client: httpx.Client, start: int) -> int | None:
    """What the API says of that minute."""
    begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (start, start + 60))
    question = {"from": begin, "to": end, "resolution": "1min"}
    answer = client.get(f"/api/v1/stations/{STATION}/counts", params=question)
    assert answer.status_code == 200, answer.text
    (value,) = answer.json()["values"]
    count: int | None = value["count"]
    return count


def test_a_count_that_a_box_sends_can_be_asked_for(city: City, sent: int) -> None:
    """From the box's TLS connection to the API's answer, each process with the secrets that it is given."""
    with httpx.Client(base_url=city.api, timeout=PATIENCE_S) as client:
        assert counted(client, sent) == COUNT


def test_the_broker_proves_to_be_the_one_that_boxes_are_told_of(city: City) -> None:
    """Its certificate is of the city's own authority, and for MQTT_HOST."""
    context = ssl.create_default_context(cafile=str(city.at.compose / "broker" / "ca.crt"))
    with (
        socket.create_connection(("127.0.0.1", city.ports["mosquitto:8883"])) as plain,
        context.wrap_socket(plain, server_hostname=MQTT_HOST) as secured,
    ):
        assert secured.version() == "TLSv1.3"


def test_metrics_are_answered_where_prometheus_asks(city: City, sent: int) -> None:
    """The targets that prepare.sh writes are those on which ingest and API answer."""
    text = (city.at.compose / "made" / "prometheus" / "targets" / "footfall.yml").read_text()
    for target in re.findall(r'"([\w-]+:\d+)"', text):
        assert httpx.get(f"http://{city.at.addresses[target]}/metrics", timeout=PATIENCE_S).status_code == 200
    stored = httpx.get(f"http://{city.at.addresses['ingest:9102']}/metrics", timeout=PATIENCE_S).text
    assert "footfall_ingest_reports_stored_total 1.0" in stored


def test_the_health_checks_say_that_they_are_well(city: City) -> None:
    """The same commands as in the containers, but for the port."""
    for name in ("ingest", "api"):
        test = city.at.service(name)["healthcheck"]["test"]
        port = next(number for number in re.findall(r":(\d+)/", test[-1]))
        words = [sys.executable, *test[2:-1], test[-1].replace(f":{port}/", f":{city.ports[f'{name}:{port}']}/")]
        finish(words, dict(os.environ))


@pytest.fixture(scope="module")
def files(city: City, sent: int) -> str:
    """The files for open data, written as each night; the path of one that is served."""
    environment = city.at.environment("dump")
    (city.at.volume("files") / "files").mkdir(exist_ok=True)
    finish(ours(city.at, "dump"), environment)
    assert (city.at.volume("textfile") / "footfall_dump.prom").is_file()
    return "/files/stations.geojson"


def test_the_nightly_files_are_served(city: City, files: str) -> None:
    """The command and the API mean the same folder."""
    assert httpx.get(f"{city.api}{files}", timeout=PATIENCE_S).json()["type"] == "FeatureCollection"


def test_the_nightly_backup_is_made(city: City, sent: int) -> None:
    """By its own account, into the folder that it has, and what is said for Prometheus is where it is looked for."""
    environment = city.at.environment("backup")
    environment["PATH"] = f"{_wheel() / 'pginstall' / 'bin'}{os.pathsep}{environment['PATH']}"  # as in the image
    finish(ours(city.at, "backup"), environment)

    (archive,) = (city.at.compose / "backup").glob("footfall-*.dump")
    assert archive.stat().st_mode & 0o077 == 0
    assert "footfall_backup_last_run_success 1" in (city.at.volume("textfile") / "footfall_backup.prom").read_text()


# -- TLS for the web --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """The web site as the world sees it, at two ports of the loopback: with TLS, and without."""

    port: int
    plain: int
    context: ssl.SSLContext

    def client(self) -> httpx.Client:
        """Asks for the site by its name, wherever it is here."""
        transport = httpx.HTTPTransport(verify=self.context)
        return httpx.Client(
            transport=_Here(transport, self.port),
            base_url=f"https://{WEB_HOST}",
            headers={"Host": WEB_HOST},
            timeout=PATIENCE_S,
        )

    def answers(self) -> bool:
        """Whether it has its certificate, and the API behind it."""
        try:
            with self.client() as client:
                return client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False


class _Here(httpx.BaseTransport):
    """Leads to the loopback what is meant for the site, with its name in TLS and in the header Host."""

    def __init__(self, transport: httpx.HTTPTransport, port: int) -> None:
        self._transport = transport
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        request.extensions = {**request.extensions, "sni_hostname": WEB_HOST}
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()


@contextmanager
def caddy(city: City) -> Iterator[Site]:
    """Caddy with the shipped files; besides, it is told not to make the whole machine trust its own authority."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("Caddy is not installed (Debian: caddy)")
    here = city.at.scratch / "caddy"
    (here / "sites").mkdir(parents=True)
    deploy = ROOT / "deploy" / "caddy"
    text = (deploy / "Caddyfile").read_text()
    assert text.count("\tadmin off\n") == 1
    (here / "Caddyfile").write_text(text.replace("\tadmin off\n", "\tadmin off\n\tskip_install_trust\n"))
    shutil.copy(deploy / "watch.caddy", here / "sites")
    plain, secure = free_port(), free_port()
    told = {**city.at.environment("caddy"), "HTTP_PORT": str(plain), "HTTPS_PORT": str(secure)}
    own = {"XDG_DATA_HOME": str(here / "data"), "XDG_CONFIG_HOME": str(here / "config"), "HOME": str(here)}
    command = [program, "run", "--config", str(here / "Caddyfile"), "--adapter", "caddyfile"]
    with running(command, {**told, **own}) as process:
        root = here / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        wait_until(root.exists, what=f"Caddy's own authority\n{process.said}", timeout=120)
        found = Site(secure, plain, ssl.create_default_context(cafile=str(root)))
        wait_until(found.answers, what=f"Caddy\n{process.said}", timeout=120)
        yield found


@contextmanager
def nginx(city: City) -> Iterator[Site]:
    """The shipped file for nginx, in which name, ports and places are those of here."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    here = city.at.scratch / "nginx"
    here.mkdir()
    certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={WEB_HOST}"]
    certificate += ["-addext", f"subjectAltName=DNS:{WEB_HOST}"]
    finish([*certificate, "-keyout", str(here / "privkey.pem"), "-out", str(here / "fullchain.pem")], os.environ)
    plain, secure = free_port(), free_port()
    text = (ROOT / "deploy" / "nginx" / "footfall.conf").read_text()
    for there, ours_, times in (
        ("/etc/letsencrypt/live/zaehlung.example", str(here), 2),
        ("zaehlung.example", WEB_HOST, 2),
        ("/var/log/nginx", str(here), 1),
        ("127.0.0.1:8000", f"127.0.0.1:{city.ports['api:8000']}", 1),
        ("listen 80;", f"listen 127.0.0.1:{plain};", 1),
        ("listen [::]:80;", "", 1),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{secure} ssl http2;", 1),
        ("listen [::]:443 ssl http2;", "", 1),
    ):
        assert text.count(there) >= times, there
        text = text.replace(there, ours_)
    (here / "site.conf").write_text(text)
    temporary = "".join(f"{kind}_temp_path {here}/{kind};\n" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;\n" if os.geteuid() == 0 else ""
    (here / "nginx.conf").write_text(
        f"{user}daemon off;\npid {here}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n"
        f"client_body_temp_path {here}/body;\n{temporary}include {here}/site.conf;\n}}\n"
    )
    with running([program, "-c", str(here / "nginx.conf")], os.environ) as process:
        found = Site(secure, plain, ssl.create_default_context(cafile=str(here / "fullchain.pem")))
        wait_until(lambda: found.answers() or process.process.poll() is not None, what="nginx", timeout=120)
        assert process.process.poll() is None, process.said
        yield found


@pytest.fixture(scope="module", params=[caddy, nginx], ids=["caddy", "nginx"])
def site(request: pytest.FixtureRequest, city: City) -> Iterator[Site]:
    """Either proxy in front of the API."""
    with request.param(city) as found:
        yield found


def test_the_count_is_there_by_tls(site: Site, sent: int) -> None:
    """Under the site's name, with links that lead there."""
    with site.client() as client:
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["strict-transport-security"].startswith("max-age=31536000")
        assert counted(client, sent) == COUNT
        root = client.get("/sta/v1.1").json()
        assert root["value"][0]["url"].startswith(f"https://{WEB_HOST}/sta/v1.1/")


def test_headers_are_said_once(site: Site) -> None:
    """The API's own are not doubled, and nobody says which program of which version answers."""
    with site.client() as client:
        headers = client.get("/").headers
    for name in ("content-security-policy", "referrer-policy", "x-content-type-options", "strict-transport-security"):
        assert len(headers.get_list(name)) == 1, name
    assert not re.search(r"\d", headers.get("server", ""))
    assert "via" not in headers


def test_what_is_not_for_the_world_is_not_answered(site: Site) -> None:
    """Metrics are not there; the operator's page asks for the token, and opens with it."""
    with site.client() as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/api/v1/operations").status_code == 401


def test_the_operator_gets_in_with_the_token(site: Site, city: City) -> None:
    """The one that prepare.sh has made."""
    with site.client() as client:
        answer = client.get("/api/v1/operations", headers={"Authorization": f"Bearer {city.token}"})
    assert answer.status_code == 200


def test_without_tls_one_is_sent_on(site: Site) -> None:
    """To the same place, by https."""
    answer = httpx.get(f"http://127.0.0.1:{site.plain}/daten?x=1", headers={"Host": WEB_HOST}, timeout=PATIENCE_S)

    assert answer.status_code in {301, 308}
    assert answer.headers["location"] == f"https://{WEB_HOST}/daten?x=1"


def test_parts_of_files_are_answered(site: Site, files: str) -> None:
    """As readers of Parquet ask for them: HEAD says how long a file is, Range gives a part of it."""
    with site.client() as client:
        whole = client.get(files)
        head = client.head(files)
        part = client.get(files, headers={"Range": "bytes=10-29"})
    assert head.headers["accept-ranges"] == "bytes"
    assert int(head.headers["content-length"]) == len(whole.content)
    assert part.status_code == 206
    assert part.content == whole.content[10:30]
    assert part.headers["etag"] == head.headers["etag"]


def test_events_come_at_once(site: Site) -> None:
    """The board is there though the stream goes on: nobody holds it back until more has come."""
    with site.client() as client, client.stream("GET", "/api/v1/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                assert json.loads(line.removeprefix("data: "))["stations"]
                return
    pytest.fail("the stream ended")


def test_answers_are_compressed_once(site: Site) -> None:
    """By the API; the proxy leaves them as they are, so their tags stay those of what was sent."""
    with site.client() as client:
        answer = client.get("/api/v1/stations", headers={"Accept-Encoding": "gzip"})
        tag = answer.headers["etag"]
        again = client.get("/api/v1/stations", headers={"Accept-Encoding": "gzip", "If-None-Match": tag})
    assert answer.headers["content-encoding"] == "gzip"
    assert again.status_code == 304


def test_large_questions_are_refused(site: Site) -> None:
    """Everything can only be read: nobody has to send much. Caddy before 2.8 calls it a bad gateway."""
    with site.client() as client:
        answer = client.post("/api/v1/stations", content=b"x" * 1_000_000)
    assert answer.status_code in {413, 502}
