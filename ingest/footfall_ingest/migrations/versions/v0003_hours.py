"""Sums by the hour, which answers of a day and more are made from, and what says where they must not be taken.

`dirty_hour` is the one truth about that: an hour of a sensor in which something was counted is either in it, and then
the minutes say what there is, or it is summed up. Every writer puts the hours it touches there in its own transaction,
with the sensor locked; who sums an hour up takes it out with the sensor locked as well.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

_HOURS = """
CREATE TABLE count_hour (
    sensor    integer NOT NULL,
    bucket    timestamptz NOT NULL,
    direction smallint NOT NULL,
    class     smallint NOT NULL,
    count     bigint NOT NULL CHECK (count > 0),
    PRIMARY KEY (sensor, bucket, direction, class)
);
CREATE TABLE coverage_hour (
    sensor     integer NOT NULL,
    bucket     timestamptz NOT NULL,
    observed_s integer NOT NULL CHECK (observed_s BETWEEN 0 AND 3600),
    reported_s integer NOT NULL CHECK (reported_s BETWEEN 60 AND 3600),
    changed    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sensor, bucket)
);
COMMENT ON TABLE count_hour IS 'Passages by UTC hour, summed from count_minute; zeros have no row.';
COMMENT ON TABLE coverage_hour IS 'One row for each hour of which anything was reported, summed from coverage_minute.';
COMMENT ON COLUMN coverage_hour.reported_s IS 'Seconds of the minutes that have a row, were the sensor silent.';
COMMENT ON COLUMN coverage_hour.changed IS 'When these sums were last found to differ from what was here before.';

CREATE TABLE dirty_hour (
    sensor integer NOT NULL,
    hour   timestamptz NOT NULL,
    PRIMARY KEY (sensor, hour)
);
COMMENT ON TABLE dirty_hour IS 'Hours whose sums are not, or no longer, those of their minutes: read the minutes.';

-- Nothing is summed up yet.
INSERT INTO dirty_hour
SELECT DISTINCT sensor, date_bin('1 hour', bucket, TIMESTAMPTZ '2000-01-01 00:00Z') FROM coverage_minute;

ALTER TABLE store ADD COLUMN minutes_from timestamptz NOT NULL DEFAULT '-infinity';
COMMENT ON COLUMN store.minutes_from IS
    'Minutes before this were removed once they were summed up; those that are there came later and add to the hours.';

ALTER TABLE coverage_span ADD COLUMN changed timestamptz NOT NULL DEFAULT now();
"""


def upgrade() -> None:
    """Create the hours and call every hour that has data dirty. What TimescaleDB makes of them: `timescale.arrange`."""
    op.execute(_HOURS)
