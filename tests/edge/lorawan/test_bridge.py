"""The whole bridge: a network server's uplinks on a real broker, an outbox, and an ingest that says what it stored."""

import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

import pytest
from prometheus_client import REGISTRY

from edge.ingest_model import Ingest
from edge.lorawan.counters import elsys, message, pcr2, topic, vs133
from footfall_contract.report import SlotReport
from footfall_demo.broker import Broker
from footfall_edge.clock import Clock, Moment
from footfall_edge.events import Events, Heard, Opened
from footfall_edge.framer import LineCounts
from footfall_edge.lorawan import bridge
from footfall_edge.lorawan.session import UplinkFrame, receipt
from footfall_edge.lorawan.settings import BridgeSettings
from footfall_edge.lorawan.uplink import Network, Uplink
from footfall_edge.outbox import Outbox
from footfall_edge.sensors import Sensors
from footfall_role.logs import LineFormatter
from footfall_role.mqtt import hang_up, new_client
from footfall_role.settings import MqttSettings, print_config
from footfall_testing.in_a_thread import in_a_thread
from footfall_testing.waiting import wait_until

HERE = Path(__file__).parent
UNREADABLE = b"\x0a\x0b"
"""What a network server says that is set to Protobuf."""
Configure = Callable[..., BridgeSettings]
RunBridge = Callable[..., AbstractContextManager[None]]


class NetworkServer:
    """Publishes uplinks of one device, ten minutes apart, up to now. A context."""

    def __init__(self, broker: Broker, application: str, kind: Network = "chirpstack") -> None:
        self.kind = kind
        self.application = application
        self.dev_eui = secrets.token_hex(8)
        self.began_ms = (int(time.time()) - 86_400) * 1000
        self._sent = 0
        self._client = new_client(MqttSettings(host=broker.host, port=broker.port), f"network-{secrets.token_hex(4)}")
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hang_up(self._client)

    def time_ms(self, number: int) -> int:
        """When uplink `number` was received, UTC unix milliseconds."""
        return self.began_ms + 600_000 * number

    def sends(self, payload: bytes, f_port: int = 14) -> None:
        """Publish the next uplink; when this returns the broker has it."""
        number, self._sent = self._sent, self._sent + 1
        said = message(self.kind, payload, number, self.time_ms(number), dev_eui=self.dev_eui, f_port=f_port)
        self.publishes(topic(self.kind, self.dev_eui, self.application), said)

    def publishes(self, where: str, said: bytes) -> None:
        """Publish anything."""
        wait_until(self._client.is_connected, what="the network server's own connection")
        self._client.publish(where, said, qos=0 if self.kind == "tts" else 1).wait_for_publish(20)


@pytest.fixture
def server(mosquitto: Broker, unique: str) -> Iterator[NetworkServer]:
    """ChirpStack, on the broker of all tests."""
    with NetworkServer(mosquitto, unique) as found:
        yield found


@pytest.fixture
def configure(tmp_path: Path, unique: str) -> Configure:
    """Makes settings for a node with one device, both called as the test."""

    def make(broker: Broker, server: NetworkServer, network: Broker | None = None, **device: Any) -> BridgeSettings:
        there = network or broker
        return BridgeSettings.model_validate(
            {
                "node": unique,
                "clock": "system",
                "stop_wait_s": 2,
                "mqtt": {"host": broker.host, "port": broker.port},
                "outbox": {"path": tmp_path / "outbox.sqlite"},
                "report": {"slot_s": 1, "every_s": 1},
                "network": {
                    "kind": server.kind,
                    "host": there.host,
                    "port": there.port,
                    "username": "passanten@ttn" if server.kind == "tts" else "",
                    "topic": topic(server.kind, "+", unique).replace("eui-+", "+"),
                },
                "device": device.pop("devices", None)
                or [{"id": unique, "dev_eui": server.dev_eui, "make": "parametric-pcr2", **device}],
            }
        )

    return make


@pytest.fixture
def run_bridge() -> RunBridge:
    """Runs a bridge in a thread for the length of a with block; what it raises, the block raises."""

    def run(settings: BridgeSettings, clock: Clock | None = None) -> AbstractContextManager[None]:
        return in_a_thread(lambda stop: bridge.run(settings, stop, clock))

    return run


def value(name: str, **labels: str) -> float:
    """What a metric of the bridges in this process stands at."""
    return REGISTRY.get_sample_value(f"footfall_edge_{name}", labels) or 0


def stored(ingest: Ingest, in_: int, out: int) -> list[SlotReport]:
    """Wait until ingest has so many passages, and no more; the reports in order of time."""
    wanted = Counter({pair: number for pair, number in (((0, 0), in_), ((1, 0), out)) if number})
    wait_until(lambda: ingest.passages() >= wanted, timeout=40, what=f"{wanted} to be stored")
    assert ingest.passages() == wanted
    assert ingest.changed == []
    return sorted(ingest.stored.values(), key=lambda report: report.start)


def listening(server: NetworkServer) -> None:
    """Wait until the bridge of this process hears the network server, and has heard all that this function said.

    Uplinks of a stranger and one that nobody can read do no harm.
    """
    stranger = secrets.token_hex(8)
    said = message(server.kind, b"", 0, server.began_ms, dev_eui=stranger)
    strangers = value("refused_uplinks_total", reason="unknown_device")
    unreadable = value("refused_uplinks_total", reason="unreadable")

    def heard() -> bool:
        server.publishes(topic(server.kind, stranger, server.application), said)
        return value("refused_uplinks_total", reason="unknown_device") > strangers

    wait_until(heard, every=0.1, what="the bridge to hear the network server")
    server.publishes(topic(server.kind, stranger, server.application), UNREADABLE)
    wait_until(lambda: value("refused_uplinks_total", reason="unreadable") > unreadable, what="the last of it")


def at_work(ingest: Ingest) -> None:
    """Wait until an uplink of the device was heard."""
    wait_until(lambda: ingest.healths and ingest.healths[-1].state == "ok", what="the sensor to be ok")


@pytest.mark.parametrize("kind", ["chirpstack", "tts"])
def test_an_uplink_is_one_span(
    mosquitto: Broker, configure: Configure, run_bridge: RunBridge, unique: str, kind: Network
) -> None:
    """Of either network server: what the totals rose by since the uplink before, in one report over that time."""
    with (
        NetworkServer(mosquitto, unique, kind) as server,
        Ingest(mosquitto, unique) as ingest,
        run_bridge(configure(mosquitto, server)),
    ):
        listening(server)
        server.sends(pcr2((10, 20)))
        server.sends(pcr2((13, 24), (3, 4)))
        (report,) = stored(ingest, 3, 4)

    assert report.is_span
    assert report.sensor == unique
    assert (report.start, report.slot) == (server.time_ms(0) // 1000, 600)
    assert report.observed == (600,)
    assert (report.direction, report.class_, report.count) == ((0, 1), (0, 0), (3, 4))


def test_what_came_while_the_bridge_was_away_comes_when_it_is_back(
    mosquitto: Broker, server: NetworkServer, configure: Configure, run_bridge: RunBridge, unique: str
) -> None:
    """The broker keeps the session: each uplink is a span of its own, as if nothing had been."""
    settings = configure(mosquitto, server)
    with Ingest(mosquitto, unique) as ingest:
        with run_bridge(settings):
            listening(server)
            server.sends(pcr2((10, 20)))
            at_work(ingest)
        for n in range(1, 5):
            server.sends(pcr2((10 + n, 20 + 2 * n), (1, 2)))
        with run_bridge(settings):
            reports = stored(ingest, 4, 8)

    assert [(report.start, report.slot) for report in reports] == [(server.time_ms(n) // 1000, 600) for n in range(4)]


def test_a_device_with_several_lines_is_several_sensors(
    mosquitto: Broker, server: NetworkServer, configure: Configure, run_bridge: RunBridge, unique: str
) -> None:
    """One message has the totals of both lines of a VS133; each sensor counts its own, one of them turned round."""
    names = [f"{unique[:50]}-{line}" for line in (1, 2)]
    common = {"dev_eui": server.dev_eui, "make": "milesight-vs133"}
    devices = [{"id": names[0], "line": 1, **common}, {"id": names[1], "line": 2, "reversed": True, **common}]
    settings = configure(mosquitto, server, devices=devices)
    with Ingest(mosquitto, unique) as ingest, run_bridge(settings):
        listening(server)
        server.sends(vs133((1, 1), 1) + vs133((9, 9), 2), 85)
        at_work(ingest)
        server.sends(vs133((2, 1), 1) + vs133((109, 9), 2), 85)
        reports = stored(ingest, 1, 100)

    assert {(report.sensor, report.direction, report.count) for report in reports} == {
        (names[0], (0,), (1,)),
        (names[1], (1,), (100,)),
    }


def test_a_message_is_acknowledged_when_all_its_sensors_have_it(
    mosquitto: Broker, server: NetworkServer, configure: Configure, unique: str
) -> None:
    """As long as the receipt of one of two lines is missing the broker keeps the message, and after that no longer."""
    common = {"dev_eui": server.dev_eui, "make": "milesight-vs133"}
    settings = configure(mosquitto, server, devices=[{"id": f"{name}-1", "line": name, **common} for name in (1, 2)])
    session_kept(settings)
    server.sends(vs133((1, 1), 1) + vs133((9, 9), 2), 85)

    def life(receipts: list[str]) -> set[int]:
        """A subscriber that writes these; the frame counters of what it heard in a row.

        It leaves when both lines are open. The broker says what it kept before it answers the subscription, and a
        socket that is closed with that answer unread is reset: the broker may never see the acknowledgement then.
        """
        events: Events = SimpleQueue()
        with bridge.subscribed(settings, events, Clock()) as subscriber:
            heard: list[Heard] = []
            opened: set[str] = set()
            while len(heard) < 2 or len(opened) < 2:
                event = events.get(timeout=20)
                heard += [event] if isinstance(event, Heard) else []
                opened |= {event.sensor} if isinstance(event, Opened) else set()
            subscriber.write([(name, receipt(1)) for name in receipts])
        frames = [frame for one in heard for frame in one.frames if isinstance(frame, UplinkFrame)]
        assert {one.sensor for one in heard} == {"1-1", "2-1"}
        return {frame.uplink.f_cnt for frame in frames}

    assert life(["1-1"]) == {0}
    assert life(["2-1"]) == {0}
    assert life(["2-1", "1-1"]) == {0}
    server.sends(vs133((2, 2), 1) + vs133((9, 9), 2), 85)
    assert life([]) == {1}


@contextmanager
def process(settings: BridgeSettings, *how: str) -> Iterator["subprocess.Popen[str]"]:
    """A bridge as a process of its own; killed at the end if it is still there."""
    folder = settings.outbox.path.parent
    config = folder / "bridge.toml"
    config.write_text(print_config(settings))
    command = how or ("-m", "footfall_edge", "bridge", "--config", str(config))
    with (folder / "bridge.log").open("a") as log:
        child = subprocess.Popen([sys.executable, *command], stderr=log, stdout=log, text=True)
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def session_kept(settings: BridgeSettings) -> None:
    """The broker knows the bridge, as it does since its first start: it keeps what comes from now on."""
    subscribed = threading.Event()
    client = new_client(settings.network, settings.client_id, clean_session=False)
    client.on_connect = lambda c, *_: c.subscribe(settings.network.subscription, 1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(settings.network.host, settings.network.port)
    client.loop_start()
    assert subscribed.wait(20)
    hang_up(client)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_bridge_killed_at_the_commit_loses_and_doubles_nothing(
    mosquitto: Broker, server: NetworkServer, configure: Configure, unique: str, when: str
) -> None:
    """Ended with kill -9 just before or just after the counts are on disk: the broker has the message still.

    The device sends no totals, so nothing heals what would be lost, or hides what would be counted twice.
    """
    settings = configure(mosquitto, server)
    session_kept(settings)
    program = (str(HERE / "killed_bridge.py"), str(settings.outbox.path.parent / "bridge.toml"), when)
    with Ingest(mosquitto, unique) as ingest:
        with process(settings, *program) as mortal:
            server.sends(elsys((9, 9)))
            server.sends(elsys((3, 4)))
            assert mortal.wait(40) == -signal.SIGKILL
        assert ingest.stored == {}
        with process(settings) as second:
            server.sends(elsys((1, 0)))
            reports = stored(ingest, 4, 4)
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0

    assert [report.observed for report in reports] == [(600,), (600,)]


def test_the_network_servers_broker_goes_and_comes_back(
    mosquitto: Broker, open_folder: Path, configure: Configure, run_bridge: RunBridge, unique: str
) -> None:
    """Meanwhile the sensors have a fault that says so; what was lost there the next totals have."""
    with (
        Broker(open_folder / f"network-{secrets.token_hex(4)}", kind="mosquitto") as network,
        NetworkServer(network, unique) as server,
        Ingest(mosquitto, unique) as ingest,
    ):
        settings = configure(mosquitto, server, network)
        with run_bridge(settings):
            listening(server)
            server.sends(pcr2((10, 20)))
            at_work(ingest)
            network.kill()
            wait_until(lambda: ingest.healths[-1].state == "fault", what="the fault to be told")
            assert "network server's broker" in ingest.healths[-1].detail
            network.start()
            wait_until(lambda: ingest.healths[-1].state == "ok", what="the sensor to be well again")
            server.sends(pcr2((17, 28), (3, 4)))
            (report,) = stored(ingest, 7, 8)

    assert report.observed == (report.slot,)


def test_an_outbox_that_cannot_be_written_is_waited_for(
    mosquitto: Broker, configure: Configure, run_bridge: RunBridge, unique: str
) -> None:
    """Of The Things Stack, which says nothing twice, a device without totals: all is there, once and in order."""
    with NetworkServer(mosquitto, unique, "tts") as server, Ingest(mosquitto, unique) as ingest:
        settings = configure(mosquitto, server)
        with run_bridge(settings):
            listening(server)
            server.sends(elsys((9, 9)))
            at_work(ingest)
            blocker = sqlite3.connect(settings.outbox.path, isolation_level=None)
            blocker.execute("BEGIN IMMEDIATE")
            errors = value("outbox_errors_total")
            try:
                server.sends(elsys((3, 4)))
                wait_until(lambda: value("outbox_errors_total") > errors, timeout=30, what="a booking to fail")
                server.sends(elsys((1, 0)))
            finally:
                blocker.execute("ROLLBACK")
                blocker.close()
            reports = stored(ingest, 4, 4)

    assert [report.observed for report in reports] == [(600,), (600,)]


def test_the_clock_is_waited_for(
    mosquitto: Broker, server: NetworkServer, configure: Configure, run_bridge: RunBridge, unique: str
) -> None:
    """While the kernel's clock is not synchronised nothing is booked; then everything is, in order."""
    synchronised = False
    settings = configure(mosquitto, server)
    with Ingest(mosquitto, unique) as ingest, run_bridge(settings, Clock(lambda: synchronised)):
        wait_until(lambda: any("clock" in health.detail for health in ingest.healths), what="the reason to be told")
        listening(server)
        for n in range(3):
            server.sends(elsys((n, n)))
        assert ingest.stored == {}
        synchronised = True
        reports = stored(ingest, 3, 3)

    assert [report.observed for report in reports] == [(600,), (600,)]


def test_what_there_is_no_room_for_stays_with_the_broker(  # noqa: PLR0917  # fixtures
    mosquitto: Broker, server: NetworkServer, configure: Configure, run_bridge: RunBridge, unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """While nothing can be booked only so many messages are held. The others come after another connect."""
    monkeypatch.setattr(bridge, "MOST_HELD", 2)
    refused = value("refused_uplinks_total", reason="no_room")
    synchronised = False
    settings = configure(mosquitto, server)
    with Ingest(mosquitto, unique) as ingest:
        with run_bridge(settings, Clock(lambda: synchronised)):
            listening(server)
            for n in range(4):
                server.sends(elsys((n, n)))
            wait_until(
                lambda: value("refused_uplinks_total", reason="no_room") == refused + 2, what="two to be refused"
            )
            synchronised = True
            stored(ingest, 1, 1)
        monkeypatch.undo()
        with run_bridge(settings):
            reports = stored(ingest, 6, 6)

    assert [report.observed for report in reports] == [(600,)] * 3


def test_what_is_no_uplink_of_a_device_here_is_refused_once(  # noqa: PLR0917  # fixtures
    mosquitto: Broker, server: NetworkServer, configure: Configure, run_bridge: RunBridge, unique: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """An unknown device, a message that is no JSON, bytes of another make: counted, said once, and acknowledged."""
    settings = configure(mosquitto, server)
    kinds = ("unknown_device", "unreadable")
    stranger = secrets.token_hex(8)
    with Ingest(mosquitto, unique) as ingest:
        with run_bridge(settings):
            listening(server)
            before = [value("refused_uplinks_total", reason=kind) for kind in kinds]
            for n in range(3):
                server.publishes(
                    topic("chirpstack", stranger, unique),
                    message("chirpstack", pcr2((n, n)), n, server.time_ms(n), dev_eui=stranger),
                )
                server.publishes(topic("chirpstack", server.dev_eui, unique), UNREADABLE)
            server.sends(b"\x01\x02\x03")
            server.sends(pcr2((10, 20)))
            server.sends(pcr2((11, 20), (1, 0)))
            stored(ingest, 1, 0)
            assert [value("refused_uplinks_total", reason=kind) for kind in kinds] == [count + 3 for count in before]
            assert value("frame_outcomes_total", sensor=unique, outcome="unreadable") == 1
        with run_bridge(settings):
            server.sends(pcr2((12, 20), (1, 0)))
            stored(ingest, 2, 0)

    now = [value("refused_uplinks_total", reason=kind) for kind in kinds]
    assert now == [count + 3 for count in before], "they were acknowledged: none came again"
    said = [LineFormatter().format(record) for record in caplog.records if "is not counted" in record.getMessage()]
    assert [stranger in line for line in said].count(True) == 1, "each reason once"
    assert ["2 bytes" in line for line in said].count(True) == 1, said


def test_what_could_not_be_stored_is_as_if_it_had_not_come(
    mosquitto: Broker, server: NetworkServer, configure: Configure, unique: str
) -> None:
    """Nothing of it is kept in memory, for a message must not be acknowledged before it is on disk."""
    settings = configure(mosquitto, server)
    now = Moment(server.time_ms(9), 0.0)
    uplinks = [Uplink(server.dev_eui, server.time_ms(n), 14, n, pcr2((n, n), (1, 1)), "chirpstack") for n in range(2)]
    frames = tuple(UplinkFrame.of(uplink, n) for n, uplink in enumerate(uplinks, 1))
    heard = Heard(unique, now, frames, LineCounts(frames=2), "")
    with Outbox.open(settings.outbox.path) as outbox:
        sensors = Sensors(settings.device, 10, outbox, now)
        sensors.owe(sensors.read([heard], now))
        assert sensors.read([], now).entries == []
        again = sensors.read([heard], now)

    assert sum(len(entry.pieces) for entry in again.entries) == 1
    assert again.acknowledgements == {unique: receipt(2)}


def test_no_silent_slots_are_noted_for_what_reports_spans(
    mosquitto: Broker, server: NetworkServer, configure: Configure
) -> None:
    """Between two uplinks nobody expects anything; a slot without word is no gap."""
    settings = configure(mosquitto, server)
    now_ms = int(time.time()) * 1000
    with Outbox.open(settings.outbox.path) as outbox:
        sensors = Sensors(settings.device, 10, outbox, Moment(now_ms, 0.0))
        for minute in range(3):
            sensors.note_silence(Moment(now_ms + 60_000 * minute, 60.0 * minute))

        assert outbox.tally().unnumbered == 0
