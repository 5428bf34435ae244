"""The schema's history, run by Alembic: forwards only, each step plain SQL."""
