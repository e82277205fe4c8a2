"""What is counted of runs, alerts, and what people say of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and an index of runs by their ends."""
    ended = sa.text("ended_at IS NOT NULL")
    op.create_index("ix_runs_ended_at", "runs", ["ended_at"], sqlite_where=ended, postgresql_where=ended)
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cursors"),
    )
    op.create_table(
        "watched",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("again", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_watched_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name="pk_watched"),
    )
    op.create_index("ix_watched_ended_at", "watched", ["ended_at"])
    _create_measured()
    _create_alerts()
    op.create_table(
        "feedback",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("thumb", sa.Text()),
        sa.Column("correction", sa.Text()),
        sa.Column("note", sa.Text()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_feedback_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name="pk_feedback"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feedback_run_id", "feedback", ["run_id"])


def _create_measured() -> None:
    op.create_table(
        "measures",
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("at", "kind", "name", name="pk_measures"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "signals",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("signal", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "signal", name="pk_signals"),
    )


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("cleared_at", sa.Double),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text()),
        sa.Column("acknowledged_at", sa.Double),
        sa.Column("acknowledged_by", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    still_open = sa.text("cleared_at IS NULL")
    op.create_index(
        "ix_alerts_open",
        "alerts",
        ["rule", "kind", "name"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_index("ix_alerts_opened", "alerts", ["opened_at"])
