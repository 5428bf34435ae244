"""What removes minutes once they are old enough, if the city wants that: with the right of the tables' owner.

Whoever receives and stores must not be able to drop a table's chunks, nor delete what it likes; so the removal is one
function of the owner's that holds the rules, and `footfall_ingest.retention` calls it.

An hour in which a sensor was moved, or a part of which is excluded, cannot be told by its sum alone. Before its minutes
go they become spans, one on either side, and its sums go too: an hour counts a span that is within it.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

_CUT = """
CREATE FUNCTION cut_hours(since timestamptz, until timestamptz)
RETURNS TABLE (sensor integer, hour timestamptz, starts timestamptz, ends timestamptz)
LANGUAGE sql STABLE AS $$
    WITH cut (sensor, at) AS (
        SELECT sensor, valid_from FROM installation
        UNION SELECT sensor, valid_to FROM installation
        UNION
        SELECT coalesce(remark.sensor, installation.sensor), at
        FROM remark
        LEFT JOIN installation ON installation.station = remark.station OR EXISTS (
            SELECT FROM station_area AS lies WHERE lies.station = installation.station AND lies.area = remark.area
        ), LATERAL (VALUES (remark.starts), (remark.ends)) AS edge (at)
        WHERE excludes
    ), inside AS (
        SELECT sensor, date_trunc('hour', at, 'UTC') AS hour, at FROM cut
        WHERE sensor IS NOT NULL AND at >= since AND at < until AND at > date_trunc('hour', at, 'UTC')
    ), edge AS (
        SELECT sensor, hour, at FROM inside UNION SELECT sensor, hour, hour FROM inside
    )
    SELECT sensor, hour, at, lead(at, 1, hour + interval '1 hour') OVER (PARTITION BY sensor, hour ORDER BY at)
    FROM edge
$$;
COMMENT ON FUNCTION cut_hours IS
    'Hours of sensors that an installation or an excluding remark cuts, in parts; from one whole UTC hour to another.';

CREATE FUNCTION minutes_into_span(of_sensor integer, low timestamptz, high timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO count_span (sensor, starts, ends, direction, class, count)
    SELECT of_sensor, low, high, direction, class, sum(count)
    FROM count_minute WHERE sensor = of_sensor AND bucket >= low AND bucket < high GROUP BY direction, class
    ON CONFLICT (sensor, starts, ends, direction, class) DO UPDATE SET count = count_span.count + excluded.count;

    INSERT INTO coverage_span (sensor, starts, ends, observed_s)
    SELECT of_sensor, low, high, sum(observed_s)
    FROM coverage_minute WHERE sensor = of_sensor AND bucket >= low AND bucket < high HAVING count(*) > 0
    ON CONFLICT (sensor, starts, ends)
    DO UPDATE SET observed_s = coverage_span.observed_s + excluded.observed_s, changed = now();
$$;
COMMENT ON FUNCTION minutes_into_span IS 'Add what the minutes of a sensor in a time say to the span of that time.';
"""

_REMOVE = """
CREATE FUNCTION remove_minutes(wanted timestamptz, OUT boundary timestamptz, OUT dirty bigint)
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '2s' AS $$
DECLARE
    stood   timestamptz := (SELECT minutes_from FROM store);
    oldest  timestamptz;
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
                SELECT range_start, range_end FROM timescaledb_information.chunks
                WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass
                    IN ('count_minute'::regclass, 'coverage_minute'::regclass)
            ), ending AS (
                SELECT DISTINCT range_end FROM chunk
                WHERE range_end > $1 AND range_end <= $2 AND range_end = date_trunc('hour', range_end, 'UTC')
                  AND NOT EXISTS (
                      SELECT FROM chunk AS other
                      WHERE other.range_start < chunk.range_end AND other.range_end > chunk.range_end
                  )
                ORDER BY range_end LIMIT 10
            )
            SELECT max(range_end) FROM ending
        $sql$ INTO boundary USING stood, wanted;
    ELSE
        SELECT min(first) INTO oldest
        FROM sensor, LATERAL (SELECT min(bucket) AS first FROM coverage_minute WHERE sensor = key) AS mine;
        boundary := least(
            wanted,
            date_trunc('hour', oldest, 'UTC')
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
        EXECUTE format('SELECT %I.drop_chunks(%L::regclass, older_than => %L::timestamptz)',
            tsdb, 'count_minute', boundary);
        EXECUTE format('SELECT %I.drop_chunks(%L::regclass, older_than => %L::timestamptz)',
            tsdb, 'coverage_minute', boundary);
    ELSE
        -- Sensor by sensor, which is a range of the primary key.
        FOR part IN SELECT key FROM sensor LOOP
            EXECUTE format('DELETE FROM count_minute WHERE sensor = %L AND bucket < %L', part.key, boundary);
            EXECUTE format('DELETE FROM coverage_minute WHERE sensor = %L AND bucket < %L', part.key, boundary);
        END LOOP;
    END IF;
    UPDATE store SET minutes_from = boundary;
    NOTIFY footfall_commit;
END
$$;
COMMENT ON FUNCTION remove_minutes IS
    'Remove some of the minutes before a time, oldest first; where they begin now, and how many dirty hours forbid it.';
REVOKE ALL ON FUNCTION remove_minutes FROM PUBLIC;

-- What runs with its owner's rights must not find its tables where others put theirs.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION remove_minutes SET search_path = %I, pg_temp', current_schema());
END $$;
"""


def upgrade() -> None:
    """Create the functions; nothing is removed before someone calls them."""
    # Around SQLAlchemy, which would take the `%` and `:` in them for its own.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None, "a migration has one"
    for part in (_CUT, _REMOVE):
        connection.execute(part)
