"""What tests of imported history share: a database for many of them, and what is stored as lines to compare."""

from datetime import UTC, datetime

from footfall_ingest.commands import Connection
from footfall_ingest.stations_file import Installation, Station

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


def _station(id_: str, name: str, *sensors: str) -> Station:
    parts = tuple(Installation(sensor, SINCE, None, "part") for sensor in sensors)
    return Station(id_, name, "Europe/Berlin", (11.5878, 50.9282), None, (), parts)


STATIONS = [_station("markt", "Markt", "markt-1"), _station("holzmarkt", "Holzmarkt", "holzmarkt-1", "holzmarkt-2")]
"""A station with one sensor, and one with two, since 2020."""

_STORED = """
    SELECT id, starts, ends, observed_s, counts FROM (
        SELECT sensor, starts, ends, observed_s, array(
            SELECT format('%s/%s=%s', direction, class, count) FROM count_span AS c
            WHERE (c.sensor, c.starts, c.ends) = (s.sensor, s.starts, s.ends) ORDER BY 1
        ) FROM coverage_span AS s
        UNION ALL
        SELECT sensor, minute_start(minute), minute_start(minute + 1), observed_s, array(
            SELECT format('%s/%s=%s', direction, class, count) FROM count_minute AS c
            WHERE (c.sensor, c.minute) = (m.sensor, m.minute) ORDER BY 1
        ) FROM coverage_minute AS m
    ) AS stored (sensor, starts, ends, observed_s, counts) JOIN sensor ON key = sensor ORDER BY 1, 2
"""


def stored(connection: Connection) -> list[str]:
    """All that is stored, a line for each interval: sensor, start, length, measured seconds, direction/class=count."""
    lines = []
    for sensor, start, end, observed, counts in connection.execute(_STORED):
        minutes = (end - start).total_seconds() / 60
        cells = " ".join(counts) or "-"
        lines.append(f"{sensor} {start.astimezone(UTC):%Y-%m-%dT%H:%M}Z {minutes:g} min, {observed} s: {cells}")
    return lines
