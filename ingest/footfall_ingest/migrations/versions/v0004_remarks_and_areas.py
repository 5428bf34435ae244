"""What people know about a time or a place: remarks with dates, and areas that stations lie in."""

from alembic import op

revision = "0004"
down_revision = "0003"

_AREAS = """
CREATE TABLE area (
    id       text PRIMARY KEY,
    name     text NOT NULL,
    kind     text NOT NULL,
    geometry jsonb NOT NULL
);
COMMENT ON COLUMN area.kind IS 'What sort of area it is, in the words of the city: Quartier, Sozialraum, Ortsteil.';
COMMENT ON COLUMN area.geometry IS 'GeoJSON Polygon or MultiPolygon, longitude and latitude in degrees, WGS 84.';

CREATE TABLE station_area (
    station text NOT NULL REFERENCES station ON DELETE CASCADE,
    area    text NOT NULL REFERENCES area ON DELETE CASCADE,
    PRIMARY KEY (station, area)
);
CREATE INDEX station_area_by_area ON station_area (area);
COMMENT ON TABLE station_area IS 'Which stations lie in which areas; worked out again whenever either is applied.';
"""

_REMARKS = """
CREATE TABLE remark (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    station  text REFERENCES station,
    sensor   integer REFERENCES sensor,
    area     text REFERENCES area,
    starts   timestamptz NOT NULL CHECK (extract(epoch FROM starts) % 60 = 0),
    ends     timestamptz CHECK (extract(epoch FROM ends) % 60 = 0),
    kind     text NOT NULL CHECK (kind IN ('works', 'event', 'fault', 'note')),
    text     text NOT NULL,
    excludes boolean NOT NULL DEFAULT false,
    created  timestamptz NOT NULL DEFAULT now(),
    changed  timestamptz NOT NULL DEFAULT now(),
    withdrawn     timestamptz,
    withdrawn_why text,
    CHECK (num_nonnulls(station, sensor, area) = 1),
    CHECK (starts < ends),
    CHECK ((withdrawn IS NULL) = (withdrawn_why IS NULL))
);
CREATE INDEX remark_by_start ON remark (starts) WHERE withdrawn IS NULL;
COMMENT ON TABLE remark IS
    'What people know about a time at a station, a sensor or an area. Never deleted: ended, or withdrawn if mistaken.';
COMMENT ON COLUMN remark.ends IS 'Null: until further notice.';
COMMENT ON COLUMN remark.excludes IS 'The time is not to be believed: answers call it missing, the counts stay stored.';
COMMENT ON COLUMN remark.withdrawn IS 'When it was said that this was a mistake: since then it means nothing.';
"""

_CHANGES = """
ALTER TABLE station ADD COLUMN changed timestamptz NOT NULL DEFAULT now();
ALTER TABLE area ADD COLUMN changed timestamptz NOT NULL DEFAULT now();
ALTER TABLE sensor ADD COLUMN changed timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN station.changed IS 'When it, its labels, its installations or its areas last changed.';
COMMENT ON COLUMN area.changed IS 'When it or the stations in it last changed.';
COMMENT ON COLUMN sensor.changed IS 'When directions last changed.';

CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := now();
    RETURN NEW;
END $$;
CREATE TRIGGER note_change BEFORE UPDATE ON station
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION note_change();
CREATE TRIGGER note_change BEFORE UPDATE ON area
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION note_change();
CREATE TRIGGER note_change BEFORE UPDATE OF directions ON sensor
    FOR EACH ROW WHEN (OLD.directions IS DISTINCT FROM NEW.directions) EXECUTE FUNCTION note_change();

CREATE FUNCTION note_change_at_station() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN UPDATE station SET changed = now() WHERE id = OLD.station; END IF;
    IF TG_OP <> 'DELETE' THEN UPDATE station SET changed = now() WHERE id = NEW.station; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_change_at_station AFTER INSERT OR UPDATE OR DELETE ON direction_label
    FOR EACH ROW EXECUTE FUNCTION note_change_at_station();
CREATE TRIGGER note_change_at_station AFTER INSERT OR UPDATE OR DELETE ON installation
    FOR EACH ROW EXECUTE FUNCTION note_change_at_station();
CREATE TRIGGER note_change_at_station AFTER INSERT OR UPDATE OR DELETE ON station_area
    FOR EACH ROW EXECUTE FUNCTION note_change_at_station();

CREATE FUNCTION note_change_of_area() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN UPDATE area SET changed = now() WHERE id = OLD.area; END IF;
    IF TG_OP <> 'DELETE' THEN UPDATE area SET changed = now() WHERE id = NEW.area; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_change_of_area AFTER INSERT OR UPDATE OR DELETE ON station_area
    FOR EACH ROW EXECUTE FUNCTION note_change_of_area();
"""


def upgrade() -> None:
    """Create the tables, empty; from now on stations, areas and sensors say when they last changed."""
    for part in (_AREAS, _REMARKS, _CHANGES):
        op.execute(part)
