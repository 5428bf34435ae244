"""Settings of the simulator: one TOML file, or a few options for a single sensor."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from footfall_role.settings import RoleSettings, Section, SettingsError
from footfall_sim import ld2450
from footfall_sim.calibration import DAILY_MEAN, Kind
from footfall_sim.faults import Fault
from footfall_sim.modbus import WordOrder
from footfall_sim.radar import Mounting
from footfall_sim.scene import Line
from footfall_sim.tally import Keeping
from footfall_sim.ti_people import PROFILES

Probability = Annotated[float, Field(ge=0, le=1)]
PerHour = Annotated[float, Field(ge=0, le=3600)]
Point = tuple[float, float]
_PROFILES = ", ".join(PROFILES)
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class FaultSettings(Section):
    """Troubles that come by themselves; more can be ordered while the simulator runs."""

    noise_per_s: float = Field(0.0, ge=0, le=10_000, description="random bytes per second on the line")
    flip: Probability = Field(0.0, description="probability for each byte that one bit is turned")
    loss: Probability = Field(0.0, description="probability for each byte that it is lost")
    reboot_per_h: PerHour = Field(0.0, description="power failures per hour")
    silence_per_h: PerHour = Field(0.0, description="how often per hour the device stops talking")
    silence_s: Seconds = Field(30.0, description="and for how long")
    stuck_per_h: PerHour = Field(0.0, description="how often per hour the optic sees nobody")
    stuck_s: Seconds = Field(60.0, description="and for how long")
    unplug_per_h: PerHour = Field(0.0, description="how often per hour the line is pulled")
    unplug_s: Seconds = Field(10.0, description="and for how long")

    def per_h(self) -> dict[Fault, float]:
        """How often each trouble comes."""
        return {
            Fault.REBOOT: self.reboot_per_h,
            Fault.SILENCE: self.silence_per_h,
            Fault.STUCK: self.stuck_per_h,
            Fault.UNPLUG: self.unplug_per_h,
        }

    def seconds(self, fault: Fault) -> float:
        """How long a trouble that came by itself lasts."""
        return {Fault.SILENCE: self.silence_s, Fault.STUCK: self.stuck_s, Fault.UNPLUG: self.unplug_s}.get(fault, 0.0)


class SensorProtocol(StrEnum):
    """What a sensor speaks on its line."""

    REFERENCE = "reference"
    MODBUS = "modbus"
    LINE_JSON = "line-json"
    LD2450 = "ld2450"
    TI_PEOPLE = "ti-people"


RADARS = (SensorProtocol.LD2450, SensorProtocol.TI_PEOPLE)
"""Those that show people walk instead of counting them."""
TABLES: dict[str, tuple[SensorProtocol, ...]] = {
    "modbus": (SensorProtocol.MODBUS,),
    "line_json": (SensorProtocol.LINE_JSON,),
    "line": RADARS,
    "mounting": RADARS,
    "weaknesses": RADARS,
}
"""For which protocols each table of a ``[[sensor]]`` is."""
KEYS: dict[str, tuple[SensorProtocol, ...]] = {
    "interval_s": (SensorProtocol.REFERENCE,),
    "ring": (SensorProtocol.REFERENCE,),
    "profile": (SensorProtocol.TI_PEOPLE,),
}
"""For which protocols a key is that is not for all of them."""
USUAL_BAUD = {
    SensorProtocol.REFERENCE: 115_200,
    SensorProtocol.MODBUS: 19_200,
    SensorProtocol.LINE_JSON: 115_200,
    SensorProtocol.LD2450: 256_000,
    SensorProtocol.TI_PEOPLE: 921_600,
}
"""Bits per second that the documents of each protocol give as the default."""


class TallySettings(Section):
    """Running totals of a counter that keeps nothing to be acknowledged."""

    memory: Keeping = Field(Keeping.RAM, description="ram: a restart begins at 0; non-volatile: it goes on")
    in_start: int = Field(0, ge=0, lt=1 << 32, description="total inwards of a new device, before anybody passed")
    out_start: int = Field(0, ge=0, lt=1 << 32, description="total outwards of a new device")


class ModbusSettings(TallySettings):
    """A counter in Modbus registers. Addresses are those of the protocol, from 0: 40001 in a manual is 0 here."""

    memory: Keeping = Field(Keeping.NON_VOLATILE, description="ram: a restart begins at 0; non-volatile: it goes on")
    slave: int = Field(1, ge=1, le=247, description="its address on the line")
    in_address: int = Field(0, ge=0, le=65_535, description="first register of the total inwards")
    out_address: int = Field(2, ge=0, le=65_535, description="first register of the total outwards")
    width: Literal[16, 32] = Field(32, description="bits of a total: 16 or 32; it wraps there")
    word_order: WordOrder = Field(WordOrder.HIGH_FIRST, description="of 32 bits: high-first or low-first")
    uptime_address: int | None = Field(
        None, ge=0, le=65_535, description="first register of the seconds since power-on, 32 bits; none: it has none"
    )
    turnaround_ms: float = Field(5.0, ge=0, le=10_000, description="milliseconds between a request and its answer")

    @model_validator(mode="after")
    def _registers_are_apart(self) -> Self:
        owners: dict[int, str] = {}
        for name, first, bits in (
            ("in_address", self.in_address, self.width),
            ("out_address", self.out_address, self.width),
            ("uptime_address", self.uptime_address, 32),
        ):
            for address in range(first, first + bits // 16) if first is not None else ():
                if address > 65_535:
                    raise ValueError(f"{name} {first} needs a second register, and 65535 is the last one")
                if address in owners:
                    raise ValueError(f"{owners[address]} and {name} share register {address}; give each its own")
                owners[address] = name
        return self


class LineJsonSettings(TallySettings):
    """A micro-controller that prints a line of JSON."""

    increments: bool = Field(False, description="passages since the line before instead of totals")
    every_s: float = Field(1.0, ge=0, le=3600, description="seconds between two lines; 0: not by the clock")
    at_passage: bool = Field(False, description="a line at each passage")
    uptime: bool = Field(True, description="lines carry uptime_s, the seconds since power-on")
    checksum: bool = Field(False, description="lines end with * and two hexadecimal digits, as in NMEA 0183")

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if not self.every_s and not self.at_passage:
            raise ValueError("with every_s = 0 and at_passage = false it never says anything; set one of them")
        if self.increments and self.memory is Keeping.NON_VOLATILE:
            raise ValueError('increments are forgotten once they are printed; memory = "non-volatile" needs totals')
        return self


class LineSettings(Section):
    """The counting line on the ground in front of a radar, metres: x to its right, y straight ahead, from below it.

    `in` crosses it from left to right as seen looking from its first to its second point.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Point = Field((0.0, 0.0), alias="from", description="its first point [x, y], metres")
    to: Point = Field((0.0, 6.0), description="its second point")

    @model_validator(mode="after")
    def _is_a_line(self) -> Self:
        self.on_the_ground()
        return self

    def on_the_ground(self) -> Line:
        """The line. Raises ValueError if it is a point."""
        return Line(*self.from_, *self.to)


class MountingSettings(Section):
    """How a radar hangs."""

    height_m: float = Field(ld2450.BODY_CENTRE_M, description="metres above the ground")
    tilt_deg: float = Field(0.0, description="degrees by which it looks downwards; an HLK-LD2450 hangs level")

    @model_validator(mode="after")
    def _can_hang(self) -> Self:
        self.in_place()
        return self

    def in_place(self) -> Mounting:
        """The mounting. Raises ValueError if nothing can hang like that."""
        return Mounting(self.height_m, self.tilt_deg)


class WeaknessSettings(Section):
    """What a radar is bad at. What is not set is as its make is known for."""

    noise_m: float | None = Field(None, ge=0, le=2, description="standard deviation of each coordinate, metres")
    drop: Probability | None = Field(None, description="share of the frames that do not leave the sensor")
    ghosts_per_h: PerHour | None = Field(None, description="false targets that appear per hour")


class SensorSettings(Section):
    """One simulated counter and the people at its line."""

    id: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$", description="names its files, and its dice")
    protocol: SensorProtocol = Field(
        SensorProtocol.REFERENCE, description="reference, modbus, line-json, ld2450 or ti-people"
    )
    link: Path | None = Field(None, description="stable path of its line; none: tty-<id> in the state folder")
    device: int | None = Field(None, ge=1, lt=1 << 32, description="its number; none: by lot, kept in its memory")
    daily_mean: float = Field(DAILY_MEAN, ge=0, le=5_000_000, description="passages per day; 0: nobody")
    kind: Kind = Field(Kind.GENERAL, description="general, shopping or gastronomy")
    interval_s: int = Field(10, description="reference: seconds between two cuts; a divisor of 60")
    drift_ppm: float = Field(0.0, ge=-10_000, le=10_000, description="how much too fast its clock runs, in millionths")
    in_share: Probability = Field(0.5, description="share of the passages inwards, over the whole day")
    ring: int = Field(8640, ge=1, le=65_535, description="reference: intervals it keeps until they are acknowledged")
    baud: int | None = Field(
        None, ge=1200, le=4_000_000, description="speed of its line; none: what is usual for its protocol"
    )
    fault: FaultSettings | None = Field(None, description="its own troubles instead of everybody's")
    profile: str = Field("3d-people-counting", description=f"ti-people: what its firmware writes: {_PROFILES}")
    modbus: ModbusSettings | None = Field(None, description="its registers, for protocol modbus")
    line_json: LineJsonSettings | None = Field(None, description="its lines, for protocol line-json")
    line: LineSettings | None = Field(None, description="the line before a radar")
    mounting: MountingSettings | None = Field(None, description="how a radar hangs")
    weaknesses: WeaknessSettings | None = Field(None, description="what a radar is bad at")

    @field_validator("interval_s")
    @classmethod
    def _divides_a_minute(cls, value: int) -> int:
        if value < 1 or 60 % value:
            raise ValueError("an interval is a divisor of 60 seconds, e.g. 10")
        return value

    @field_validator("profile")
    @classmethod
    def _is_a_profile(cls, value: str) -> str:
        if value not in PROFILES:
            raise ValueError(f"no such firmware; there are {_PROFILES}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _has_its_tables(cls, given: Any) -> Any:
        """What is left out is the protocol's table with its defaults, so that the settings in force can be shown."""
        if not isinstance(given, dict):
            return given
        protocol = str(given.get("protocol", ""))
        own = [table for table, protocols in TABLES.items() if protocol in protocols and given.get(table) is None]
        return given | {table: {} for table in own}

    @model_validator(mode="after")
    def _speaks_one_protocol(self) -> Self:
        for table, protocols in TABLES.items():
            if self.protocol not in protocols and getattr(self, table) is not None:
                raise ValueError(f"[sensor.{table}] is for {_either(protocols)}, and {self.id} speaks {self.protocol}")
        for key, protocols in KEYS.items():
            if self.protocol not in protocols and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} is for {_either(protocols)}, and {self.id} speaks {self.protocol}")
        if self.protocol is SensorProtocol.LD2450 and self.mounting and self.mounting.tilt_deg:
            raise ValueError(f"an HLK-LD2450 is mounted level; tilt_deg = {self.mounting.tilt_deg} is for ti-people")
        return self

    @property
    def line_baud(self) -> int:
        """Bits per second of its line."""
        return self.baud or USUAL_BAUD[self.protocol]


class SimSettings(RoleSettings):
    """Settings of ``footfall-sim``."""

    seed: int = Field(1, ge=0, lt=1 << 32, description="the same seed gives the same people")
    state_dir: Path = Field(Path("footfall-sim-state"), description="memories, logs of the truth, control socket")
    zone: str = Field("Europe/Berlin", description="time zone of the streets")
    speed: float = Field(1.0, gt=0, le=10_000, description="how many times as fast the people's day passes")
    at_least_per_min: float = Field(0.0, ge=0, le=100_000, description="least passages per minute at any time; 0: off")
    wait_for_host: bool = Field(
        False,
        description="nobody passes a new sensor that is not acknowledged before a host has heard it: the first total "
        "that a host sees is where it begins to count",
    )
    pedestrians: bool = Field(True, description="false: nobody comes before the command start_pedestrians")
    holidays: bool = Field(True, description="public holidays of the whole of Germany are quieter")
    drain_s: float = Field(10.0, ge=0, le=3600, description="at the end, how long to wait for acknowledgements")
    control: Path | None = Field(None, description="socket for commands; none: control.sock in the state folder")
    sensor: tuple[SensorSettings, ...] = Field(min_length=1, description="the sensors")
    fault: FaultSettings = Field(FaultSettings(), description="troubles of every sensor without its own")

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError("no such time zone; an example is Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for what, values in (
            ("id", [sensor.id for sensor in self.sensor]),
            ("link", [str(self.link_of(sensor)) for sensor in self.sensor]),
            ("device", [str(sensor.device) for sensor in self.sensor if sensor.device is not None]),
        ):
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ValueError(f"two sensors have the same {what}: {', '.join(sorted(twice))}")
        return self

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "SimSettings":
        """The settings that options of the command line give; they win over the environment.

        Raises SettingsError, one line for each fault.
        """
        try:
            return _OptionsFirst(**options)
        except ValidationError as error:
            faults = error.errors()
            # A sensor with a fault is not counted as a sensor: that there is none is then no news.
            own = [fault for fault in faults if fault["type"] != "too_short"]
            raise SettingsError("\n".join(_sentence(fault) for fault in own or faults)) from error

    def link_of(self, sensor: SensorSettings) -> Path:
        """The stable path of a sensor's line."""
        return sensor.link or self.state_dir / f"tty-{sensor.id}"

    def memory_of(self, sensor: SensorSettings) -> Path:
        """The file that stands for a sensor's non-volatile memory."""
        return self.state_dir / f"{sensor.id}.memory"

    def truth_of(self, sensor: SensorSettings) -> Path:
        """The log of what really happened in front of a sensor."""
        return self.state_dir / f"{sensor.id}.truth.jsonl"

    @property
    def control_path(self) -> Path:
        """The socket for commands."""
        return self.control or self.state_dir / "control.sock"


class _OptionsFirst(SimSettings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings


def _either(protocols: tuple[SensorProtocol, ...]) -> str:
    return " or ".join(f"protocol {protocol}" for protocol in protocols)


def _sentence(fault: ErrorDetails) -> str:
    names = [part for part in fault["loc"] if isinstance(part, str) and part != "sensor"]
    option = f"--{names[-1].replace('_', '-')}: " if names else ""
    given = "" if isinstance(fault.get("input"), dict | list) else f" (it is {fault.get('input')!r})"
    return option + fault["msg"].removeprefix("Value error, ") + given
