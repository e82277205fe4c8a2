"""Slots of models that have limits, and conversations that outlive a run."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "slots",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Double, nullable=False),
        sa.Column("granted_at", sa.Double, nullable=True),
        sa.Column("released_at", sa.Double, nullable=True),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("ticket", name="pk_slots"),
    )
    op.create_index("ix_slots_model", "slots", ["model", "asked_at"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", "agent", name="pk_sessions"),
    )
    op.create_index("ix_sessions_updated_at", "sessions", ["updated_at"], unique=False)
    op.create_table(
        "session_turns",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("messages", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["name", "agent"], ["sessions.name", "sessions.agent"], name="fk_session_turns_name", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("name", "agent", "number", name="pk_session_turns"),
    )
