"""edge.toml: what an edge reads, where it keeps and where it sends. Checked before anything is opened."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from footfall_contract.errors import ContractError
from footfall_contract.words import SLOT_LENGTHS_S, check_id
from footfall_edge.clock import ClockName
from footfall_edge.drivers import Driver, Parity, driver_named, driver_names
from footfall_edge.line import Speed
from footfall_edge.window import FIRST_RESEND_S, LONGEST_RESEND_S
from footfall_role.settings import (
    MetricsSettings,
    MqttSettings,
    RoleSettings,
    Section,
    SettingsError,
    own_faults,
    sentence_of,
)


def _identifier(value: str) -> str:
    try:
        return check_id("id", value)
    except ContractError as error:
        raise ValueError(f"expected {error.expected}") from error


def _slot_length(value: int) -> int:
    if value not in SLOT_LENGTHS_S:
        raise ValueError(f"a slot divides a minute: {', '.join(map(str, SLOT_LENGTHS_S))} s")
    return value


def _driver(value: str) -> str:
    names = driver_names()
    if value not in names:
        raise ValueError(f"there is no such driver; there are: {', '.join(names)}")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]


class OutboxSettings(Section):
    """Where counts wait until they are stored."""

    path: Path = Field(description="the outbox file, on a disk that keeps what was written")
    max_mb: int = Field(512, ge=1, description="megabytes; above this stored reports go, then slots become coarser")
    keep_committed_days: int = Field(14, ge=1, le=366, description="days for which committed reports are kept")


class ReportSettings(Section):
    """How finely counts are reported, and how often."""

    slot_s: Annotated[int, AfterValidator(_slot_length)] = Field(10, description="seconds; a divisor of 60")
    every_s: int = Field(10, ge=1, le=3600, description="seconds between reports; a multiple of slot_s")
    resend_s: float = Field(
        FIRST_RESEND_S,
        ge=1,
        le=LONGEST_RESEND_S,
        description="seconds until the oldest report that is not known to be stored is sent again; then twice that",
    )

    @model_validator(mode="after")
    def _whole_slots(self) -> Self:
        if self.every_s % self.slot_s:
            raise ValueError(f"every_s = {self.every_s} is not a multiple of slot_s = {self.slot_s}")
        return self


class SensorSettings(Section):
    """One sensor and the line it is on. What else stands in its table is for its driver, which says what it knows."""

    model_config = ConfigDict(extra="allow")

    id: Identifier = Field(description="the sensor's name everywhere; it stays with the place it counts at")
    driver: Annotated[str, AfterValidator(_driver)] = Field(description="what speaks on the line")
    port: str = Field(min_length=1, description="path of the serial port, best under /dev/serial/by-id")
    baud: int | None = Field(None, ge=50, le=4_000_000, description="speed of the line; none: the driver's usual one")
    parity: Parity | None = Field(None, description="none, even or odd; not set: the driver's usual one")
    stop_bits: Annotated[int, Field(ge=1, le=2)] = Field(1, description="1 or 2")
    silent_s: float = Field(35, ge=1, le=86400, description="seconds without a valid frame until the line is reopened")
    _set_up: Driver = PrivateAttr()

    @property
    def set_up(self) -> Driver:
        """The driver, with what this table says for it."""
        return self._set_up

    @property
    def speed(self) -> Speed:
        """How the characters of the line are sent."""
        return Speed(self.baud or self._set_up.usual_baud, self.parity or self._set_up.usual_parity, self.stop_bits)

    @classmethod
    def given(cls, table: Mapping[str, Any]) -> Self:
        """The sensor that `table` describes as a ``[[sensor]]`` would.

        Raises:
            SettingsError: it cannot be used so; one line for each fault.
        """
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise SettingsError("\n".join(_faults(error))) from error

    @model_validator(mode="after")
    def _let_the_driver_judge(self) -> Self:
        try:
            self._set_up = driver_named(self.driver).model_validate(self.__pydantic_extra__ or {})
        except ValidationError as error:
            raise ValueError(f"driver {self.driver}: {'; '.join(_faults(error))}") from error
        if self.silent_s <= self._set_up.quiet_s:
            raise ValueError(
                f"silent_s = {self.silent_s:g} is not more than the {self._set_up.quiet_s:g} s for which a device that "
                "works is quiet: its line would be opened anew over and over"
            )
        return self

    @model_serializer(mode="wrap")
    def _with_the_drivers(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        own = {name: value for name, value in plain(self).items() if name in type(self).model_fields}
        return own | self._set_up.model_dump(by_alias=True)


def _faults(error: ValidationError) -> list[str]:
    sentences = []
    for fault in own_faults(error):
        place = ".".join(str(part) for part in fault["loc"])
        given = fault.get("input")
        if fault["type"] == "tuple_type" and isinstance(given, dict):
            sentences.append(
                f"{place}: there may be several: write [[sensor.{place}]], with two brackets on either side"
            )
        elif fault["type"] == "tuple_type":
            sentences.append(f"{place}: expected a list such as [0.0, 6.0] (it is {given!r})")
        elif fault["type"] in ("model_type", "dataclass_type"):
            sentences.append(f"{place}: expected one table, [sensor.{place}] with its keys below (it is {given!r})")
        else:
            sentences.append(sentence_of(fault, place, "a setting of it"))
    return sentences


class BoxSettings(RoleSettings):
    """What every process has that counts for one node, whatever it counts with."""

    node: Identifier = Field(description="the name of this box")
    clock: ClockName = Field("ntp", description='"ntp": stamp nothing before the kernel is synchronised; "system"')
    stop_wait_s: float = Field(5, ge=0, le=600, description="seconds a stop waits for what was sent to be committed")
    mqtt: MqttSettings = Field(default_factory=MqttSettings)
    outbox: OutboxSettings
    report: ReportSettings = Field(default_factory=ReportSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)


class EdgeSettings(BoxSettings):
    """The settings of one edge process."""

    sensor: tuple[SensorSettings, ...] = Field(description="the sensors on this box")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if not self.sensor:
            raise ValueError("the file has no [[sensor]]; there is nothing to count")
        ports = [port for sensor in self.sensor for port in (sensor.port, *sensor.set_up.other_ports)]
        for what, names in (("id", [sensor.id for sensor in self.sensor]), ("port", ports)):
            if twice := doubles(names):
                raise ValueError(f"[[sensor]] {what} {', '.join(twice)} is there twice; each sensor needs its own")
        return self


def doubles(values: Sequence[str]) -> list[str]:
    """Those of `values` that are there more than once."""
    return sorted({value for value in values if values.count(value) > 1})
