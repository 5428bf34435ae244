"""bridge.toml: which network server, which devices, where counts are kept and sent. Checked before anything opens."""

import re
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from footfall_edge.lorawan.payloads import Make, lines_of
from footfall_edge.lorawan.session import LorawanDevice
from footfall_edge.lorawan.uplink import SUBSCRIPTIONS, Network
from footfall_edge.settings import BoxSettings, Identifier, doubles
from footfall_role.settings import MqttSettings, Section

SILENT_INTERVALS: Final = 3
"""A device is called silent when so many of its uplinks did not come: one or two are lost any day."""
_EUI = re.compile(r"[0-9a-f]{16}")


def _eui(value: object) -> object:
    """Consoles and labels write a DevEUI in either case, and with separators."""
    return re.sub(r"[-: ]", "", value).lower() if isinstance(value, str) else value


def _sixteen_digits(value: str) -> str:
    if not _EUI.fullmatch(value):
        raise ValueError("expected the DevEUI, 16 hexadecimal digits")
    return value


def _three_intervals(device: dict[str, Any]) -> float:
    return SILENT_INTERVALS * float(device.get("interval_s", 0))


class NetworkSettings(MqttSettings):
    """The MQTT broker on which the network server publishes uplinks."""

    kind: Network = Field(description='"chirpstack" (version 4) or "tts" (The Things Stack, The Things Network)')
    topic: str = Field("", description="topic filter of the uplinks; empty: those of every device one may see")
    client_id: str = Field("", max_length=64, description="empty: footfall-bridge-NODE; the broker keeps uplinks by it")

    @property
    def subscription(self) -> str:
        """The topic filter in force."""
        return self.topic or SUBSCRIPTIONS[self.kind]

    @model_validator(mode="after")
    def _tts_needs_a_name(self) -> Self:
        if self.kind == "tts" and not self.username:
            raise ValueError('kind = "tts" needs username: the application, as in "passanten@ttn"')
        return self


class DeviceSettings(Section):
    """One line of a device: a sensor."""

    id: Identifier = Field(description="the sensor's name everywhere; it stays with the place it counts at")
    dev_eui: Annotated[str, BeforeValidator(_eui), AfterValidator(_sixteen_digits)] = Field(
        description="the DevEUI of the device, 16 hexadecimal digits"
    )
    make: Make = Field(description="what the device is: its bytes do not tell")
    line: int = Field(1, ge=1, description="which of its lines, for a device that counts at several")
    interval_s: int = Field(600, ge=10, le=7 * 86400, description="seconds between its uplinks")
    silent_s: float = Field(
        default_factory=_three_intervals,
        ge=10,
        le=31 * 86400,
        description="seconds without an uplink until it is called silent; not set: three intervals",
    )
    reversed: bool = Field(False, description="true: it is mounted so that its first direction is out")
    most_per_s: float = Field(
        10.0, gt=0, le=1000, description="passages a second in one direction; totals that rise faster are not believed"
    )

    @property
    def set_up(self) -> LorawanDevice:
        """How its uplinks are understood."""
        return LorawanDevice(self.dev_eui, self.make, self.line, self.reversed, self.most_per_s)

    @model_validator(mode="after")
    def _has_the_line(self) -> Self:
        if self.line > lines_of(self.make):
            raise ValueError(f"line = {self.line}; {self.make} has {lines_of(self.make)}")
        return self


class BridgeSettings(BoxSettings):
    """The settings of one bridge process."""

    network: NetworkSettings
    device: tuple[DeviceSettings, ...] = Field(description="the sensors, one for each line of each device")

    @property
    def client_id(self) -> str:
        """The name by which the network server's broker keeps uplinks for this bridge while it is away."""
        return self.network.client_id or f"footfall-bridge-{self.node}"

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if not self.device:
            raise ValueError("the file has no [[device]]; there is nothing to count")
        if twice := doubles([device.id for device in self.device]):
            raise ValueError(f"[[device]] id {', '.join(twice)} is there twice; each sensor needs its own")
        if twice := doubles([f"{device.dev_eui} line {device.line}" for device in self.device]):
            raise ValueError(f"[[device]] {', '.join(twice)} is there twice; its passages would count double")
        makes = {(device.dev_eui, device.make) for device in self.device}
        if twice := doubles([dev_eui for dev_eui, _ in makes]):
            raise ValueError(f"[[device]] {', '.join(twice)} is of two makes; it can be of one only")
        return self
