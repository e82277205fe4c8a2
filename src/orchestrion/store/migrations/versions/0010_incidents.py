"""Incidents of models with their timelines, and how models did when they were tried."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "incidents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double, nullable=True),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("followed", sa.BigInteger(), nullable=False),
        sa.Column("unanswered", sa.BigInteger(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("looked_at", sa.Double, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
    )
    still_open = sa.text("closed_at IS NULL")
    op.create_index(
        "ix_incidents_open",
        "incidents",
        ["kind", "subject", "target"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_index("ix_incidents_opened", "incidents", ["opened_at"], unique=False)
    op.create_table(
        "incident_steps",
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("told", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name="fk_incident_steps_incident", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("incident", "number", name="pk_incident_steps"),
    )
    op.create_index("ix_incident_steps_mark", "incident_steps", ["incident", "mark"], unique=True)
    op.create_table(
        "model_tests",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "target", name="pk_model_tests"),
    )
