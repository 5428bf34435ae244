"""The store's first schema: sensors, streams, minutes, spans, stations, quarantine, states.

Counts name their sensor by an integer key and carry no foreign key to it: every writer has the sensor's row locked in
the same transaction, and a check for each of millions of rows would be paid for nothing.
"""

from alembic import op

from footfall_ingest import timescale

revision = "0001"
down_revision = None

_SENSORS = """
CREATE TABLE store (
    id      boolean PRIMARY KEY DEFAULT true CHECK (id),
    epoch   uuid NOT NULL DEFAULT gen_random_uuid(),
    created timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE store IS 'One row. epoch names the life of this database: it changes when a backup is restored.';
INSERT INTO store DEFAULT VALUES;

CREATE TABLE sensor (
    key        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL UNIQUE,
    directions smallint NOT NULL DEFAULT 0,
    first_seen timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN sensor.directions IS 'Bit d is set once a passage in direction d was counted.';

CREATE TABLE sensor_node (
    sensor     integer NOT NULL REFERENCES sensor,
    node       text NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (sensor, valid_from)
);
CREATE INDEX sensor_node_by_node ON sensor_node (node);
COMMENT ON TABLE sensor_node IS 'Which node may report a sensor, from when on; the first to report it claims it.';

CREATE TABLE stream (
    sensor   integer NOT NULL REFERENCES sensor,
    stream   uuid NOT NULL,
    node     text,
    received int8multirange NOT NULL DEFAULT '{}',
    created  timestamptz NOT NULL DEFAULT now(),
    touched  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sensor, stream)
) WITH (fillfactor = 70);  -- room on the page for the next version: the row changes with every flush
CREATE INDEX stream_by_node ON stream (node, sensor, created);
COMMENT ON COLUMN stream.node IS 'Who reported it first; null: imported.';
COMMENT ON COLUMN stream.received IS 'Numbers of reports that are stored or in quarantine.';
"""

_COUNTS = """
CREATE TABLE count_minute (
    sensor    integer NOT NULL,
    bucket    timestamptz NOT NULL,
    direction smallint NOT NULL,
    class     smallint NOT NULL,
    count     integer NOT NULL CHECK (count > 0),
    PRIMARY KEY (sensor, bucket, direction, class)
);
CREATE TABLE coverage_minute (
    sensor     integer NOT NULL,
    bucket     timestamptz NOT NULL,
    observed_s smallint NOT NULL CHECK (observed_s BETWEEN 0 AND 60),
    PRIMARY KEY (sensor, bucket)
);
COMMENT ON TABLE count_minute IS 'Passages by UTC minute; zeros have no row.';
COMMENT ON TABLE coverage_minute IS 'Measured seconds; 0: reported as silent; no row: nothing was reported.';

CREATE TABLE count_span (
    sensor    integer NOT NULL,
    starts    timestamptz NOT NULL,
    ends      timestamptz NOT NULL CHECK (ends > starts),
    direction smallint NOT NULL,
    class     smallint NOT NULL,
    count     bigint NOT NULL CHECK (count > 0),
    PRIMARY KEY (sensor, starts, ends, direction, class)
);
CREATE TABLE coverage_span (
    sensor     integer NOT NULL,
    starts     timestamptz NOT NULL,
    ends       timestamptz NOT NULL CHECK (ends > starts),
    observed_s integer NOT NULL CHECK (observed_s >= 0),
    PRIMARY KEY (sensor, starts, ends)
);
COMMENT ON TABLE count_span IS 'Passages of longer or unaligned times that no minute can claim.';
COMMENT ON TABLE coverage_span IS 'Every span that was reported; measured seconds (0: counted, but unwatched).';
"""

_STATIONS = """
CREATE TABLE station (
    id        text PRIMARY KEY,
    name      text NOT NULL,
    timezone  text NOT NULL,
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    latitude  double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    line      jsonb
);
COMMENT ON COLUMN station.line IS '[[lon, lat], [lon, lat]]; "in" crosses it from left to right.';

CREATE TABLE direction_label (
    station    text NOT NULL REFERENCES station ON DELETE CASCADE,
    valid_from timestamptz NOT NULL,
    in_label   text NOT NULL,
    out_label  text NOT NULL,
    PRIMARY KEY (station, valid_from)
);

CREATE TABLE installation (
    sensor     integer NOT NULL REFERENCES sensor,
    station    text NOT NULL REFERENCES station ON DELETE CASCADE,
    valid_from timestamptz NOT NULL CHECK (extract(epoch FROM valid_from) % 60 = 0),
    valid_to   timestamptz CHECK (extract(epoch FROM valid_to) % 60 = 0),
    role       text NOT NULL CHECK (role IN ('part', 'reference')),
    PRIMARY KEY (sensor, valid_from),
    CHECK (valid_from < valid_to),
    -- A sensor hangs in one place at a time. The range of one integer stands for equality, which GiST lacks.
    CONSTRAINT one_place_at_a_time EXCLUDE USING gist (
        int4range(sensor, sensor, '[]') WITH &&, tstzrange(valid_from, valid_to) WITH &&
    )
);
CREATE INDEX installation_by_station ON installation (station);
"""

_STATES = """
CREATE TABLE quarantine (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reason     text NOT NULL,
    detail     text NOT NULL,
    node       text,
    sensor     text,
    stream     uuid,
    seq        bigint,
    payload    bytea NOT NULL,
    content    bytea NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    times      integer NOT NULL DEFAULT 1,
    closed_at  timestamptz,
    UNIQUE NULLS NOT DISTINCT (content, node, sensor)
);
CREATE INDEX quarantine_open ON quarantine (last_seen) WHERE closed_at IS NULL;
COMMENT ON COLUMN quarantine.content IS 'SHA-256 of the payload: what comes again is counted, not kept again.';

CREATE TABLE node_state (
    node    text PRIMARY KEY,
    state   text NOT NULL,
    version text NOT NULL,
    since   timestamptz NOT NULL,
    seen    timestamptz NOT NULL
);
CREATE TABLE sensor_state (
    node    text NOT NULL,
    sensor  text NOT NULL,
    payload jsonb NOT NULL,
    seen    timestamptz NOT NULL,
    PRIMARY KEY (node, sensor)
);
"""


def upgrade() -> None:
    """Create everything; minutes become hypertables where the server has TimescaleDB."""
    for part in (_SENSORS, _COUNTS, _STATIONS, _STATES):
        op.execute(part)
    for table in ("count_minute", "coverage_minute"):
        for statement in timescale.hypertable(op.get_bind(), table, column="bucket", days=7):
            op.execute(statement)
