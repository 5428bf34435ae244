"""``footfall-edge probe``: what does this line say? Listens without an outbox, a broker or a settings file.

It never acknowledges a count, so whatever the device has not delivered yet is still there afterwards. A port name of
``replay:FILE`` reads a recording of raw bytes instead, of any size in the same memory.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from footfall_edge.drivers import Drawn, Driver, Survey
from footfall_edge.framer import LineCounts
from footfall_edge.line import ROUSE_S, Speed, open_port, why

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
            lines.append(self._silence())
        return "\n".join(lines)

    def _silence(self) -> str:
        """What to look after when there was no frame: nothing at all came, or what came could not be read."""
        if not self.counts.skipped_bytes:
            return (
                "nothing valid was heard, not a single byte: is it the right port, has the device power, are its wires "
                "right, and is it asked by its own address?"
            )
        return (
            f"nothing valid was heard in {self.counts.skipped_bytes} bytes: is it the right driver, set up as the "
            "device is, and the right speed?"
        )


def probe(name: str, driver: Driver, port: str, speed: Speed, seconds: float) -> Findings:
    """Listen on `port` for `seconds`, or read the recording it names to its end; `name` is what the driver is called.

    Raises:
        ProbeError: the line could not be opened or was lost.
    """
    framer, survey = driver.framer(), driver.survey()
    if port.startswith(REPLAY):
        chunks = _recorded(Path(port.removeprefix(REPLAY)))
    else:
        chunks = _heard(port, speed, driver, survey, seconds)
    try:
        for chunk in chunks:
            for frame in framer.feed(chunk):
                survey.see(frame)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and port.startswith(REPLAY):
            raise ProbeError(f"{port}: there is no such file") from error
        raise ProbeError(f"{port}: {why(error)}") from error
    except KeyboardInterrupt:
        pass  # heard enough
    # A recording goes on no further, and to a line nobody listens any more: what is left of it is no frame.
    for frame in framer.finish():
        survey.see(frame)
    return Findings(name, framer.counts, survey, framer.last_fault)


def drawable(name: str, survey: Survey) -> Drawn:
    """`survey` as one that can be drawn; `name` is what its driver is called.

    Raises:
        ProbeError: the driver's sensors show nothing that could be drawn.
    """
    if not isinstance(survey, Drawn):
        raise ProbeError(f"a sensor of driver {name} shows no positions: there is nothing to draw")
    return survey


def picture(findings: Findings, port: str) -> str:
    """What a probe saw, as SVG text.

    Raises:
        ProbeError: the driver's sensors show nothing that could be drawn.
    """
    return drawable(findings.driver, findings.survey).draw(f"{findings.driver} on {port}")


def _recorded(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _heard(port: str, speed: Speed, driver: Driver, survey: Survey, seconds: float) -> Iterator[bytes]:
    deadline = time.monotonic() + seconds
    rouse_s: float = time.monotonic() + ROUSE_S
    with closing(open_port(port, speed)) as line:
        before = driver.preamble
        while time.monotonic() < deadline:
            question = survey.question(time.monotonic())
            if question:
                line.write(before + question)
                before = b""
            heard = line.read(max(1, line.in_waiting))
            if heard:
                rouse_s = math.inf
            elif time.monotonic() >= rouse_s:
                rouse_s = math.inf
                driver.rouse()
            yield heard
