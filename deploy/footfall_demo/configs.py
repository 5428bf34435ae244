"""The settings files of the processes, written into the data folder at each start.

They are what a deployment has in ``/etc``: anybody may read them to see how the parts are joined, and start one of them
by hand with the command line that the process list shows.
"""

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from footfall_demo.city import AT_LEAST_PER_MIN, BOXES, COUNTERS, ZONE, Box, Counter, file_of_jena
from footfall_role.unsafe import is_this_machine
from footfall_sim.settings import USUAL_BAUD, SensorProtocol

Table = Mapping[str, str | int | float | bool]
Section = tuple[str, Table]


@dataclass(frozen=True)
class Wiring:
    """Where everything is: the data folder, the database, the broker, the page."""

    folder: Path
    dsn: str
    """As the database's owner."""
    ingest_dsn: str
    """As an account that may write counts and change no table."""
    api_dsn: str
    """As an account that may only read."""
    mqtt_host: str
    """Where this machine's processes reach the broker."""
    mqtt_port: int
    host: str
    """Where the page listens."""
    port: int
    seed: int
    attribution: str
    operator_token: str
    """What opens the page for the operator."""
    metrics: Mapping[str, int]
    """On which port of this machine each process that has no page answers ``/metrics``, by its name."""

    @property
    def simulator(self) -> Path:
        """The simulator's folder: what the counters remember, the log of the truth, the control socket."""
        return self.folder / "sim"

    def line(self, sensor: str) -> Path:
        """The stable path of a counter's serial line."""
        return self.folder / "lines" / sensor

    def outbox(self, box: Box) -> Path:
        """The outbox of an edge box."""
        return self.folder / f"{box.node}.outbox"

    def config(self, name: str) -> Path:
        """The settings file of a process."""
        return self.folder / f"{name}.toml"

    def write(self) -> None:
        """Write all settings files, readable by their owner only: the database's password and the token are in them."""
        self._put_old_sensors_away()
        mqtt: Table = {"host": self.mqtt_host, "port": self.mqtt_port}
        metrics = {name: ("[metrics]", {"port": port}) for name, port in self.metrics.items()}
        _write(
            self.config("ingest"), {}, [("[mqtt]", mqtt), ("[database]", {"dsn": self.ingest_dsn}), metrics["ingest"]]
        )
        _write(
            self.config("api"),
            # Whoever shows the demo to a network has asked for it by name (--host), and is told what that means.
            {} if is_this_machine(self.host) else {"unsafe": True},
            [
                ("[http]", {"host": self.host, "port": self.port}),
                ("[database]", {"dsn": self.api_dsn}),
                (
                    "[public]",
                    {"local": True, "attribution": self.attribution, "operator_token": self.operator_token},
                ),
                ("[map]", {"streets": str(file_of_jena("streets.geojson").resolve())}),
            ],
        )
        _write(
            self.config("sim"),
            {
                "seed": self.seed,
                "state_dir": str(self.simulator),
                "zone": ZONE,
                "at_least_per_min": AT_LEAST_PER_MIN,
                "wait_for_host": True,
            },
            [
                (
                    "[[sensor]]",
                    {
                        "id": counter.sensor,
                        "protocol": counter.protocol.value,
                        "link": str(self.line(counter.sensor)),
                        "daily_mean": counter.daily_mean,
                        "kind": counter.kind.value,
                        "in_share": counter.in_share,
                        "drift_ppm": counter.drift_ppm,
                    },
                )
                for counter in COUNTERS
            ],
        )
        for box in BOXES:
            _write(
                self.config(box.node),
                # The demo runs on machines whose clock nobody can ask about: containers, laptops just woken up.
                {"node": box.node, "clock": "system"},
                [
                    ("[mqtt]", mqtt),
                    metrics[box.node],
                    ("[outbox]", {"path": str(self.outbox(box))}),
                    *(section for counter in box.counters for section in self._read_by(counter)),
                ],
            )

    def _put_old_sensors_away(self) -> None:
        """Where another kind of sensor stands now than at the last start, the memory of the old one leaves with it."""
        if not self.config("sim").exists():
            return
        before = tomllib.loads(self.config("sim").read_text("utf-8"))
        spoke = {sensor["id"]: sensor.get("protocol", "reference") for sensor in before["sensor"]}
        for counter in COUNTERS:
            memory = self.simulator / f"{counter.sensor}.memory"
            if spoke.get(counter.sensor) != counter.protocol.value and memory.exists():
                memory.rename(memory.with_suffix(f".{spoke.get(counter.sensor, 'unknown')}"))

    def _read_by(self, counter: Counter) -> list[Section]:
        """What the settings of its box say of a counter."""
        sensor = {
            "id": counter.sensor,
            "driver": counter.protocol.value,
            "port": str(self.line(counter.sensor)),
            "baud": USUAL_BAUD[counter.protocol],
        }
        if counter.protocol is not SensorProtocol.MODBUS:
            return [("[[sensor]]", sensor)]
        return [
            ("[[sensor]]", sensor | {"slave": 1}),
            ("[sensor.in]", {"register": 0, "width_bits": 32}),
            ("[sensor.out]", {"register": 2, "width_bits": 32}),
        ]


def _write(path: Path, top: Table, sections: Iterable[Section]) -> None:
    lines = ["# Written by footfall-demo at each start; changes are lost.", *_pairs(top)]
    for title, table in sections:
        lines += ["", title, *_pairs(table)]
    half = path.with_suffix(".half")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    half.replace(path)


def _pairs(table: Table) -> list[str]:
    # A string of JSON is one of TOML, too.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
