"""What one node has brought into the store, so that a node that does wrong can be bounded, shown and taken out again.

Most of it is told by the rows that are there: by which node a sensor was named first, how much of a node lies open in
quarantine. Only what leaves no row of its own is counted, by UTC day: new streams, late minutes and spans, and the
messages that were not taken because a budget was used up.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

# A sensor and its first stream were created in one transaction, so at the same moment. The tables in the order in which
# a flush uses them.
_SENSORS = """
ALTER TABLE sensor ADD COLUMN made_by text;
COMMENT ON COLUMN sensor.made_by IS 'The node that named it first; null: a stations file, an import, or a person.';
UPDATE sensor SET made_by = (
    SELECT min(node) FROM stream WHERE stream.sensor = sensor.key AND stream.created = sensor.first_seen
);
CREATE INDEX sensor_made_by ON sensor (made_by) WHERE made_by IS NOT NULL;
"""

_QUARANTINE = """
ALTER TABLE quarantine ADD COLUMN bytes integer NOT NULL GENERATED ALWAYS AS (octet_length(payload)) STORED;
CREATE INDEX quarantine_open_of_node ON quarantine (node) INCLUDE (bytes) WHERE closed_at IS NULL;
COMMENT ON COLUMN quarantine.bytes IS 'Length of the payload.';
"""

_DAYS = """
CREATE TABLE node_day (
    node         text NOT NULL,
    day          date NOT NULL,
    what         text NOT NULL CHECK (what IN ('sensors', 'streams', 'rows', 'quarantine', 'queue')),
    used         bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    refused_last timestamptz,
    PRIMARY KEY (day, node, what)
);
COMMENT ON TABLE node_day IS 'What a node used of its budgets on a UTC day; node "": no node could be read.';
COMMENT ON COLUMN node_day.used IS 'Of streams and rows; of the others the rows that are there tell it.';
COMMENT ON COLUMN node_day.refused IS 'Messages that were neither stored nor kept, and not marked received.';
"""


def upgrade() -> None:
    """Add the columns and the table; of sensors that there are it is told which a node made."""
    for part in (_SENSORS, _QUARANTINE, _DAYS):
        op.execute(part)
