"""Two aggregators and two readers on hosts of their own; one of each dies, or its cable is pulled.

The host in the middle has the broker and the database. What crosses between the hosts is a real network, which loses
packets without a word where a cable is pulled: neither end of a connection hears that the other is gone.
"""

import dataclasses
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from footfall_demo.broker import Broker, find_mosquitto
from footfall_demo.postgres import EmbeddedPostgres
from footfall_ingest.migrate import migrate
from footfall_testing.city import City
from footfall_testing.hosts import Host, Network, NoHostsError
from footfall_testing.ingest_process import settings_for, start_mortal
from footfall_testing.ingest_store import stored
from footfall_testing.processes import ApiProcess
from footfall_testing.sender import Sender
from footfall_testing.waiting import wait_until

AGGREGATORS = ("ingest-1", "ingest-2")
READERS = ("api-1", "api-2")
NODE = "jena-nord"


@pytest.fixture
def network() -> Iterator[Network]:
    """The hosts, where they may be made."""
    if not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    try:
        with Network([*AGGREGATORS, *READERS]) as made:
            yield made
    except NoHostsError as error:
        pytest.skip(f"no hosts can be made here: {error}")


@pytest.fixture
def postgres(network: Network, open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A database server in the middle that takes connections from all hosts."""
    folder = open_folder / f"hosts-{network.hub.name}"
    server = EmbeddedPostgres(folder, settings={"fsync": "off", "listen_addresses": "*"})
    with network.hub.inside():
        server.prepare()
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.213.0.0/16 scram-sha-256\n")
        with server:
            server.create_database("footfall")
            migrate(server.dsn())
            yield server
    server.remove()


@pytest.fixture
def broker(network: Network, tmp_path: Path) -> Iterator[Broker]:
    """A broker in the middle that all hosts reach."""
    with network.hub.inside(), Broker(tmp_path / "broker", host="0.0.0.0", kind="mosquitto") as made:
        yield made


def seen_from(host: Host, dsn: str) -> str:
    """The address of the database as a host sees it."""
    return dsn.replace("@127.0.0.1:", f"@{host.gateway}:")


def start_aggregator(network: Network, name: str, broker: Broker, dsn: str, folder: Path) -> subprocess.Popen[bytes]:
    """A real aggregator on its host, sharing a subscription with the others."""
    place = folder / name
    place.mkdir()
    host = network[name]
    near = dataclasses.replace(broker, host=host.gateway, process=None)
    settings = settings_for(near, seen_from(host, dsn), name, mqtt={"share": "aggregators"})
    with host.inside():
        return start_mortal(settings, place)


def start_reader(network: Network, name: str, dsn: str, folder: Path) -> ApiProcess:
    """A real API on its host, not yet entered."""
    host = network[name]
    config = folder / f"{name}.toml"
    config.write_text(
        f'unsafe = true\n[http]\nhost = "{host.address}"\nport = 8000\n'
        f'[database]\ndsn = "{seen_from(host, dsn)}"\n'
        "[public]\nlocal = true\n"
    )
    return ApiProcess(config)


def answer(url: str, station: str) -> int:
    """What a reader says was counted at a station."""
    response = httpx.get(
        f"{url}/api/v1/counts",
        params={"station": station, "from": "2026-03-01T00:00Z", "to": "2026-03-02T00:00Z", "resolution": "1h"},
        timeout=30,
    )
    response.raise_for_status()
    return sum(value["count"] or 0 for value in response.json()["values"])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["killed", "cut off"])
def test_two_of_each_on_hosts_of_their_own_and_one_is_gone(
    network: Network, postgres: EmbeddedPostgres, broker: Broker, tmp_path: Path, how: str
) -> None:
    """Every passage is stored once, the other aggregator goes on, and each reader left answers with every passage."""
    dsn = postgres.dsn()
    sensors = [f"{NODE}-{place}" for place in range(4)]
    with ExitStack() as stack:
        city = City(dsn)
        stack.callback(city.connection.close)
        for sensor in sensors:
            city.station(sensor)
            city.install(city.sensor(sensor), sensor)
        aggregators = {name: start_aggregator(network, name, broker, dsn, tmp_path) for name in AGGREGATORS}
        for process in aggregators.values():
            stack.callback(process.wait)
            stack.callback(process.kill)
        readers = {}
        for name in READERS:
            reader = start_reader(network, name, dsn, tmp_path)
            with network[name].inside():
                readers[name] = stack.enter_context(reader)

        local = dataclasses.replace(broker, host="127.0.0.1", process=None)
        with Sender(local, NODE, sensors=len(sensors), number=300, every_s=0.05, seed=5) as sender:
            wait_until(lambda: len(sender.notices) > 20, timeout=60, what="notices")
            assert not sender.emitted, "something must be left for the other"
            if how == "killed":
                aggregators["ingest-1"].kill()
                readers["api-1"].process.kill()
            else:
                network.cut("ingest-1")
                network.cut("api-1")
            wait_until(lambda: sender.settled, timeout=150, what="notices for everything")

        truth = {sensor: sum(sum(one.count) for one in reports) for sensor, reports in sender.reports.items()}
        url = readers["api-2"].url
        assert {sensor: answer(url, sensor) for sensor in sensors} == truth
        with psycopg.connect(dsn) as connection:
            store = stored(connection)
        assert sum(store.counts.values()) == sender.truth
        assert store.quarantine == {}
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{readers['api-1'].url}/healthz", timeout=2)
        assert aggregators["ingest-2"].poll() is None
