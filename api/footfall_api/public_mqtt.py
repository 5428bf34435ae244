"""``footfall-api publish-mqtt``: the last interval of each station as a retained message, for whoever subscribes.

``footfall/public/v1/{station}/15min`` always holds the newest interval that is over and public; where nothing as fine
as 15 minutes is, it is ``…/1h``. ``footfall/public/v1/status`` says whether somebody keeps it so. What is in a message,
`schema/public-interval.json` says, and for machines docs/asyncapi-public.yaml.

- The numbers are those of the API: read after each commit, and when an interval ends. One that just ended is published
  when it is whole, or 90 seconds after its end; until then the one before stays. One that changes while it is the
  newest is published again.
- A broker may forget what it retained. So with each connection everything is published again, and what is retained of
  stations that are gone, or of intervals that are no longer public, is removed.
"""

import argparse
import asyncio
import json
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

import psycopg

from footfall_api.asked import read_places
from footfall_api.commits import listen
from footfall_api.database import Pool, conninfo, new_pool, snapshot
from footfall_api.intervals import interval_of
from footfall_api.publication import Publication, rules_of_doors
from footfall_api.published import GRACE_S, Published, by_zone, last_ended, read_published
from footfall_api.sending import PublishMetrics, add_port, serve
from footfall_api.settings import ApiSettings, PublishMqttSettings
from footfall_role import extras
from footfall_role.logs import facts
from footfall_role.settings import SettingsError

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

QOS: Final = 1

LOGIN: Final = "footfall-public"
"""The user name where none is set, and how the client's id begins."""

LEAST_INTERVAL_S: Final = 2.0
"""The counts are not read more often than this, however often something is committed."""

LONGEST_WAIT_S: Final = 60.0
"""They are read this often whatever happens: stations come and go."""

_GOODBYE_S: Final = 2.0
"""How long the end waits for the broker to take the offline status."""

Messages = Mapping[str, bytes]
"""By topic what is to be retained there."""


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", config: argparse.ArgumentParser
) -> None:
    """Add the command ``publish-mqtt``."""
    parser = commands.add_parser(
        "publish-mqtt",
        parents=[config],
        help="publish the last public interval of each station over MQTT",
        description="Keep the last public interval of each station as a retained message of the broker in "
        "[publish_mqtt], which is switched on there.",
    )
    add_port(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, settings: ApiSettings) -> int:
    """Publish until asked to stop; the exit status.

    Raises:
        SettingsError: it is not switched on.
        OSError: the port for the metrics is taken.
    """
    if not settings.publish_mqtt.enabled:
        raise SettingsError(
            "publishing over MQTT is off: set enabled = true in [publish_mqtt], or "
            "FOOTFALL_PUBLISH_MQTT__ENABLED=true, and there the broker's host"
        )
    extras.require("api", ["paho"])
    metrics = PublishMetrics()
    serve(options, settings.metrics, "publish", metrics.registry, settings.publish_mqtt)
    asyncio.run(publish(settings, metrics))
    return 0


def topic_of(prefix: str, station: str, resolution: str) -> str:
    """The topic of a station's newest interval."""
    return f"{prefix}/{station}/{resolution}"


def status_topic(prefix: str) -> str:
    """The topic that says whether somebody publishes."""
    return f"{prefix}/status"


def message_of(published: Published, licence: str, attribution: str) -> bytes:
    """An interval as it is published; times have the offset of the station's zone."""
    answer, zone = published.answer, published.station.zone

    def written(instant_s: int) -> str:
        return datetime.fromtimestamp(instant_s, zone).isoformat()

    content = {
        "station": published.station.id,
        "name": published.station.name,
        "start": written(published.start_s),
        "end": written(published.end_s),
        "unit": "passages",
        "in": published.count("in"),
        "out": published.count("out"),
        "undirected": published.count("undirected"),
        "count": published.total,
        "coverage": answer.coverage,
        "state": answer.state,
        "reason": answer.reason,
        "final": answer.final,
        "licence": licence,
        "attribution": attribution,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def newest_due(published: Sequence[Published], now_s: int) -> list[Published]:
    """Of each station the newest interval that need not wait for reports, as far as there is one among them."""
    found = {one.station.id: one for one in sorted(published, key=lambda one: one.end_s) if one.is_due(now_s)}
    return [found[station] for station in sorted(found)]


def changes(wanted: Messages, held: Messages) -> dict[str, bytes]:
    """What to publish so that a broker that retains `held` retains `wanted`; an empty message removes one."""
    stale = {topic: b"" for topic in sorted(held) if topic not in wanted}
    return stale | {topic: payload for topic, payload in wanted.items() if held.get(topic) != payload}


class Link:
    """The connection to the broker, which it is to keep retaining what is wanted. Used in one event loop.

    What the broker holds is known from what was sent over this connection, and of other topics from what it has
    retained since before.
    """

    def __init__(self, settings: PublishMqttSettings, since: datetime, metrics: PublishMetrics) -> None:
        from footfall_role.mqtt import new_client  # noqa: PLC0415  # only who publishes needs it

        self._settings = settings
        self._since = since
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        # Of one id a broker keeps one connection only: two processes would throw each other out for ever.
        self._client = new_client(settings, f"{LOGIN}-{token_hex(4)}", name=LOGIN)
        self._client.will_set(status_topic(settings.prefix), self._status("offline"), QOS, retain=True)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._failed
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._heard
        self._wanted: dict[str, bytes] | None = None
        self._held: dict[str, bytes] = {}
        self._ready = False

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection is lost."""
        self._client.connect_async(self._settings.host, self._settings.port, self._settings.keepalive_s)
        self._client.loop_start()

    def stop(self) -> None:
        """Say that nobody publishes any more, if the broker is there, and leave."""
        from footfall_role.mqtt import hang_up  # noqa: PLC0415

        if self._client.is_connected():
            topic = status_topic(self._settings.prefix)
            with suppress(RuntimeError, ValueError):  # then the last will says it
                self._client.publish(topic, self._status("offline"), QOS, retain=True).wait_for_publish(_GOODBYE_S)
        hang_up(self._client)

    def hold(self, wanted: Messages) -> bool:
        """Make the broker retain these and no others, now or when it is there again; whether it is there now."""
        self._wanted = dict(wanted)
        self._send()
        return self._ready

    def _send(self) -> None:
        if not self._ready or self._wanted is None:
            return
        changed = changes(self._wanted, self._held)
        for topic, payload in changed.items():
            self._client.publish(topic, payload, QOS, retain=True)
            log.info("published" if payload else "removed", extra=facts(topic=topic))
        self._held = dict(self._wanted)
        self._metrics.sent(len(changed))
        self._metrics.succeeded()

    def _status(self, state: str) -> bytes:
        return json.dumps({"state": state, "since": f"{self._since:%Y-%m-%dT%H:%M:%SZ}"}).encode()

    # In the event loop, called from the client's thread.

    def _begin(self) -> None:
        """The broker is there, and has got rid of what the client still had to send."""
        self._ready = True
        self._metrics.connected(True)
        self._client.publish(status_topic(self._settings.prefix), self._status("online"), QOS, retain=True)
        self._send()

    def _end(self) -> None:
        """The broker is gone, and may come back without anything."""
        self._ready = False
        self._metrics.connected(False)
        self._held = {}

    def _note(self, topic: str, payload: bytes) -> None:
        """The broker retains this since before."""
        if payload and topic not in self._held:
            self._held[topic] = payload
            self._send()

    # In the client's thread.

    def _call(self, what: Callable[..., None], *words: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process ends
            self._loop.call_soon_threadsafe(what, *words)

    def _connected(
        self, client: "Client", _userdata: object, _flags: "ConnectFlags", reason: "ReasonCode", _properties: object
    ) -> None:
        if reason.is_failure:
            self._metrics.refused()
            self._log(logging.ERROR, "the broker refused us", reason=reason)
            return
        self._log(logging.INFO, "connected to the broker")
        # Publishing waits for the answer. What the connection before left in the client goes out first, else it could
        # replace something newer.
        client.subscribe(topic_of(self._settings.prefix, "+", "+"), QOS)

    def _subscribed(self, *_: object) -> None:
        self._call(self._begin)

    def _heard(self, _client: "Client", _userdata: object, message: "MQTTMessage") -> None:
        if message.retain and message.topic.startswith(f"{self._settings.prefix}/"):
            self._call(self._note, message.topic, bytes(message.payload))

    def _failed(self, *_: object) -> None:
        self._log(logging.WARNING, "no connection to the broker")

    def _disconnected(
        self, _client: "Client", _userdata: object, _flags: "DisconnectFlags", reason: "ReasonCode", _properties: object
    ) -> None:
        self._call(self._end)
        self._log(logging.INFO if reason == "Success" else logging.WARNING, "disconnected", reason=reason)

    def _log(self, level: int, event: str, **values: object) -> None:
        log.log(level, event, extra=facts(host=self._settings.host, port=self._settings.port, **values))


async def publish(settings: ApiSettings, metrics: PublishMetrics) -> None:
    """Publish until SIGINT or SIGTERM, whatever happens to the database or the broker meanwhile."""
    stop, wake = asyncio.Event(), asyncio.Event()

    def end() -> None:
        stop.set()
        wake.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    rules = rules_of_doors(settings)
    link = Link(settings.publish_mqtt, datetime.now(UTC), metrics)
    listening = asyncio.create_task(listen(conninfo(settings.database), wake.set), name="listen for commits")
    link.start()
    try:
        async with new_pool(settings.database) as pool:
            while not stop.is_set():
                wake.clear()  # before the read: what is committed during it is not seen by it
                wait_s = LEAST_INTERVAL_S
                try:
                    wanted, wait_s = await read_messages(pool, settings, rules, datetime.now(UTC))
                    metrics.round("done" if link.hold(wanted) else "unreachable")
                except (psycopg.Error, OSError) as error:
                    metrics.round("database")
                    log.warning("the counts could not be read: %s", str(error).strip())
                await _sleep(LEAST_INTERVAL_S, stop)
                await _sleep(wait_s - LEAST_INTERVAL_S, wake)
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        await asyncio.to_thread(link.stop)


async def _sleep(seconds: float, event: asyncio.Event) -> None:
    """Wait for so long at most, or for the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()


async def read_messages(
    pool: Pool, settings: ApiSettings, rules: Publication, now: datetime
) -> tuple[dict[str, bytes], float]:
    """What is to be retained at `now`, and the seconds after which that may change without a commit.

    Raises:
        psycopg.Error: the database cannot be asked.
    """
    now_s = int(now.timestamp())
    resolution = rules.standard[0]
    found: list[Published] = []
    moments_s: list[int] = []
    async with snapshot(pool) as connection:
        for zone, places in by_zone(await read_places(connection, (), ())):
            start_s, end_s = last_ended(rules, resolution, zone, now_s)
            edges_s = (interval_of(resolution, start_s - 1, zone)[0], start_s, end_s)
            found += await read_published(connection, places, resolution, edges_s, rules, now_s)
            moments_s += [end_s + GRACE_S, interval_of(resolution, end_s, zone)[1] + rules.delay_s]
    messages = {
        topic_of(settings.publish_mqtt.prefix, one.station.id, resolution): message_of(
            one, settings.public.licence, settings.attribution
        )
        for one in newest_due(found, now_s)
    }
    waits_s = [moment_s - now.timestamp() for moment_s in moments_s if moment_s > now_s]
    return messages, min([*waits_s, LONGEST_WAIT_S])
