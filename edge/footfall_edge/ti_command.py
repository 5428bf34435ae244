"""Tell a TI radar what to do: its chirp configuration, line by line over the command port.

The radar forgets its configuration when it loses power. On evaluation boards the host sends it, as text: each line is
echoed and answered with ``Done``, and ``sensorStart`` is the last one. Sources: Texas Instruments, Radar Toolbox, 3D
People Tracking user guide and the Industrial Visualizer, which leaves 30 ms between two lines; mmWave SDK, command line
interface, for the answers ``Error …``, ``'…' is not recognized as a CLI command`` and ``Ignored: …``.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import serial

from footfall_edge.line import Speed, open_port, why

ANSWER_S: Final = 3.0
"""Seconds for the answer to a line. Calibration before ``sensorStart`` takes the longest, less than one."""
BETWEEN_S: Final = 0.03
"""Seconds between an answer and the next line."""
START: Final = "sensorStart"


class RefusedError(OSError):
    """The radar did not take a line; the message names the line and what came back."""


def configure(command_port: str, baud: int, config_file: Path) -> str:
    """Send `config_file` to the radar at `command_port` and have it start; returns what was done.

    Raises:
        OSError: it cannot be done; the message says why.
    """
    text = failure = ""
    try:
        text = config_file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        failure = error.strerror or str(error)
    if failure:
        # Outside of the handler, so that nobody takes it for a fault of the port.
        raise OSError(f"config_file {config_file} cannot be read: {failure}")
    lines = commands(text, str(config_file))
    try:
        with closing(open_port(command_port, Speed(baud))) as port:
            send(port, lines)
    except RefusedError as error:
        failure = str(error)
    except OSError as error:
        failure = why(error)
    if failure:
        raise OSError(f"command_port {command_port}: {failure}")
    return f"sent {len(lines)} lines of {config_file} to {command_port}; the radar took each"


def commands(text: str, name: str) -> list[str]:
    """The lines of a configuration that are to be sent: without comments (``%``, ``#``) and blank ones.

    Raises:
        OSError: `sensorStart` is not the last of them; `name` says where.
    """
    lines = [line for raw in text.splitlines() if (line := raw.strip()) and not line.startswith(("%", "#"))]
    starts = [number for number, line in enumerate(lines) if line.split()[0] == START]
    if starts != [len(lines) - 1]:
        found = "has none" if not starts else f"has it as command {starts[0] + 1} of {len(lines)}"
        raise OSError(f"config_file {name}: {START} has to be its last command and there once; it {found}")
    return lines


def send(port: serial.Serial, lines: Sequence[str]) -> None:
    """Send `lines` one after the other, each when the one before was taken.

    Raises:
        RefusedError: one was not taken.
        OSError: the port was lost.
    """
    # Ends what the radar may have of an earlier line. What it says to that comes before the echo of the first one.
    port.write(b"\n")
    for line in lines:
        time.sleep(BETWEEN_S)
        port.write(line.encode() + b"\n")
        _await(port, line)


def _await(port: serial.Serial, line: str) -> None:
    deadline = time.monotonic() + ANSWER_S
    heard = b""
    while time.monotonic() < deadline:
        heard += port.read(max(1, port.in_waiting))
        taken = verdict(line, heard.decode("ascii", errors="replace"))
        if taken == "":
            return
        if taken is not None:
            raise RefusedError(f"the radar refused {line!r}: {taken}{_hint(taken)}")
    answer = " ".join(heard.decode("ascii", errors="replace").split())
    if line not in answer:
        raise RefusedError(
            f"{line!r} was not echoed within {ANSWER_S:g} s (there came {answer!r}): is it the command port and its "
            "speed right, and has the radar started from its flash?"
        )
    raise RefusedError(f"{line!r} was echoed and not answered with Done within {ANSWER_S:g} s (there came {answer!r})")


def verdict(line: str, answer: str) -> str | None:
    """Empty if `answer` says that `line` was taken; what it says if not; None if it is not complete."""
    _, echo, rest = answer.partition(line)
    if not echo:
        return None
    *complete, _ = rest.split("\n")
    for text in (text.strip() for text in complete):
        if text == "Done" or (text.startswith("Ignored") and "already started" not in text):
            return ""
        if text.startswith(("Error", "Ignored")) or "not recognized" in text:
            return text
    return None


def _hint(answer: str) -> str:
    if "not recognized" in answer:
        return "; is the configuration one for the firmware that is flashed?"
    return (
        "; if it was running before: it takes a configuration only once after power-up, so switch it off and on, and "
        "if it is running now and nothing valid is heard, look at profile, port and baud"
    )
