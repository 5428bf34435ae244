"""Minutes by their number instead of their moment: an integer where a timestamptz was.

The tables of minutes are what grows. A moment has microseconds, so two minutes differ by a number of 26 bits, and the
columnstore keeps two such in eight bytes: where some minutes have no passages, moments took three quarters of the
space. Numbers of minutes differ by one or two, and take a fraction of a byte. A row of a plain table becomes smaller
too, and so does the key.

The rows are written anew. On a server with TimescaleDB they are uncompressed until the policy has run.
"""

from alembic import op

from footfall_ingest import timescale

revision = "0006"
down_revision = "0005"

_FUNCTIONS = """
CREATE FUNCTION minute_of(moment timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN floor(extract(epoch FROM
    greatest(least(moment, timestamptz '6000-01-01 00:00Z'), timestamptz '1970-01-01 00:00Z')
    - timestamptz '1970-01-01 00:00Z') / 60)::integer;
COMMENT ON FUNCTION minute_of IS
    'Whole minutes from 1970-01-01 00:00 UTC to a moment; those outside of the years 1970 to 5999 become their ends.';

CREATE FUNCTION minute_start(minute integer) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN to_timestamp(minute * 60::float8);
COMMENT ON FUNCTION minute_start IS 'The moment at which the minute of this number begins.';

CREATE FUNCTION minute_now() RETURNS integer LANGUAGE sql STABLE PARALLEL SAFE
RETURN floor(extract(epoch FROM now()) / 60)::integer;
COMMENT ON FUNCTION minute_now IS 'The number of the running minute: TimescaleDB asks it what is old enough.';
"""

_TABLES = """
ALTER TABLE count_minute RENAME TO count_minute_by_moment;
ALTER TABLE coverage_minute RENAME TO coverage_minute_by_moment;
ALTER INDEX count_minute_pkey RENAME TO count_minute_by_moment_pkey;
ALTER INDEX coverage_minute_pkey RENAME TO coverage_minute_by_moment_pkey;
CREATE TABLE count_minute (
    sensor    integer NOT NULL,
    minute    integer NOT NULL,
    direction smallint NOT NULL,
    class     smallint NOT NULL,
    count     integer NOT NULL CHECK (count > 0),
    PRIMARY KEY (sensor, minute, direction, class)
);
CREATE TABLE coverage_minute (
    sensor     integer NOT NULL,
    minute     integer NOT NULL,
    observed_s smallint NOT NULL CHECK (observed_s BETWEEN 0 AND 60),
    PRIMARY KEY (sensor, minute)
);
COMMENT ON TABLE count_minute IS 'Passages by UTC minute; zeros have no row.';
COMMENT ON TABLE coverage_minute IS 'Measured seconds; 0: reported as silent; no row: nothing was reported.';
COMMENT ON COLUMN count_minute.minute IS 'Whole minutes since 1970-01-01 00:00 UTC; see minute_of and minute_start.';
COMMENT ON COLUMN coverage_minute.minute IS 'Whole minutes since 1970-01-01 00:00 UTC; see minute_of and minute_start.';
"""

_HYPERTABLES = """
SELECT create_hypertable('count_minute', by_range('minute', 28 * 1440), create_default_indexes => false);
SELECT create_hypertable('coverage_minute', by_range('minute', 28 * 1440), create_default_indexes => false);
SELECT set_integer_now_func('count_minute', 'minute_now');
SELECT set_integer_now_func('coverage_minute', 'minute_now');
"""

_ROWS = """
INSERT INTO count_minute
SELECT sensor, minute_of(bucket), direction, class, count FROM count_minute_by_moment ORDER BY 1, 2, 3, 4;
INSERT INTO coverage_minute
SELECT sensor, minute_of(bucket), observed_s FROM coverage_minute_by_moment ORDER BY 1, 2;

-- The owner is whoever migrates, as ever; what else people were granted they keep.
DO $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT new, privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS who
        FROM (VALUES ('count_minute'), ('coverage_minute')) AS tables (new)
        JOIN pg_class ON pg_class.oid = (new || '_by_moment')::regclass, aclexplode(relacl)
        WHERE grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', part.privilege_type, part.new, part.who);
    END LOOP;
END $$;
DROP TABLE count_minute_by_moment;
DROP TABLE coverage_minute_by_moment;
"""

_SPANS = """
CREATE OR REPLACE FUNCTION minutes_into_span(of_sensor integer, low timestamptz, high timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO count_span (sensor, starts, ends, direction, class, count)
    SELECT of_sensor, low, high, direction, class, sum(count)
    FROM count_minute WHERE sensor = of_sensor AND minute >= minute_of(low) AND minute < minute_of(high)
    GROUP BY direction, class
    ON CONFLICT (sensor, starts, ends, direction, class) DO UPDATE SET count = count_span.count + excluded.count;

    INSERT INTO coverage_span (sensor, starts, ends, observed_s)
    SELECT of_sensor, low, high, sum(observed_s)
    FROM coverage_minute WHERE sensor = of_sensor AND minute >= minute_of(low) AND minute < minute_of(high)
    HAVING count(*) > 0
    ON CONFLICT (sensor, starts, ends)
    DO UPDATE SET observed_s = coverage_span.observed_s + excluded.observed_s, changed = now();
$$;
"""

_REMOVE = """
CREATE OR REPLACE FUNCTION remove_minutes(wanted timestamptz, OUT boundary timestamptz, OUT dirty bigint)
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '2s' AS $$
DECLARE
    stood   timestamptz := (SELECT minutes_from FROM store);
    oldest  integer;
    tsdb    name := (
        SELECT nspname FROM pg_extension JOIN pg_namespace AS home ON home.oid = extnamespace
        WHERE extname = 'timescaledb'
    );
    chunked boolean := false;
    part    record;
BEGIN
    IF wanted IS NULL OR NOT isfinite(wanted) OR wanted <> date_trunc('hour', wanted, 'UTC') THEN
        RAISE EXCEPTION 'minutes are removed before a whole UTC hour, not before %', wanted;
    ELSIF wanted > now() - interval '60 days' THEN
        RAISE EXCEPTION 'minutes are kept for 60 days at least: % is not as long ago', wanted;
    END IF;
    dirty := 0;
    boundary := stood;
    IF wanted <= stood THEN
        RETURN;
    END IF;

    -- Not too much at once, for meanwhile nothing is stored.
    IF tsdb IS NOT NULL THEN
        EXECUTE $sql$
            SELECT count(*) = 2 FROM timescaledb_information.hypertables
            WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass
                IN ('count_minute'::regclass, 'coverage_minute'::regclass)
        $sql$ INTO chunked;
    END IF;
    IF chunked THEN
        -- Up to the end of a chunk, so that whole chunks are dropped and none has to be opened.
        EXECUTE $sql$
            WITH chunk AS (
                SELECT range_start_integer AS first, range_end_integer AS beyond FROM timescaledb_information.chunks
                WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass
                    IN ('count_minute'::regclass, 'coverage_minute'::regclass)
            ), ending AS (
                SELECT DISTINCT beyond FROM chunk
                WHERE minute_start(beyond::integer) > $1 AND minute_start(beyond::integer) <= $2 AND beyond % 60 = 0
                  AND NOT EXISTS (
                      SELECT FROM chunk AS other WHERE other.first < chunk.beyond AND other.beyond > chunk.beyond
                  )
                ORDER BY beyond LIMIT 10
            )
            SELECT minute_start(max(beyond)::integer) FROM ending
        $sql$ INTO boundary USING stood, wanted;
    ELSE
        SELECT min(first) INTO oldest
        FROM sensor, LATERAL (SELECT min(minute) AS first FROM coverage_minute WHERE sensor = key) AS mine;
        boundary := least(
            wanted,
            minute_start(oldest - oldest % 60)
                + interval '1 hour' * greatest(1, 2000 / greatest(1, (SELECT count(*) FROM sensor)))
        );
    END IF;
    IF boundary IS NULL OR boundary <= stood THEN
        boundary := stood;
        RETURN;
    END IF;

    -- Whoever writes minutes or sums them up locks the sensors first.
    LOCK TABLE sensor IN EXCLUSIVE MODE;
    SELECT count(*) INTO dirty FROM dirty_hour WHERE hour < boundary;
    IF dirty > 0 OR (SELECT minutes_from FROM store FOR NO KEY UPDATE) <> stood THEN
        boundary := (SELECT minutes_from FROM store);
        RETURN;
    END IF;

    FOR part IN SELECT * FROM cut_hours(stood, boundary) LOOP
        PERFORM minutes_into_span(part.sensor, part.starts, part.ends);
        -- With plain values, so that of a compressed chunk only the rows in question are opened.
        EXECUTE format('DELETE FROM count_hour WHERE sensor = %L AND bucket = %L', part.sensor, part.hour);
        EXECUTE format('DELETE FROM coverage_hour WHERE sensor = %L AND bucket = %L', part.sensor, part.hour);
    END LOOP;

    IF chunked THEN
        EXECUTE format('SELECT %I.drop_chunks(%L::regclass, older_than => %L::integer)',
            tsdb, 'count_minute', minute_of(boundary));
        EXECUTE format('SELECT %I.drop_chunks(%L::regclass, older_than => %L::integer)',
            tsdb, 'coverage_minute', minute_of(boundary));
    ELSE
        -- Sensor by sensor, which is a range of the primary key.
        FOR part IN SELECT key FROM sensor LOOP
            EXECUTE format('DELETE FROM count_minute WHERE sensor = %L AND minute < %L',
                part.key, minute_of(boundary));
            EXECUTE format('DELETE FROM coverage_minute WHERE sensor = %L AND minute < %L',
                part.key, minute_of(boundary));
        END LOOP;
    END IF;
    UPDATE store SET minutes_from = boundary;
    NOTIFY footfall_commit;
END
$$;

-- Replacing a function takes its settings and keeps its grants.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION remove_minutes SET search_path = %I, pg_temp', current_schema());
END $$;
"""


def upgrade() -> None:
    """Write the minutes anew by their number."""
    # Around SQLAlchemy, which would take the `%` and `:` in them for its own.
    bind = op.get_bind()
    connection = bind.connection.driver_connection
    assert connection is not None, "a migration has one"
    connection.execute(_FUNCTIONS + _TABLES)
    if timescale.present(bind):
        connection.execute(_HYPERTABLES)
    connection.execute(_ROWS)
    connection.execute(_SPANS + _REMOVE)
