"""Lines of JSON from a counter that somebody built: framing, what is refused, totals and increments, probing."""

import json
import os
import random
import re
import time
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_edge.__main__ import main
from footfall_edge.clock import Clock, Moment
from footfall_edge.counts import Count, Cursor
from footfall_edge.drivers import Outcome, Session, driver_named
from footfall_edge.events import Closed, Events, Heard, Opened
from footfall_edge.framer import BadFrameError, Frame, LineCounts
from footfall_edge.line import Backoff, Line, Speed
from footfall_edge.line_json import LINE, MOST_LINE, IncrementsSession, LineFramer, LineJson, parse, xor
from footfall_edge.settings import SensorSettings
from footfall_edge.totals import Meter, TotalsSession
from footfall_role.settings import SettingsError
from footfall_sim.line import PtyLine
from footfall_testing.waiting import wait_until

NOON_MS = 1_764_072_000_000
IN, OUT, UNDIRECTED = (0, 0), (1, 0), (2, 0)


def later(seconds: float, *, clock: bool = True) -> Moment:
    """Noon and some seconds."""
    return Moment(NOON_MS + round(seconds * 1000) if clock else None, 1000.0 + seconds)


def line(*, checksum: bool = False, end: str = "\n", **said: Any) -> bytes:
    """A line as a device prints it; `in_` is ``in``."""
    text = json.dumps({name.rstrip("_"): value for name, value in said.items()}).encode()
    return text + (b"*%02X" % xor(text) if checksum else b"") + end.encode()


def chunks(data: bytes, size: int) -> Iterable[bytes]:
    """`data` in pieces."""
    return (data[at : at + size] for at in range(0, len(data), size))


def frame(text: str) -> Frame:
    """A good line."""
    (found,) = LineFramer().feed(text.encode() + b"\n")
    return found


def booked(session: Session, lines: Iterable[tuple[float, bytes]], framer: LineFramer) -> Counter[tuple[int, int]]:
    """Passages booked of what is on the line at each moment."""
    counts: list[Count] = []
    at = later(0)
    for seconds, data in lines:
        at = later(seconds)
        for found in framer.feed(data):
            step = session.heard(found, at)
            session = step.session
            counts += step.booking.counts if step.booking else ()
    step = session.tick(later((at.utc_ms or 0) / 1000 - NOON_MS / 1000 + 20))
    counts += step.booking.counts if step.booking else ()
    total: Counter[tuple[int, int]] = Counter()
    for count in counts:
        for direction, class_, number in count.passages:
            total[direction, class_] += number
    return total


def test_the_checksum_is_that_of_nmea() -> None:
    """The sentence every description of NMEA 0183 has: exclusive or of all between $ and *, 47."""
    assert xor(b"GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,") == 0x47


@pytest.mark.parametrize("size", [1, 7, 29, 300])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_are_found_in_chunks_of_any_size(size: int, end: str) -> None:
    """Every good line is a frame, with and without checksum and carriage return; blank lines are nothing."""
    data = b"".join(line(in_=n, out=2 * n, end=end, checksum=bool(n % 2)) + b"\r\n" * (n % 3) for n in range(50))
    framer = LineFramer()

    found = [frame for chunk in chunks(data, size) for frame in framer.feed(chunk)]

    assert [json.loads(frame.body)["in"] for frame in found] == list(range(50))
    assert framer.counts == LineCounts(frames=50)


def test_a_line_begun_before_we_listened_is_no_fault() -> None:
    """Its rest is skipped and not bad. A bad line after it is."""
    framer = LineFramer()

    found = framer.feed(line(in_=1, out=2)[6:] + line(in_=3, out=2) + b"oh no\n")

    assert [json.loads(frame.body)["in"] for frame in found] == [3]
    assert framer.counts == LineCounts(1, 1, len(line(in_=1, out=2)) - 6 + 6)
    assert "'oh no'" in framer.last_fault


def test_a_line_without_end_is_not_waited_for() -> None:
    """More than 512 bytes without a line feed are skipped, in bounded memory; the next line is good."""
    framer = LineFramer()
    framer.feed(b"\n")
    for _ in range(100):
        framer.feed(b"x" * 99)
        assert framer.pending <= MOST_LINE + 1

    found = framer.feed(b"\n" + line(in_=3))

    assert len(found) == 1
    assert framer.counts == LineCounts(1, 1, 9901)
    assert framer.last_fault == "no end within 512 bytes"


def test_the_longest_line_is_a_line() -> None:
    """512 bytes and a carriage return and a line feed; 513 are too many."""
    framer = LineFramer()
    framer.feed(b"\n")
    for length, frames in ((512, 1), (513, 0)):
        text = b'{"in":1,"why":"' + b"y" * (length - 17) + b'"}'

        assert len(text) == length
        assert len(framer.feed(text + b"\n")) == frames
        assert len(framer.feed(text + b"\r\n")) == frames


def test_a_line_that_was_cut_by_a_new_opening_is_forgotten() -> None:
    """What came before the port was opened anew is no part of what comes after, and is counted as skipped."""
    framer = LineFramer()
    framer.feed(b'{"in":1')
    framer.reset()

    assert framer.feed(b'2,"out":3}\n' + line(in_=1)) == [Frame(LINE, b'{"in": 1}')]
    assert framer.counts == LineCounts(1, 0, 7 + 11)
    framer.feed(b'{"in"')
    assert framer.finish() == []
    assert framer.counts.skipped_bytes == 23


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"in": -1}', "'in' is -1, expected 0 to 9007199254740992"),
        ('{"in": 9007199254740993}', "'in' is 9007199254740993, expected 0 to 9007199254740992"),
        ('{"in": 1.0}', "'in' is '1.0', expected an integer"),
        ('{"in": 1e3}', "'in' is '1000.0', expected an integer"),
        ('{"in": true}', "'in' is 'True', expected an integer"),
        ('{"in": "7"}', "'in' is \"'7'\", expected an integer"),
        ('{"in": null}', "'in' is 'None', expected an integer"),
        ('{"in": NaN}', "NaN is no JSON"),
        ('{"out": [1]}', "'out' is '[1]', expected an integer"),
        ('{"in": 1, "uptime_s": 1.5}', "'uptime_s' is '1.5', expected an integer"),
        ('{"in": 1, "trouble": 5}', "'trouble' is '5', expected text"),
        ('{"in": 1, "firmware": null}', "'firmware' is 'None', expected text"),
        ('{"in": 1, "in": 2}', "a name is there twice among in, in"),
        (r'{"\ud800": 1, "\ud800": 2}', "a name is there twice among ?, ?"),
        ('{"in": 1}{"in": 2}', 'not JSON: Extra data: line 1 column 10 (char 9) in \'{"in": 1}{"in": 2}\''),
        ("[1, 2]", "'[1, 2]' is not a JSON object"),
        ("7", "'7' is not a JSON object"),
        ("[" * 500, "not JSON: "),
        ('{"in": 1}*00', "checksum 00, expected 2A over '{\"in\": 1}'"),
        ('{"in": 1} *50', "checksum 50, expected 0A over '{\"in\": 1} '"),
    ],
)
def test_what_is_no_line_of_the_protocol_is_bad(text: str, fault: str) -> None:
    """The reason names what came and what was expected, and the line is a bad frame."""
    framer = LineFramer()
    framer.feed(b"\n")

    assert framer.feed(text.encode() + b"\n") == []
    assert framer.last_fault.startswith(fault)
    assert framer.last_fault.encode()  # so that it can be printed
    assert framer.counts == LineCounts(0, 1, len(text) + 1)


def test_bytes_that_are_no_text_are_bad() -> None:
    """Not UTF-8: the byte's place is named."""
    with pytest.raises(BadFrameError, match=r"byte 7 of .* is not UTF-8"):
        parse(b'{"in": \xff}')


def test_a_checksum_may_be_demanded() -> None:
    """With checksum = "xor" a line without one is bad; one that is there is looked at in any case."""
    framer = LineFramer("xor")
    framer.feed(b"\n")

    assert framer.feed(line(in_=1)) == []
    assert framer.last_fault == "no checksum (* and two hexadecimal digits) at the end of '{\"in\": 1}'"
    assert framer.feed(line(in_=1, checksum=True).lower()) == [Frame(LINE, b'{"in": 1}')]


def test_a_total_wider_than_it_should_be_is_bad() -> None:
    """A width of 16 bits and a total of 70 000 do not go together, and the message says which."""
    framer = LineJson(width_bits=16).framer()
    framer.feed(b"\n")

    assert framer.feed(line(in_=70_000)) == []
    assert framer.last_fault == "'in' is 70000, expected 0 to 65535"
    assert len(LineJson(width_bits=53).framer().feed(line(in_=2**53 - 1))) == 1


def test_what_a_line_tells() -> None:
    """Totals, uptime modulo 2^32, and texts that can be shown to a person; other names are passed over."""
    told = parse(
        b'{"in":1,"out":2,"undirected":3,"uptime_s":4294967301,'
        b'"firmware":"a\\u0000\\n b \\ud800","trouble":"","x":{"in":9}}'
    )

    assert told.numbers == {IN: 1, OUT: 2, UNDIRECTED: 3}
    assert told.uptime_s == 5
    assert (told.firmware, told.trouble) == ("a\x00 b ?", "")
    assert len(parse(b'{"trouble":"' + b"y" * 400 + b'"}').trouble or "") == 200


@given(st.binary(max_size=700), st.sampled_from([1, 7, 29, 300]))
def test_every_byte_is_in_one_place(noise: bytes, size: int) -> None:
    """Whatever comes, each byte is in a frame, skipped, pending, or the end of a blank line."""
    framer = LineFramer()
    data = noise + b"\n" + line(in_=1, out=1)

    found = [frame for chunk in chunks(data, size) for frame in framer.feed(chunk)]

    assert found[-1].body == b'{"in": 1, "out": 1}'
    blank = sum(1 for part in data.split(b"\n")[:-1] if not part) + sum(
        2 for part in data.split(b"\n")[:-1] if part == b"\r"
    )
    good = sum(len(frame.body) for frame in found)
    ends = len(data) - good - blank - framer.counts.skipped_bytes - framer.pending
    assert framer.counts.frames == len(found)
    assert len(found) <= ends <= 5 * len(found), "an end, a carriage return and a checksum for each frame"


def test_totals_are_counted_by_the_rule_for_totals() -> None:
    """The driver's session and its settings arrive there."""
    driver = LineJson.model_validate(
        {"width_bits": 16, "most_per_s": 3, "most_gap_s": 12, "after_restart": "kept", "checksum": "xor"}
    )
    session = driver.session([])

    assert not driver.remembers
    assert isinstance(session, TotalsSession)
    rule = session.account.rule
    assert rule.meters == {IN: Meter(2**16), OUT: Meter(2**16), UNDIRECTED: Meter(2**16)}
    assert (rule.most_per_s, rule.most_gap_s, rule.after_restart, rule.confirm) == (3, 12, "kept", 1)


def test_a_device_tells_of_itself() -> None:
    """Firmware and trouble are known from lines with or without passages, until others come."""
    session: Session = LineJson().session([])
    step = session.heard(frame('{"firmware":"beams 2","trouble":"light barrier 1 is dark"}'), later(0))
    assert step.outcome is Outcome.TOLD
    session = step.session.heard(frame('{"in":5,"out":5}'), later(1)).session
    dark = session.device
    session = session.heard(frame('{"in":5,"out":5,"trouble":""}'), later(2)).session

    assert (dark.firmware, dark.trouble) == ("beams 2", "light barrier 1 is dark")
    assert session.device.trouble == ""


def said(rng: random.Random, *, lines: int, increments: bool = False) -> tuple[list[bytes], Counter[tuple[int, int]]]:
    """Lines of a device, one a second, and the passages after the third of them."""
    totals, total = [4_000 + rng.randrange(5_000), 7_000], Counter[tuple[int, int]]()
    found = []
    for number in range(lines):
        news = [rng.randrange(4) if rng.random() < 0.5 else 0 for _ in totals]
        totals = [before + new for before, new in zip(totals, news, strict=True)]
        if number or increments:
            total += Counter({IN: news[0], OUT: news[1]})
        shown = news if increments else totals
        found.append(line(in_=shown[0], out=shown[1], uptime_s=5_000 + number))
    return found, total


@pytest.mark.parametrize("loss", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("seed", range(4))
def test_lost_bytes_cost_totals_nothing(loss: float, seed: int) -> None:
    """Without any checksum: digits, quotes and ends of lines are lost, and in the end every passage is there once."""
    rng = random.Random(seed)
    lines, total = said(rng, lines=400)
    spoilt = [bytes(byte for byte in one if rng.random() >= loss) for one in lines[3:-3]]
    sent = [*lines[:3], *spoilt, *lines[-3:]]
    framer = LineFramer()

    assert booked(LineJson().session([]), enumerate(sent), framer) == total
    assert framer.counts.bad_frames > 0 or loss < 1e-2


@pytest.mark.parametrize("seed", range(4))
def test_lost_bytes_never_add_increments_if_there_is_a_checksum(seed: int) -> None:
    """Lines that lost a byte are refused: their passages are gone, and there is none that was not."""
    rng = random.Random(seed)
    lines, total = said(rng, lines=400, increments=True)
    sent = [one[:-1] + b"*%02X\n" % xor(one[:-1]) for one in lines]
    spoilt = [bytes(byte for byte in one if rng.random() >= 1e-2) for one in sent]
    driver = LineJson(counts="increments", checksum="xor")

    found = booked(driver.session([]), enumerate(spoilt), driver.framer())

    assert found.total() < total.total()
    assert found <= total


def test_what_increments_without_checksum_can_suffer() -> None:
    """A lost digit is a line with fewer passages, which nobody can see; that is why totals are the default."""
    driver = LineJson(counts="increments")

    found = booked(driver.session([]), [(0, b'{"in":12,"out":0}\n'), (1, b'{"in":1,"out":0}\n')], driver.framer())

    assert found == {IN: 13}


def increments(**changes: Any) -> LineJson:
    """A driver for increments."""
    return LineJson.model_validate({"counts": "increments", **changes})


def test_increments_are_noticed_when_their_line_comes() -> None:
    """The first line measures no time, and its passages count; a line that follows measures the time between."""
    driver = increments()
    session: Session = driver.session([])
    counts: list[Count] = []
    for seconds, text in ((0, '{"in":2}'), (5, '{"in":1,"out":1}'), (50, '{"undirected":4}')):
        step = session.heard(frame(text), later(seconds))
        session = step.session
        counts += step.booking.counts if step.booking else ()
        step = session.tick(later(seconds + 1.5))
        session = step.session
        counts += step.booking.counts if step.booking else ()

    assert not driver.remembers
    assert [(c.start_ms - NOON_MS, c.end_ms - NOON_MS, c.measured_ms, c.passages) for c in counts] == [
        (-1000, 0, 0, ((0, 0, 2),)),
        (0, 5000, 5000, ((0, 0, 1), (1, 0, 1))),
        (49_000, 50_000, 0, ((2, 0, 4),)),
    ]


def test_increments_that_cannot_be_are_left_out_and_said() -> None:
    """Totals sent where increments are expected would count everything again with each line."""
    session: Session = increments().session([])
    session = session.heard(frame('{"in":2,"out":0}'), later(0)).session

    step = session.heard(frame('{"in":4711,"out":1}'), later(1))

    assert step.outcome is Outcome.IMPLAUSIBLE
    assert step.remark.startswith("4711 passages on one line, expected 30 at most")
    assert "running totals?" in step.remark
    assert step.booking is not None
    passages: Counter[tuple[int, int]] = Counter()
    for count in step.booking.counts:
        passages += Counter({(direction, class_): number for direction, class_, number in count.passages})
    assert passages == {IN: 2, OUT: 1}


def test_increments_before_the_clock_is_trusted_survive_the_process() -> None:
    """Their sum goes to the outbox, and with the next start becomes a span up to the first moment that is known."""
    session: Session = increments().session([Cursor(99, 0, 0, NOON_MS - 60_000, {IN: 1_000})])
    step = session.heard(frame('{"in":2}'), later(0, clock=False))
    assert step.booking is not None
    cursor = step.booking.cursor
    assert cursor is not None
    assert step.booking.counts == ()

    resumed = increments().session([cursor])
    booking = resumed.tick(later(100)).booking

    assert booking is not None
    (count,) = booking.counts
    assert (count.start_ms, count.end_ms, count.measured_ms) == (NOON_MS - 60_000, NOON_MS + 100_000, 0)
    assert count.passages == ((0, 0, 2),), "the totals of another driver are no passages that wait"
    assert booking.cursor is not None
    assert booking.cursor.totals == {}


def test_a_restart_shows_in_increments_too() -> None:
    """An uptime that fell is a new start."""
    session: Session = increments().session([])
    for seconds, uptime in enumerate((500, 501, 0, 1)):
        session = session.heard(frame(f'{{"in":0,"uptime_s":{uptime}}}'), later(seconds)).session

    assert isinstance(session, IncrementsSession)
    assert session.device.restarts == 1


def noise(rng: random.Random) -> bytes:
    """Some noise as it is found on lines: any bytes, or pieces of lines."""
    parts = (
        b'{"in":',
        b'"out":',
        b"123",
        b"}",
        b"{",
        b"*5A",
        b"\n",
        b"\r\n",
        b'"',
        b",",
        b"\xff",
        b"\0",
        b"[[",
        b"1e9",
    )
    if rng.random() < 0.5:
        return rng.randbytes(rng.randrange(200))
    return b"".join(rng.choice(parts) for _ in range(rng.randrange(60)))


def survives(seeds: range) -> None:
    """No noise makes an exception. Without a line that is good by chance no passage comes of it."""
    session: Session = LineJson(checksum="xor").session([])
    framer = LineFramer("xor")
    bookings = 0
    for seed in seeds:
        for found in framer.feed(noise(random.Random(seed))):
            step = session.heard(found, later(seed))
            session = step.session
            bookings += step.booking is not None and bool(step.booking.counts)
    assert bookings == 0


def test_noise_is_no_passage() -> None:
    """2 000 seeded buffers."""
    survives(range(2_000))


@pytest.mark.full
def test_much_noise_is_no_passage() -> None:
    """100 000 seeded buffers."""
    survives(range(100_000))


def test_good_lines_in_noise_are_found() -> None:
    """After any noise the next line but one is read, and no passage is invented from what is between."""
    rng = random.Random(7)
    lines, total = said(rng, lines=300)
    sent = [(noise(rng) if number > 2 and rng.random() < 0.3 else b"") + one for number, one in enumerate(lines)]
    sent[-2:] = lines[-2:]

    assert booked(LineJson().session([]), enumerate(sent), LineFramer()) == total


def test_probe_reads_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames, restarts and passages of recorded lines, totals or increments."""
    file = tmp_path / "beams.txt"
    rows = [(5, 5, 99), (5, 5, 100), (5, 5, 101), (7, 6, 102), (0, 0, 3), (1, 0, 4), (1, 1, 5), (3, 1, 6)]
    file.write_bytes(b"rest}\n" + b"".join(line(in_=i, out=o, uptime_s=up) for i, o, up in rows))

    assert main(["probe", "--json", "--driver", "line-json", "--port", f"replay:{file}"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "driver": "line-json",
        "frames": 8,
        "targets": 0,
        "skipped_bytes": 6,
        "bad_frames": 0,
        "restarts": 1,
        "passages": {"in": 5, "out": 2},
    }
    options = ["--set", "counts = 'increments'", "--set", "width_bits = 16"]
    assert main(["probe", "--driver", "line-json", "--port", f"replay:{file}", *options]) == 0
    assert "passages: 27 in, 23 out; restarts of the device: 1" in capsys.readouterr().out


def test_a_cable_that_is_drawn_costs_no_passage(link: Path) -> None:
    """What is counted while the cable is out the totals show when it is back, whatever the port is called then."""
    pty = PtyLine(link, baud=1_000_000)
    events: Events = SimpleQueue()
    driver = LineJson(most_gap_s=0.5)
    thread = Line(
        "beams",
        str(link),
        Speed(115_200),
        driver,
        events=events,
        clock=Clock(),
        silent_s=60,
        backoff=Backoff(first_s=0.05, longest_s=0.1),
    )
    heard: list[Heard] = []

    def say(*totals: int) -> None:
        """Open the line, and have the device print a line for each."""
        pty.plug(time.monotonic())
        wait_until(lambda: isinstance(events.get(), Opened), what="the line")
        for total in totals:
            assert pty.fd is not None
            os.write(pty.fd, line(in_=total, out=0))
            wait_until(lambda: next_heard(events, heard), what="a line")
        pty.unplug()
        wait_until(lambda: isinstance(events.get(), Closed), what="the end of the line")

    thread.start()
    say(5_000, 5_000, 5_000, 5_001)
    say(5_001, 5_009)
    thread.ask_to_stop()
    thread.join()

    session = driver.session([])
    counts: list[Count] = []
    for event in heard:
        for found in event.frames:
            step = session.heard(found, event.at)
            session = step.session
            counts += step.booking.counts if step.booking else ()
    last = heard[-1].at
    booking = session.tick(Moment((last.utc_ms or 0) + 20_000, last.monotonic_s + 20)).booking
    counts += booking.counts if booking else ()
    assert sum(number for count in counts for _, _, number in count.passages) == 9
    assert heard[-1].counts.skipped_bytes == 0


def next_heard(events: Events, heard: list[Heard]) -> bool:
    """Whether the next event has frames; it is added to `heard` then."""
    event = events.get()
    if not isinstance(event, Heard) or not event.frames:
        return False
    heard.append(event)
    return True


def test_settings_that_make_no_sense_are_refused() -> None:
    """The sentence names the setting and what it may be."""
    table = {"id": "markt-1", "driver": "line-json", "port": "/dev/null"}
    with pytest.raises(SettingsError, match="driver line-json: width_bits: Input should be 16, 32 or 53"):
        SensorSettings.given({**table, "width_bits": 8})
    with pytest.raises(SettingsError, match=r"most_gap_s: .* less than or equal to 86400"):
        SensorSettings.given({**table, "most_gap_s": 86401})
    assert driver_named("line-json") is LineJson
    assert SensorSettings.given({**table, "counts": "increments"}).set_up.remembers is False


def test_the_page_about_it_is_right() -> None:
    """Its examples are good lines, its table is a [[sensor]], and every setting is on it."""
    page = (Path(__file__).parents[2] / "docs" / "sensors" / "line-json.md").read_text("utf-8")
    lines = re.findall(r"^{.*$", page, flags=re.MULTILINE)
    (table,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    framer = LineFramer()

    found = framer.feed("\n".join(["", *lines, ""]).encode())

    assert len(found) == len(lines) == 2
    (sensor,) = tomllib.loads(table)["sensor"]
    assert set(LineJson.model_fields) <= set(sensor)
    assert SensorSettings.given(sensor).set_up == LineJson(checksum="xor")
    assert all(f"| `{name}` | " in page for name in LineJson.model_fields)
