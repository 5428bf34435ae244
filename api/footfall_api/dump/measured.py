"""When each station measured something first."""

from collections.abc import Mapping
from typing import Final

from footfall_api.database import Connection

# Of the hours that are not summed up yet the minutes say whether anything was measured in them.
_FIRST_MEASURED: Final = """
SELECT station, extract(epoch FROM min(greatest(starts, valid_from)))::bigint
FROM (SELECT station, sensor, role, valid_from, coalesce(valid_to, 'infinity') AS valid_to FROM installation) i
CROSS JOIN LATERAL (
    SELECT min(h.bucket) FROM coverage_hour h
    WHERE h.sensor = i.sensor AND h.bucket > i.valid_from - interval '1 hour' AND h.bucket < i.valid_to
      AND h.observed_s > 0
    UNION ALL
    SELECT min(d.hour) FROM dirty_hour d
    WHERE d.sensor = i.sensor AND d.hour > i.valid_from - interval '1 hour' AND d.hour < i.valid_to
      AND EXISTS (SELECT FROM coverage_minute m WHERE m.sensor = d.sensor AND m.minute >= minute_of(d.hour)
                  AND m.minute < minute_of(d.hour) + 60 AND m.observed_s > 0)
    UNION ALL
    SELECT min(s.starts) FROM coverage_span s
    WHERE s.sensor = i.sensor AND s.starts >= i.valid_from AND s.ends <= i.valid_to
      AND (s.observed_s > 0 OR EXISTS (
          SELECT FROM count_span c WHERE (c.sensor, c.starts, c.ends) = (s.sensor, s.starts, s.ends)))
) found (starts)
WHERE i.role = 'part' AND starts IS NOT NULL
GROUP BY station
"""


async def first_measured(connection: Connection) -> Mapping[str, int]:
    """The first moment (UTC unix seconds, to the hour) of which each station has a number; who has none is not in it.

    Times that are not to be believed, or not public, are measured all the same.
    """
    return dict(await (await connection.execute(_FIRST_MEASURED)).fetchall())
