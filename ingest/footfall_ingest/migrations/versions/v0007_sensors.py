"""What a sensor is, how it hangs and what it sees, in words for whoever wants to know what looks at them."""

from alembic import op

revision = "0007"
down_revision = "0006"

_COLUMNS = """
ALTER TABLE installation
    ADD COLUMN type text CHECK (type <> ''),
    ADD COLUMN mounting text CHECK (mounting <> ''),
    ADD COLUMN field_of_view text CHECK (field_of_view <> '');
COMMENT ON COLUMN installation.type IS 'What kind of sensor it is, for people; null: nobody said.';
COMMENT ON COLUMN installation.mounting IS 'Where and how it hangs, for people; null: nobody said.';
COMMENT ON COLUMN installation.field_of_view IS 'Which part of the place it sees, for people; null: nobody said.';
"""


def upgrade() -> None:
    """Make room for the words; what is stored has none yet."""
    op.execute(_COLUMNS)
