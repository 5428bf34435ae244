"""``footfall-edge probe``: what does this line say? Listens without an outbox, a broker or a settings file.

It never acknowledges a count, so whatever the device has not delivered yet is still there afterwards. A port name of
``replay:FILE`` reads a recording of raw bytes instead.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from footfall_edge.drivers import Survey, driver_named
from footfall_edge.framer import LineCounts
from footfall_edge.line import open_port, why

REPLAY: Final = "replay:"
_CHUNK: Final = 4096


class ProbeError(Exception):
    """The line could not be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a probe found out."""

    driver: str
    counts: LineCounts
    survey: Survey
    last_fault: str

    def as_json(self) -> str:
        """One JSON object; its members are an interface others rely on."""
        return json.dumps(
            {
                "driver": self.driver,
                "frames": self.counts.frames,
                "targets": self.survey.targets,
                "skipped_bytes": self.counts.skipped_bytes,
                "bad_frames": self.counts.bad_frames,
                "restarts": self.survey.restarts,
                "passages": dict(self.survey.passages),
            }
        )

    def as_text(self) -> str:
        """A few lines for a person."""
        counts = self.counts
        heard = f"{counts.frames} frames, {counts.bad_frames} bad, {counts.skipped_bytes} bytes skipped"
        passages = ", ".join(f"{number} {direction}" for direction, number in self.survey.passages.items())
        lines = [
            f"driver {self.driver}: {heard}",
            *self.survey.lines(),
            f"passages: {passages}; restarts of the device: {self.survey.restarts}",
        ]
        if self.survey.targets:
            lines.append(f"moving targets: {self.survey.targets}")
        if self.last_fault:
            lines.append(f"last bad frame: {self.last_fault}")
        if not counts.frames:
            lines.append("nothing valid was heard: is it the right port, driver and speed, and has the device power?")
        return "\n".join(lines)


def probe(port: str, driver: str, baud: int | None, seconds: float) -> Findings:
    """Listen on `port` for `seconds`, or read the recording it names to its end.

    Raises:
        UnknownDriverError: there is no such driver.
        ProbeError: the line could not be opened or was lost.
    """
    chosen = driver_named(driver)
    framer, survey = chosen.framer(), chosen.survey()
    if port.startswith(REPLAY):
        chunks = _recorded(Path(port.removeprefix(REPLAY)))
    else:
        chunks = _heard(port, baud or chosen.baud, survey.greeting(), seconds)
    try:
        for chunk in chunks:
            for frame in framer.feed(chunk):
                survey.see(frame)
    except OSError as error:
        raise ProbeError(f"{port}: {why(error)}") from error
    except KeyboardInterrupt:
        pass  # heard enough
    if port.startswith(REPLAY):
        framer.reset()  # a recording goes on no further: what is left of it is no frame
    return Findings(driver, framer.counts, survey, framer.last_fault)


def _recorded(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _heard(port: str, baud: int, greeting: bytes, seconds: float) -> Iterator[bytes]:
    deadline = time.monotonic() + seconds
    with closing(open_port(port, baud)) as line:
        if greeting:
            line.write(b"\0" + greeting)
        while time.monotonic() < deadline:
            yield line.read(max(1, line.in_waiting))
