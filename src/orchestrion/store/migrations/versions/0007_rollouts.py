"""Versions on trial."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("candidate", sa.Text(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Double, nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["candidate"], ["bundles.digest"], name="fk_rollouts_candidate"),
        sa.ForeignKeyConstraint(["control"], ["bundles.digest"], name="fk_rollouts_control"),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
    running = sa.text("status = 'running'")
    op.create_index(
        "ix_rollouts_running",
        "rollouts",
        ["workflow"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )
    op.create_index("ix_rollouts_created", "rollouts", ["created_at"], unique=False)
