"""Who was told of what waits."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "notices",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("run", sa.Text()),
        sa.Column("problem", sa.Text()),
        sa.Column("used_at", sa.Double),
        sa.PrimaryKeyConstraint("request_id", "person", name="pk_notices"),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name="fk_notices_request_id", ondelete="CASCADE"),
    )
    op.create_index(
        "ix_notices_unsent",
        "notices",
        ["request_id", "person"],
        unique=False,
        sqlite_where=sa.text("run IS NULL"),
        postgresql_where=sa.text("run IS NULL"),
    )
