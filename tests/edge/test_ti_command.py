"""Starting a TI radar over its command port: a pseudo-terminal with a small model of the radar's command line."""

import os
import re
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue

import pytest

from footfall_edge import line, ti_command
from footfall_edge.clock import Clock
from footfall_edge.events import Closed, Event, Heard
from footfall_edge.line import Backoff, Line, Speed
from footfall_edge.ti_command import commands, verdict
from footfall_edge.ti_people import TiPeople
from footfall_testing.waiting import wait_until

CONFIGURATION = """% People tracking, 6 m
sensorStop

flushCfg
# the room
trackingCfg 1 2 800 30 46 96 55
  boundaryBox -3 3 0.5 6 0 3
sensorStart
"""
LINES = ["sensorStop", "flushCfg", "trackingCfg 1 2 800 30 46 96 55", "boundaryBox -3 3 0.5 6 0 3", "sensorStart"]
HEARTBEAT = bytes.fromhex("0201040306050807 04000503 28000000 43680a00 01000000 00000000 00000000 00000000 00000000")


class Radar:
    """Echoes each character of a line, answers the line, prompts for the next."""

    def __init__(self, answers: Mapping[str, str] | None = None, *, echo: bool = True) -> None:
        self._master, self._far = os.openpty()
        tty.setraw(self._far)
        self.port = os.ttyname(self._far)
        self.lines: list[str] = []
        self.pauses: list[float] = []
        """Seconds from the beginning of an answer, which is said at once, to the first character of the next line."""
        self.started: Callable[[], None] = lambda: None
        self._answers = answers or {}
        self._echo = echo
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk, name="radar")
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._far)

    def _talk(self) -> None:
        text, answered = "", time.monotonic()
        while not self._over.is_set():
            if not select.select([self._master], [], [], 0.02)[0]:
                continue
            for character in os.read(self._master, 1000).decode():
                if not text and character != "\n":
                    self.pauses.append(time.monotonic() - answered)
                self._say(character)
                if character != "\n":
                    text += character
                    continue
                answered = time.monotonic()  # before the answer, for the host may have that before we go on
                if text:
                    self.lines.append(text)
                    self._say(self._answers.get(text, "Done\n"))
                    if text == "sensorStart":
                        self.started()
                self._say("\nmmwDemo:/>")
                text = ""

    def _say(self, text: str) -> None:
        if self._echo:
            os.write(self._master, text.replace("\n", "\r\n").encode())


@pytest.fixture
def radar() -> Iterator[Callable[..., Radar]]:
    """Makes radars, and ends them with the test."""
    made: list[Radar] = []

    def make(answers: Mapping[str, str] | None = None, *, echo: bool = True) -> Radar:
        made.append(Radar(answers, echo=echo))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], TiPeople]:
    """Makes a driver that starts the radar at a port with `CONFIGURATION`, and has patience with it."""
    monkeypatch.setattr(ti_command, "ANSWER_S", 20.0)
    file = tmp_path / "people.cfg"
    file.write_text(CONFIGURATION)

    def make(port: str) -> TiPeople:
        return TiPeople(command_port=port, config_file=file)

    return make


def test_the_configuration_is_sent_line_by_line(
    radar: Callable[..., Radar], driver: Callable[[str], TiPeople], tmp_path: Path
) -> None:
    """Without comments and blank lines, each after the answer to the one before and 30 ms later, the start last."""
    device = radar({"sensorStop": "Ignored: Sensor is already stopped\nDone\n"})

    done = driver(device.port).rouse()

    assert device.lines == LINES
    assert all(pause >= 0.029 for pause in device.pauses[1:])
    assert done == f"sent 5 lines of {tmp_path / 'people.cfg'} to {device.port}; the radar took each"


def test_what_the_radar_still_had_of_a_line_spoils_none(
    radar: Callable[..., Radar], driver: Callable[[str], TiPeople]
) -> None:
    """Half a line that somebody typed before is ended first, whatever the radar says to it."""
    device = radar({"sens": "'sens' is not recognized as a CLI command\n"})
    with line.open_port(device.port, Speed(115_200)) as port:
        port.write(b"sens")
        wait_until(lambda: device.pauses, what="the half line")

    driver(device.port).rouse()

    assert device.lines == ["sens", *LINES]


@pytest.mark.parametrize(
    ("refused", "answer", "sentence"),
    [
        ("flushCfg", "Error -1\n", "the radar refused 'flushCfg': Error -1; if it was running before"),
        (
            LINES[2],
            "'trackingCfg' is not recognized as a CLI command\n",
            f"the radar refused '{LINES[2]}': 'trackingCfg' is not recognized as a CLI command; is the configuration",
        ),
        (
            "sensorStart",
            "Ignored: Sensor is already started\nDone\n",
            "the radar refused 'sensorStart': Ignored: Sensor is already started; if it was running before: it takes",
        ),
        (
            "sensorStop",
            "Error: device must be restarted before a new cfg\n",
            "the radar refused 'sensorStop': Error: device must be restarted before a new cfg; if it was running",
        ),
    ],
)
def test_a_line_that_is_refused_ends_it(
    radar: Callable[..., Radar], driver: Callable[[str], TiPeople], refused: str, answer: str, sentence: str
) -> None:
    """The error names the line and the answer, and what can be done; no further line is sent."""
    device = radar({refused: answer})

    with pytest.raises(OSError, match=re.escape(f"command_port {device.port}: {sentence}")):
        driver(device.port).rouse()

    assert device.lines == LINES[: LINES.index(refused) + 1]


def test_a_port_at_which_nobody_answers_is_said(
    radar: Callable[..., Radar], driver: Callable[[str], TiPeople], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an echo it may be the wrong port; with one and without Done the radar hangs."""
    mute, stuck = radar(echo=False), radar({"flushCfg": "working\n"})

    monkeypatch.setattr(ti_command, "ANSWER_S", 0.3)
    with pytest.raises(OSError, match=r"'sensorStop' was not echoed within 0\.3 s .*is it the command port"):
        driver(mute.port).rouse()
    monkeypatch.setattr(ti_command, "ANSWER_S", 10.0)  # this one has to say what it says
    with pytest.raises(OSError, match=r"'flushCfg' was echoed and not answered .*flushCfg working mmwDemo"):
        driver(stuck.port).rouse()


def test_a_port_or_a_file_that_is_not_there_is_said(tmp_path: Path, driver: Callable[[str], TiPeople]) -> None:
    """Each in the words of its kind, in what the agent shows too."""
    port, file = tmp_path / "tty", tmp_path / "none.cfg"
    with pytest.raises(OSError, match="there is no such port") as no_port:
        driver(str(port)).rouse()
    with pytest.raises(OSError, match="cannot be read") as no_file:
        TiPeople(command_port=str(port), config_file=file).rouse()

    assert line.why(no_port.value) == f"command_port {port}: there is no such port; is the device plugged in?"
    assert line.why(no_file.value) == f"config_file {file} cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sensorStop\n", "it has none"),
        ("", "it has none"),
        ("sensorStop\nsensorStart\nflushCfg\n", "it has it as command 2 of 3"),
        ("sensorStart\nsensorStart\n", "it has it as command 1 of 2"),
    ],
)
def test_the_start_has_to_be_the_last_command(text: str, found: str) -> None:
    """A configuration without it would leave the radar silent, and one that goes on after it cannot be obeyed."""
    with pytest.raises(OSError, match=f"config_file room.cfg: sensorStart has to be its last command .*; {found}"):
        commands(text, "room.cfg")


def test_answers_may_come_in_pieces() -> None:
    """Nothing is decided before the echo and a whole line are there."""
    whole = "flushCfg\r\nDone\r\n"

    assert [verdict("flushCfg", whole[:end]) for end in range(len(whole) + 1)] == [None] * len(whole) + [""]
    assert verdict("flushCfg", "Done\r\n") is None, "the answer to the line before"


def test_a_radar_that_is_not_to_be_started_is_left_alone() -> None:
    """Without command_port nothing is done."""
    assert TiPeople().rouse() == ""


def heard(data_port: str, driver: TiPeople, kind: type[Event]) -> Event:
    """The first event of `kind` of a line that a thread reads; of bytes, the first that completed a frame."""
    events: SimpleQueue[Event] = SimpleQueue()
    reader = Line(
        "markt-1", data_port, Speed(921_600), driver, events=events, clock=Clock(), silent_s=60, backoff=Backoff(0.05)
    )
    reader.start()

    def next_one() -> Event | None:
        while not events.empty():
            event = events.get()
            # Bytes come in pieces, as the kernel hands them out.
            if isinstance(event, kind) and not (isinstance(event, Heard) and not event.frames):
                return event
        return None

    try:
        found = wait_until(next_one, what=kind.__name__)
    finally:
        reader.ask_to_stop()
        reader.join()
    assert found is not None
    return found


def test_a_silent_radar_is_started(
    radar: Callable[..., Radar], driver: Callable[[str], TiPeople], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line's thread sends the configuration when nothing came; then there are frames on the data port."""
    monkeypatch.setattr(line, "ROUSE_S", 0.2)
    device = radar()
    data, far = os.openpty()
    tty.setraw(far)
    device.started = lambda: void(os.write(data, HEARTBEAT * 2))

    event = heard(os.ttyname(far), driver(device.port), Heard)

    assert isinstance(event, Heard)
    assert len(event.frames) == 1
    os.close(far)
    os.close(data)


def test_a_radar_that_refuses_is_a_fault_of_the_line(
    radar: Callable[..., Radar], driver: Callable[[str], TiPeople], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason for which the line is closed is the sentence, for the sensor's health."""
    monkeypatch.setattr(line, "ROUSE_S", 0.2)
    device = radar({"flushCfg": "Error -1\n"})
    data, far = os.openpty()
    tty.setraw(far)

    event = heard(os.ttyname(far), driver(device.port), Closed)

    assert isinstance(event, Closed)
    assert event.reason.startswith(f"command_port {device.port}: the radar refused 'flushCfg': Error -1")
    os.close(far)
    os.close(data)


def void(_: object) -> None:
    """Nothing."""
