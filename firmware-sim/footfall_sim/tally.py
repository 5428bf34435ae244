"""In and out of a simple counter: running sums, where they are kept, and how many of them the host was told.

Most counters one can buy, and all one builds on a weekend, keep nothing that could be acknowledged: they add up, and
show the sum to whoever asks. So what a power failure takes depends on where the sums are:

- in non-volatile memory a passage is safe once it is in there, and the host learns of it whenever it asks next;
- in RAM the sums begin at 0 again, and those passages are gone that the host had not read before. Whether it had is
  known from the line: it took the bytes, or it did not.
"""

import secrets
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from footfall_sim.memory import Store, UnusableMemoryError
from footfall_sim.truth import Closed, Told

IN, OUT = 0, 1
UNKNOWN = 255
"""The class of everybody a simple counter counts."""
_MAGIC = b"FFT1"
_IMAGE = struct.Struct("<4sIIQQQQ")
_CHECK = struct.Struct("<I")
_NUMBERS = 1 << 32


class Keeping(StrEnum):
    """Where the sums are kept."""

    RAM = "ram"
    """A restart begins at 0."""
    NON_VOLATILE = "non-volatile"
    """A restart goes on."""


@dataclass(frozen=True, slots=True)
class TallyDesign:
    """What is soldered or configured into a counter. `device` None: a new memory gets a number by lot.

    `start` are the sums (in, out) of a new device. `spent`: what was said once is not said again (increments instead
    of sums), so what the host did not take is lost.
    """

    device: int | None = None
    keeping: Keeping = Keeping.RAM
    start: tuple[int, int] = (0, 0)
    spent: bool = False


@dataclass(slots=True)
class TallyMemory:
    """What survives a restart: number, boots, sums, and how many passages of each direction nobody had read."""

    device: int
    boot: int = 0
    sums: list[int] = field(default_factory=lambda: [0, 0])
    unread: list[int] = field(default_factory=lambda: [0, 0])

    def image(self) -> bytes:
        """The memory as bytes, with a check sum at the end."""
        content = _IMAGE.pack(_MAGIC, self.device, self.boot, *self.sums, *self.unread)
        return content + _CHECK.pack(zlib.crc32(content))

    @classmethod
    def from_image(cls, image: bytes) -> "TallyMemory":
        """The inverse of `image`. Raises UnusableMemoryError."""
        if image[:4] != _MAGIC:
            raise UnusableMemoryError(
                f"memory image begins with {image[:4]!r}, expected {_MAGIC!r}: the memory of another kind of device?"
            )
        content, check = image[: -_CHECK.size], image[-_CHECK.size :]
        if len(content) != _IMAGE.size or check != _CHECK.pack(zlib.crc32(content)):
            raise UnusableMemoryError(f"memory image of {len(image)} bytes has a wrong check sum")
        _, device, boot, *numbers = _IMAGE.unpack(content)
        return cls(device, boot, numbers[:2], numbers[2:])


class Tally:
    """The sums of one boot. Making it is the boot.

    Raises UnusableMemoryError if the store's image is damaged or belongs to another device.
    """

    def __init__(self, store: Store, design: TallyDesign) -> None:
        self._store = store
        self._design = design
        self._kept = design.keeping is Keeping.NON_VOLATILE
        self._memory = self._recall()
        self._memory.boot += 1
        # Passages by direction since the boot: seen; in what is on its way to the host; read by it; settled in the log.
        self._seen = [0, 0]
        self._said: dict[int, int] = {}
        self._read = [0, 0]
        self._settled = [0, 0]
        self._backlog = self._memory.unread.copy()
        self._notes: list[Told] = []
        self._stopped = False
        self._unsaved = False
        self.save()

    def _recall(self) -> TallyMemory:
        image = self._store.load()
        configured = self._design.device
        if image is None:
            number = secrets.randbelow(_NUMBERS - 1) + 1 if configured is None else configured
            return TallyMemory(number, sums=list(self._design.start))
        memory = TallyMemory.from_image(image)
        if configured not in (None, memory.device):
            raise UnusableMemoryError(f"the memory belongs to device {memory.device}, the settings say {configured}")
        return memory if self._kept else TallyMemory(memory.device, memory.boot)

    @property
    def device(self) -> int:
        """The device's number."""
        return self._memory.device

    @property
    def boot(self) -> int:
        """The number of this boot."""
        return self._memory.boot

    @property
    def sums(self) -> tuple[int, int]:
        """Passages in and out; they do not wrap here."""
        return self._memory.sums[IN], self._memory.sums[OUT]

    @property
    def totals(self) -> dict[tuple[int, int], int]:
        """The sums by direction and class."""
        return {(direction, UNKNOWN): total for direction, total in enumerate(self.sums) if total}

    @property
    def waiting(self) -> int:
        """Passages the host has not read yet."""
        return sum(self._backlog) + sum(self._seen) - sum(self._read)

    @property
    def forgetful(self) -> bool:
        """Whether what waits is gone with the power."""
        return not self._kept

    def passage(self, direction: int) -> bool:
        """Somebody crossed the line; whether that was counted."""
        if direction not in (IN, OUT):
            raise ValueError(f"this counter knows the directions in (0) and out (1), not {direction}")
        if self._stopped:
            return False
        self._memory.sums[direction] += 1
        self._seen[direction] += 1
        self._unsaved = True
        return True

    def stop(self) -> None:
        """Count no more."""
        self._stopped = True

    def settle(self) -> None:
        """Write what was counted since the last call, if the memory keeps it: do so before anybody is told."""
        if self._unsaved and self._kept:
            self.save()
            for direction in (IN, OUT):
                self._note(direction, self._seen[direction])
        self._unsaved = False

    def save(self) -> None:
        """Write the memory: the sums of a forgetful counter are not in it."""
        memory = self._memory
        if self._kept:
            memory.unread = [
                backlog + seen - read for backlog, seen, read in zip(self._backlog, self._seen, self._read, strict=True)
            ]
            self._store.save(memory.image())
        else:
            self._store.save(TallyMemory(memory.device, memory.boot).image())

    def say(self, direction: int) -> None:
        """The sum of a direction, as it is now, is in what is being said."""
        self._said[direction] = self._seen[direction]

    def delivered(self, *, arrived: bool) -> None:
        """The host has read what was said, or never will."""
        said, self._said = self._said, {}
        for direction, upto in said.items():
            if arrived:
                self._read[direction] = upto
                self._backlog[direction] = 0
                self._note(direction, upto)
            elif self._design.spent:
                self._read[direction] = upto
                self._note(direction, upto, lost=True)

    def take_notes(self) -> list[Told]:
        """What was settled since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def _note(self, direction: int, upto: int, *, lost: bool = False) -> None:
        count = upto - self._settled[direction]
        if count > 0:
            self._settled[direction] = upto
            self._notes.append(Told(self.boot, direction, count, lost=lost))


class TallyDevice:
    """What all devices that are no more than a tally have in common; a base of them. `device.Device` says what each is.

    The number and the boot stand for the device in the log of the truth; they are in nothing that it says.
    """

    directions = (IN, OUT)
    foresight_s = 0.0
    acknowledged = False

    def __init__(self, store: Store, design: TallyDesign) -> None:
        """Raises UnusableMemoryError if the store's image is damaged or belongs to another device."""
        self._tally = Tally(store, design)

    @property
    def forgetful(self) -> bool:
        """Whether its totals are in RAM."""
        return self._tally.forgetful

    @property
    def device(self) -> int:
        """Its number."""
        return self._tally.device

    @property
    def boot(self) -> int:
        """The number of this boot."""
        return self._tally.boot

    @property
    def waiting(self) -> int:
        """Passages that are in nothing that the host has read."""
        return self._tally.waiting

    @property
    def totals(self) -> dict[tuple[int, int], int]:
        """The totals by direction and class; they do not wrap here."""
        return self._tally.totals

    @property
    def bad_frames(self) -> int:
        """Frames from the host that could not be read: of those that listen to nobody, none."""
        return 0

    def delivered(self, *, arrived: bool) -> None:
        """The host has read what was said, or never will."""
        self._tally.delivered(arrived=arrived)

    def take_closed(self) -> Sequence[Closed]:
        """The passages settled since the last call."""
        return self._tally.take_notes()

    def save(self) -> None:
        """Write the memory."""
        self._tally.save()

    def surroundings(self, *, lens_suspected: bool, temperature: int, supply_mv: int) -> None:
        """Of no interest: it tells nothing of itself."""
