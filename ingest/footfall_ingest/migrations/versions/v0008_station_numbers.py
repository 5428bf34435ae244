"""A number for each station, for interfaces whose ids are integers (SensorThings): it stays when others come and go."""

from alembic import op

revision = "0008"
down_revision = "0007"

_NUMBER = """
ALTER TABLE station ADD COLUMN number int GENERATED ALWAYS AS IDENTITY UNIQUE;
COMMENT ON COLUMN station.number IS 'The station where ids are integers. Never given again, with gaps between.';
"""


def upgrade() -> None:
    """Number the stations that there are."""
    op.execute(_NUMBER)
