"""What the sensors owe to an outbox that cannot be written for days."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from footfall_edge.clock import Moment
from footfall_edge.counts import Cursor
from footfall_edge.events import Closed, Heard
from footfall_edge.framer import Frame, LineCounts
from footfall_edge.line_json import LINE
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.sensors import MOST_OWED, Sensors
from footfall_edge.settings import SensorSettings
from footfall_edge.slots import Piece

NOON = 1_764_072_000
HOURS = 300


def hour_of(start: int, slot_s: int) -> Entry:
    """An hour in which somebody went in with each slot."""
    starts = range(start, start + 3600, slot_s)
    return Entry(
        "radar",
        tuple(Piece(at, slot_s, slot_s * 1000 + 3, ((0, 0, 1),)) for at in starts),
        Cursor(2**33, 0, 0, (start + 3600) * 1000, {}),
    )


def test_totals_go_on_while_nothing_can_be_stored(tmp_path: Path) -> None:
    """A total of 16 bits that wraps in two hours of a full disk is a wrap, as every reading was seen."""
    table = {"id": "door", "driver": "line-json", "port": "/dev/ttyUSB0", "checksum": "xor", "width_bits": 16}
    path = tmp_path / "outbox.sqlite"
    with Outbox.open(path) as outbox:
        sensors = Sensors([SensorSettings.given(table)], 10, outbox, Moment(NOON * 1000, 0.0))
        for second in range(0, 7400, 10):
            at = Moment((NOON + second) * 1000, float(second))
            line = Frame(LINE, b'{"in": %d}' % ((60_000 + second) % 65_536))
            reading = sensors.read([Heard("door", at, (line,), LineCounts(), "")], at)
            if 60 < second < 7300:
                sensors.owe(reading)
            else:
                outbox.book(reading.entries)
                sensors.keep(reading)
        outbox.book(sensors.read([Closed("door", at, "stopped")], at).entries)

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT sum(count) FROM slot_cell").fetchone() == (7390,)
        assert database.execute("SELECT sum(measured_ms) FROM slot").fetchone() == (7_390_000,)


@pytest.mark.parametrize("slot_s", [10, 60])
def test_what_is_owed_for_weeks_does_not_grow_with_every_slot(tmp_path: Path, slot_s: int) -> None:
    """It is told less finely, and all of it: each passage once, each second once, also beside what is stored."""
    radar = SensorSettings.given({"id": "radar", "driver": "ld2450", "port": "/dev/ttyUSB0"})
    path = tmp_path / "outbox.sqlite"
    with Outbox.open(path) as outbox:
        sensors = Sensors([radar], slot_s, outbox, Moment(NOON * 1000, 0.0))
        outbox.book([Entry("radar", (Piece(NOON, slot_s, 4_000, ((0, 0, 7),)),), None)])
        for hour in range(HOURS):
            reading = sensors.read([], Moment((NOON + hour * 3600) * 1000, hour * 3600.0))
            reading.entries.append(hour_of(NOON + slot_s + hour * 3600, slot_s))
            sensors.owe(reading)
        reading = sensors.read([], Moment((NOON + HOURS * 3600) * 1000, HOURS * 3600.0))
        (owed,) = reading.entries
        outbox.book(reading.entries)

    assert MOST_OWED < len(owed.pieces) <= HOURS * 4 + 100, "no more than the quarter hours, and the one that goes on"
    assert owed.pieces[-1].length == slot_s, "the newest is as fine as ever"
    with closing(sqlite3.connect(path)) as database:
        (passages,) = database.execute("SELECT sum(count) FROM slot_cell").fetchone()
        (measured_ms,) = database.execute("SELECT sum(min(measured_ms, length * 1000)) FROM slot").fetchone()
    assert passages == 7 + HOURS * 3600 // slot_s
    assert measured_ms == 4_000 + HOURS * 3_600_000
