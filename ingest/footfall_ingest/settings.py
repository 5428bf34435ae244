"""The settings of ``footfall-ingest``: `ingest.toml` and ``FOOTFALL_*`` variables (see `footfall_role.settings`)."""

import hmac
import re
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import Field, field_serializer, field_validator, model_validator

from footfall_ingest.judge import Rules
from footfall_ingest.retention import SHORTEST_DAYS
from footfall_role.settings import MetricsSettings, MqttSettings, Section
from footfall_role.unsafe import GuardedSettings, guessable_dsn, guessable_secret

_GROUP_DIGITS = 16


class IngestMqttSettings(MqttSettings):
    """The broker, and the name under which it keeps a queue for this process while it is away."""

    client_id: str = Field(
        "footfall-ingest",
        min_length=1,
        max_length=128,
        description="name of the persistent session; two processes must never share one. Where a subscription is "
        "shared each member adds something of its own",
    )
    share: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="name of the group of aggregators that divide the counts among them; none: this one takes all",
    )

    @property
    def group(self) -> str | None:
        """The name of the group at the broker: with a password, one that only its owner knows.

        A broker asks of each message who may read it, not who may join a group. mosquitto (2.0 and 2.1) counts a member
        that may read nothing all the same, and throws away what was its turn: a node that knew the name could make the
        others' counts wait.
        """
        secret = self.password.get_secret_value()
        if self.share is None or not secret:
            return self.share
        return f"{self.share}-{hmac.new(secret.encode(), self.share.encode(), 'sha256').hexdigest()[:_GROUP_DIGITS]}"

    @field_validator("share")
    @classmethod
    def _one_level(cls, share: str | None) -> str | None:
        if share is not None and (re.search(r"[/+#]", share) or not share.isprintable()):
            raise ValueError("must be a name without / + #, because it becomes one level of a topic filter")
        return share


class DatabaseSettings(Section):
    """Where counts are stored."""

    dsn: str = Field(
        "postgresql://127.0.0.1/footfall",
        description="connection URL or key=value pairs; libpq's variables (PGPASSFILE, …) fill what is missing",
    )

    answer_s: float = Field(
        60,
        ge=1,
        le=3600,
        description="seconds that a transaction may take before it is tried again on a new connection; after each time "
        "in a row twice as many",
    )

    @field_validator("dsn")
    @classmethod
    def _understood(cls, dsn: str) -> str:
        try:
            conninfo_to_dict(dsn)
        except psycopg.ProgrammingError:
            # The library's words repeat what stands there, and a password is part of it.
            raise ValueError(
                "must be like postgresql://user@host/database or host=… dbname=…; in an address characters such as "
                "blanks, @ and % are written %20, %40 and %25"
            ) from None
        return dsn

    @field_serializer("dsn")
    def _masked(self, dsn: str) -> str:
        return make_conninfo(dsn, password="********") if "password" in conninfo_to_dict(dsn) else dsn  # noqa: S106  # hides it


class FlushSettings(Section):
    """When what was received is written."""

    interval_s: float = Field(
        0.25, gt=0, le=60, description="seconds that the first message of a batch waits for others"
    )
    max_reports: int = Field(4000, ge=1, le=100_000, description="messages in one transaction")
    queue: int = Field(20_000, ge=1, description="messages held in memory; when it is full, the broker has to wait")
    window: int = Field(
        20,
        ge=1,
        description="the broker's limit of unacknowledged messages, if it has one: with so many at hand and no more "
        "coming the batch is written at once (mosquitto's default is 20)",
    )


class StoreSettings(Section):
    """What becomes of counts in the store as they grow older."""

    rollup_every_s: float = Field(
        60, gt=0, le=3600, description="seconds from one look at what is to be summed up by the hour to the next"
    )
    compress_after_days: int = Field(
        21,
        ge=1,
        le=36_500,
        description="days after its end until a chunk (28 days of minutes, 364 days of hours) is compressed, where "
        "TimescaleDB can; a change takes effect with `footfall-ingest migrate`",
    )
    keep_minutes_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="days that minutes are kept, 60 or more; then hours are the finest there is. 0: for ever",
    )

    @field_validator("keep_minutes_days")
    @classmethod
    def _long_enough(cls, days: int) -> int:
        if 0 < days < SHORTEST_DAYS:
            raise ValueError(f"must be 0, for ever, or {SHORTEST_DAYS} and more")
        return days


class NodesSettings(Section):
    """The nodes' accounts at the broker, for `footfall-ingest node` on the broker's machine."""

    folder: Path = Field(
        Path("/etc/mosquitto/footfall"), description="where the broker's passwords, rules and keys are"
    )
    owner: str = Field(
        "mosquitto",
        description="account that the broker runs under, or UID:GID; new files are its own. Empty: whose command it is",
    )
    reload: tuple[str, ...] = Field(
        (), description="command that makes the broker read its files again; none: it is told to people"
    )
    host: str = Field("", max_length=253, description="name or address under which boxes reach the broker")
    port: int = Field(8883, ge=1, le=65535, description="its port for nodes with passwords")
    certificate_port: int = Field(8884, ge=1, le=65535, description="its port for nodes with client certificates")
    public_certificate: bool = Field(
        False, description="every system trusts the broker's certificate; boxes need no ca_file"
    )
    ca_key: Path = Field(
        Path("/etc/footfall/secrets/nodes-ca.key"), description="key of the authority that signs certificates"
    )
    certificate_days: int = Field(730, ge=1, le=7300, description="days that a node's certificate lasts")


class BackupSettings(Section):
    """Where backups of the database go, and how long they stay; see ``footfall-ingest backup``."""

    folder: Path | None = Field(None, description="a folder that is there; none: the command has to name one")
    keep_days: int = Field(14, ge=0, description="of so many days the last backup stays")
    keep_weeks: int = Field(8, ge=0, description="and of so many weeks")
    keep_months: int = Field(12, ge=0, description="and of so many months. Those of 24 hours stay in any case")
    programs: Path | None = Field(
        None, description="folder of pg_dump and pg_restore; none: those of the PATH and of Debian's packages"
    )
    textfile: Path | None = Field(
        None, description="file, NAME.prom, in which node_exporter's textfile collector finds how the last backup went"
    )

    @field_validator("textfile")
    @classmethod
    def _collected(cls, textfile: Path | None) -> Path | None:
        if textfile is not None and textfile.suffix != ".prom":
            raise ValueError("must end in .prom, for the collector reads no other file")
        return textfile


class RuleSettings(Section):
    """What a report must keep to, or it goes to quarantine."""

    oldest: date = Field(date(2015, 1, 1), description="no report begins before this day (UTC)")
    future_s: int = Field(600, ge=0, description="seconds that a node's clock may be ahead of this one")
    first_node_owns: bool = Field(
        True,
        description="a sensor that belongs to no node becomes the node's that reports it first; false: its reports "
        "wait in quarantine until `footfall-ingest sensor move` says whose it is",
    )
    node_sensors: int = Field(256, ge=1, description="sensors that one node may bring into the store")
    node_streams_a_day: int = Field(
        10_000,
        ge=1,
        description="streams that one node may begin on a UTC day: each start of its program is one a sensor",
    )
    node_rows_a_day: int = Field(
        5_000_000,
        ge=1,
        description="rows that one node may add on a UTC day with minutes older than two days and with spans; a month "
        "of 12 sensors is 1.6 million. What is beyond waits in the node's outbox",
    )
    node_quarantined: int = Field(
        20_000,
        ge=1,
        description="messages of one node that may lie open in quarantine; further ones wait in its outbox",
    )
    node_quarantined_mb: int = Field(64, ge=1, le=1_000_000, description="megabytes (of 1024² bytes) of the same")

    @property
    def oldest_utc(self) -> int:
        """The beginning of `oldest` in UTC unix seconds."""
        return int(datetime.combine(self.oldest, time(), UTC).timestamp())

    def as_rules(self) -> Rules:
        """The rules as who judges takes them."""
        return Rules(
            oldest=self.oldest_utc,
            future_s=self.future_s,
            first_node_owns=self.first_node_owns,
            node_sensors=self.node_sensors,
            node_streams=self.node_streams_a_day,
            node_rows=self.node_rows_a_day,
            node_quarantined=self.node_quarantined,
            node_quarantined_bytes=self.node_quarantined_mb * 1024 * 1024,
        )


MAX_WORKERS = 64
MAX_PORT = 65535


class IngestSettings(GuardedSettings):
    """All settings of ``footfall-ingest``."""

    workers: int = Field(
        1, ge=1, le=MAX_WORKERS, description="processes on this machine; more than one share a subscription"
    )
    mqtt: IngestMqttSettings = Field(default_factory=IngestMqttSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    flush: FlushSettings = Field(default_factory=FlushSettings)
    rules: RuleSettings = Field(default_factory=RuleSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    nodes: NodesSettings = Field(default_factory=NodesSettings)
    backup: BackupSettings = Field(default_factory=BackupSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)

    @model_validator(mode="after")
    def _enough_ports(self) -> Self:
        self.metrics_of(self.workers)
        return self

    def metrics_of(self, number: int) -> MetricsSettings:
        """Where worker `number`, from 1, answers Prometheus: the ports count up from the one that is set.

        Raises:
            ValueError: there is no such port.
        """
        if self.metrics.port is None:
            return self.metrics
        port = self.metrics.port + number - 1
        if port > MAX_PORT:
            raise ValueError(
                f"metrics.port: {number} workers take as many ports from {self.metrics.port} on, "
                f"and there is none above {MAX_PORT}"
            )
        return self.metrics.model_copy(update={"port": port})

    def unsafe_things(self) -> list[str]:
        """What is obviously unsafe, a sentence for each (see `footfall_role.unsafe`)."""
        mqtt = self.mqtt
        return [
            *guessable_dsn("dsn in [database]", self.database.dsn),
            *guessable_secret("password in [mqtt]", mqtt.password.get_secret_value(), mqtt.username, mqtt.client_id),
        ]

    def of_worker(self, number: int) -> Self:
        """The settings of worker `number`, from 1, of several: a member of the group, with a metrics port of its own.

        Where no group is named it takes its name from `client_id`, as the session of a single aggregator does: two
        installations on one broker that do not share that name do not take each other's reports either.
        """
        group = self.mqtt.share or re.sub(r"[/+#]", "-", self.mqtt.client_id)
        mqtt = self.mqtt.model_copy(update={"share": group})
        return self.model_copy(update={"workers": 1, "mqtt": mqtt, "metrics": self.metrics_of(number)})
