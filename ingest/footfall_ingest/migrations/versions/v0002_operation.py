"""What an operator needs: how quarantined messages were dealt with, and which life of the database this is.

`quarantine` learns what its rows need to be handled again exactly as they came: the sensor of the topic, what kind of
message it was, which version of the program kept it, and above all whether the row *holds its number*: whether the
stream's number was marked received because of this very message, so that nothing else can have been counted under it.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

# The tables in the order in which a flush uses them, so that no flush and this wait for each other.
_QUARANTINE = """
ALTER TABLE quarantine
    ADD COLUMN kind text NOT NULL DEFAULT 'counts',
    ADD COLUMN topic_sensor text,
    ADD COLUMN topic_fault text,
    ADD COLUMN holds_number boolean NOT NULL DEFAULT false,
    ADD COLUMN program text,
    ADD COLUMN closed_how text CHECK (closed_how IN ('counted', 'duplicate', 'outdated', 'by-hand')),
    ADD COLUMN closed_why text,
    ADD COLUMN closed_by text;
CREATE INDEX quarantine_by_arrival ON quarantine (first_seen, id);  -- the order of a retry
COMMENT ON COLUMN quarantine.kind IS 'What the topic promised: counts, health or status.';
COMMENT ON COLUMN quarantine.topic_sensor IS 'Sensor of the topic; the report may name another. Null: imported.';
COMMENT ON COLUMN quarantine.topic_fault IS 'What is wrong with the topic, if it is none.';
COMMENT ON COLUMN quarantine.holds_number IS
    'The number is marked received because of this message and nothing was counted for it.';
COMMENT ON COLUMN quarantine.program IS 'Version of footfall that looked at it last; null: one that did not say.';
COMMENT ON COLUMN quarantine.closed_how IS
    'counted: by a retry; duplicate: its number was received otherwise; outdated: a state of long ago; by-hand.';
"""

# What earlier rows do not say is told by their reason and detail. An unreadable message that came several times and
# whose last arrival was a repetition holds its number unless another row with the same number may.
_EARLIER = r"""
UPDATE quarantine SET topic_fault = detail WHERE node IS NULL AND reason = 'unreadable';
UPDATE quarantine SET kind = 'status' WHERE node IS NOT NULL AND sensor IS NULL AND reason = 'unreadable';
UPDATE quarantine SET topic_sensor = coalesce(
    CASE WHEN reason = 'impossible' THEN substring(detail FROM '^it speaks of .* on the topic of ([a-z0-9-]+)$') END,
    sensor
) WHERE node IS NOT NULL;
UPDATE quarantine AS kept SET holds_number = true WHERE stream IS NOT NULL AND (
    reason IN ('impossible', 'too-old', 'wrong-node', 'second-writer', 'unwritable')
    OR reason = 'unreadable' AND detail LIKE '%; its number is marked received%'
    OR reason = 'unreadable' AND detail LIKE '%; its number was received before' AND times > 1 AND NOT EXISTS (
        SELECT FROM quarantine AS other
        WHERE other.sensor = kept.sensor AND other.stream = kept.stream AND other.seq = kept.seq AND other.id <> kept.id
    )
);
"""

_EPOCH = """
CREATE TABLE epoch (
    epoch uuid PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now(),
    why   text NOT NULL
);
COMMENT ON TABLE epoch IS 'The lives of this database; the current one is in store.';
INSERT INTO epoch SELECT epoch, created, 'the database was created' FROM store;

ALTER TABLE store ADD COLUMN place jsonb;
COMMENT ON COLUMN store.place IS
    'Where the database lived when it was last opened for writing; elsewhere it is a copy, and a new epoch begins.';
"""


def upgrade() -> None:
    """Add the columns, fill them for the rows that are there, and begin the history of epochs."""
    for part in (_QUARANTINE, _EARLIER, _EPOCH):
        op.execute(part)
