"""What the edge asks of a make of sensor, and where it finds the driver for one.

A driver is one module with one class. The class is what edge.toml may say of such a sensor: its fields are the keys of
``[[sensor]]`` that only it knows. It brings a framer for the bytes on the line and a session that turns frames into
counts, both pure: a session is an immutable value, and each of its methods returns the next one together with what is
to be stored and sent. So the agent can throw a step away when the outbox could not store it, and go on from the session
before it.

transport (`line`) → framer → tracks (`tracker`) or totals (`totals`) → counts

The edge's own drivers are in `BUILT_IN`. Others come as packages with an entry point in the group
``footfall.drivers``; its name is what `driver` in edge.toml says, its object a subclass of `Driver`.
docs/sensors/new-driver.md shows how one is written.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar, Final, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast, runtime_checkable

from footfall_edge.clock import Moment
from footfall_edge.counts import Count, Cursor
from footfall_edge.framer import Frame, Framer
from footfall_role.settings import Section

ENTRY_POINTS: Final = "footfall.drivers"

BUILT_IN: Final = {
    "ld2450": "footfall_edge.ld2450:Ld2450",
    "line-json": "footfall_edge.line_json:LineJson",
    "modbus": "footfall_edge.modbus:ModbusCounter",
    "reference": "footfall_edge.reference:ReferenceCounter",
    "ti-people": "footfall_edge.ti_people:TiPeople",
}
"""Name in edge.toml → module:class."""

Parity: TypeAlias = Literal["none", "even", "odd"]


S_co = TypeVar("S_co", covariant=True)


class Outcome(StrEnum):
    """What became of a frame. Every frame has one of these, and each is counted."""

    BOOKED = "booked"
    DUPLICATE = "duplicate"
    """Booked before; acknowledged again."""
    OUT_OF_ORDER = "out_of_order"
    """Frames before it are missing; the device sends them again, and then this one."""
    UNTIMED = "untimed"
    """It cannot be placed in time yet; the device keeps it."""
    TOLD = "told"
    """It carried no counts: a greeting, the device's health."""
    SEEN = "seen"
    """It showed who is there, or how far the device's totals are."""
    IMPLAUSIBLE = "implausible"
    """It said something that cannot be, which was left out."""
    UNREADABLE = "unreadable"
    """Its checksum is right and its content is not what the protocol says."""
    UNKNOWN = "unknown"
    """Of a type that this driver does not know."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a device says about itself."""

    firmware: str | None = None
    restarts: int = 0
    """How often it was seen to start anew."""
    trouble: str = ""
    """What it complains of, for a person; empty if nothing."""


@dataclass(frozen=True, slots=True)
class Booking:
    """What one step adds to the outbox, in one transaction: counts, and how far the device is booked with them."""

    counts: tuple[Count, ...]
    cursor: Cursor | None
    """None for a device of which nothing need be known after a restart."""


class Session(Protocol):
    """The edge's half of the conversation with the device on one line. Immutable."""

    @property
    def device(self) -> Device:
        """What is known of the device."""

    def opened(self, now: Moment) -> "Step[Self]":
        """The line was opened, or the clock became trustworthy: greet the device."""

    def heard(self, frame: Frame, at: Moment) -> "Step[Self]":
        """A frame came in at `at`."""

    def tick(self, now: Moment) -> "Step[Self]":
        """Time passed; called several times a second while the line is open, and after each `heard`."""

    def closed(self, now: Moment) -> "Step[Self]":
        """The line was closed, as it is before the process ends: what was seen is to be booked now."""


@dataclass(frozen=True, slots=True)
class Step(Generic[S_co]):
    """One move of a session."""

    session: S_co
    """The session after it, in force only once `booking` is stored."""
    outcome: Outcome | None = None
    booking: Booking | None = None
    acknowledge: bytes = b""
    """For the device, only after `booking` is stored, for then it may forget."""
    reply: bytes = b""
    """For the device, at once."""
    remark: str = ""
    """Something an operator should find in the log."""


class Survey(Protocol):
    """What `footfall-edge probe` finds out about a line. Sends nothing that makes a device forget."""

    @property
    def targets(self) -> int:
        """Moving targets seen, for sensors that report those; 0 for others."""

    @property
    def restarts(self) -> int:
        """How often the device was seen to start anew."""

    @property
    def passages(self) -> Mapping[str, int]:
        """Passages by direction, ``in`` and ``out``."""

    def question(self, now_s: float) -> bytes:
        """What to send at `now_s`, monotonic seconds, so that the device says something; empty most of the time."""

    def see(self, frame: Frame) -> None:
        """Take note of a frame."""

    def lines(self) -> list[str]:
        """What was learnt of the device, for a person, one thing a line."""


@runtime_checkable
class Drawn(Protocol):
    """A survey that can make a picture of what it saw."""

    def draw(self, title: str) -> str:
        """The picture as SVG text, with `title` on it."""


class Driver(Section, ABC):
    """One make of sensor, set up as ``[[sensor]]`` in edge.toml says: its fields are the keys that only it knows."""

    usual_baud: ClassVar[int] = 115200
    """The speed its line usually has."""
    usual_parity: ClassVar[Parity] = "none"
    preamble: ClassVar[bytes] = b""
    """Ends, for the device, a message of ours that was cut short; sent before the first one on a newly opened line."""
    remembers: ClassVar[bool] = False
    """Whether the device says again what was not acknowledged. What any other device showed is kept in this process's
    memory while the outbox cannot be written."""
    slotted: ClassVar[bool] = True
    """Whether it reports slot by slot, so that a slot without word of it was not observed."""

    @property
    def quiet_s(self) -> float:
        """Seconds for which a device that works may send nothing at all, as far as its settings say."""
        return 0.0

    @property
    def other_ports(self) -> tuple[str, ...]:
        """The ports that it opens beside the line, such as one to `rouse` the device by."""
        return ()

    @abstractmethod
    def framer(self) -> Framer:
        """A framer for a newly opened line."""

    @abstractmethod
    def session(self, cursors: Iterable[Cursor], *, slot_s: int = 10) -> Session:
        """A session that goes on from what is booked of the devices seen on this line so far.

        `slot_s`: seconds of a slot. Counts had better not reach beyond one, or they become spans.
        """

    @abstractmethod
    def survey(self) -> Survey:
        """A survey for a probe."""

    def rouse(self) -> str:
        """Make a device speak that has said nothing since its line was opened; called from the line's thread.

        May open other ports and take seconds. Returns what was done, for the log; empty if nothing.

        Raises:
            OSError: it cannot be done; the message says why, and the line is opened again later.
        """
        return ""


class UnknownDriverError(LookupError):
    """There is no driver of that name; the message lists those there are."""


def driver_names() -> list[str]:
    """Every name that `driver` in edge.toml may have."""
    return sorted({*BUILT_IN, *(found.name for found in _installed())})


def driver_named(name: str) -> type[Driver]:
    """The driver called `name`.

    Raises:
        UnknownDriverError: there is none, or the package that brings it is broken.
    """
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return cast("type[Driver]", getattr(import_module(module), attribute))
    for found in _installed():
        if found.name == name:
            return _loaded(found)
    raise UnknownDriverError(f"there is no driver {name!r}; there are: {', '.join(driver_names())}")


def _loaded(found: EntryPoint) -> type[Driver]:
    try:
        loaded: object = found.load()
    except (ImportError, AttributeError) as error:
        raise UnknownDriverError(
            f"driver {found.name!r} is installed as {found.value} and cannot be loaded: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Driver)):
        raise UnknownDriverError(
            f"driver {found.name!r} is installed as {found.value}, which is no footfall_edge.drivers.Driver"
        )
    return loaded


def _installed() -> Iterable[EntryPoint]:
    return entry_points(group=ENTRY_POINTS)
