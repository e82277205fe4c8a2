"""Events and who listens, calendars, which process leads, and lists of runs that stay fast when there are many."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; of the first ones only indexes change."""
    present = sa.text("batch IS NOT NULL")
    op.drop_index("ix_runs_batch", "runs")
    op.create_index(
        "ix_runs_batch", "runs", ["batch", "created_at", "id"], sqlite_where=present, postgresql_where=present
    )
    op.create_index("ix_runs_workflow_status", "runs", ["workflow", "status", "created_at", "id"])
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=True),
        sa.Column("received_at", sa.Double, nullable=False),
        sa.Column("routed_at", sa.Double, nullable=True),
        sa.Column("deliveries", sa.Integer(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("blobs", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_received", "events", ["received_at"], unique=False)
    op.create_index("ix_events_source", "events", ["source", "id"], unique=True)
    op.create_index("ix_events_type", "events", ["type", "received_at"], unique=False)
    op.create_index(
        "ix_events_unrouted",
        "events",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("routed_at IS NULL"),
        postgresql_where=sa.text("routed_at IS NULL"),
    )
    op.create_table(
        "reached",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_reached_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq", "run_id", "key", name="pk_reached"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "filters",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_filters"),
    )
    op.create_index("ix_filters_type", "filters", ["type"], unique=False)
    op.create_table(
        "gathered",
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("correlation", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("trigger", "correlation", "place", name="pk_gathered"),
    )
    op.create_table(
        "leader",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leader"),
    )
    op.create_table(
        "schedules",
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("next_at", sa.Double, nullable=True),
        sa.Column("last_at", sa.Double, nullable=True),
        sa.Column("last_run_id", sa.Text(), nullable=True),
        sa.Column("paused_by", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workflow", name="pk_schedules"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_subscriptions_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "key", "place", name="pk_subscriptions"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_subscriptions_filter", "subscriptions", ["filter", "expected"], unique=False)
