"""What a counter's payload says: `Reading`, the same for every maker, or a `PayloadError`."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from footfall_contract.words import Direction, PassageClass
from footfall_edge.counts import Passages

WidthBits: TypeAlias = Literal[16, 32]


class PayloadError(ValueError):
    """Bytes that are none of the payloads of their make; the message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one payload says.

    Uplinks get lost on the air and arrive twice. Totals do not mind, so whoever has totals of a device counts by them
    alone; increments are for devices that send nothing else, and to say what a device counted before totals that
    cannot be compared with earlier ones.
    """

    totals: Passages = ()
    """(direction, class, total) for each running total, zero or not. Modulo 2 ** `width_bits`."""
    width_bits: WidthBits = 16
    """A total that passes the highest number of so many bits begins again at 0."""
    increments: Passages = ()
    """(direction, class, number) counted since the device's previous uplink, zero or not, whether that came or not."""
    battery_percent: int | None = None
    """Of the weaker battery, if there are two."""
    supply_mv: int | None = None
    """Millivolts of the battery."""
    temperature: float | None = None
    """Degrees Celsius inside the device."""
    firmware: str | None = None
    started: bool = False
    """The device says that it was switched on or reset: its totals may begin again at 0."""
    cleared: bool = False
    """The device says that its totals were set to 0 on somebody's order."""
    troubles: tuple[tuple[str, bool], ...] = ()
    """(what, whether it is so now) for each thing the device complains of, or no longer."""
    history: int = 0
    """Records of earlier times that are not in the totals or increments here, see `remarks`."""
    remarks: tuple[str, ...] = ()
    """What an operator should read, for instance that a part could not be decoded."""

    @property
    def counts(self) -> bool:
        """Whether it says anything of passages."""
        return bool(self.totals or self.increments)

    def lines(self) -> list[str]:
        """What it says, for a person, one thing a line."""
        found = []
        for what, numbers in ((f"totals ({self.width_bits} bits)", self.totals), ("since the last", self.increments)):
            if numbers:
                found.append(f"{what}: {', '.join(f'{Direction(way).name.lower()} {n}' for way, _, n in numbers)}")
        told = {
            "battery": None if self.battery_percent is None else f"{self.battery_percent} %",
            "supply": None if self.supply_mv is None else f"{self.supply_mv} mV",
            "temperature": None if self.temperature is None else f"{self.temperature:g} °C",
            "firmware": self.firmware,
        }
        found += [f"{what}: {value}" for what, value in told.items() if value is not None]
        found += [text for said, text in ((self.started, "it was started"), (self.cleared, "totals set to 0")) if said]
        found += [f"{'trouble' if so else 'no longer'}: {what}" for what, so in self.troubles]
        found += [f"remark: {remark}" for remark in self.remarks]
        return found or ["nothing"]


def both_ways(first: int, second: int) -> Passages:
    """Numbers of the first and the other way of a counter that does not tell who passes."""
    pedestrian = int(PassageClass.PEDESTRIAN)
    return ((int(Direction.IN), pedestrian, first), (int(Direction.OUT), pedestrian, second))


def shown(payload: bytes) -> str:
    """`payload` for an error: its length and how it begins."""
    return f"{len(payload)} bytes beginning {payload[:8].hex(' ') or 'nothing'}"
