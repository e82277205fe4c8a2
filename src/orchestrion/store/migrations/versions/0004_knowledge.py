"""Documents and their passages."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; what finds words is PostgreSQL's alone."""
    op.create_table(
        "knowledge_files",
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("passages", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("remark", sa.Text()),
        sa.PrimaryKeyConstraint("base", "file", name="pk_knowledge_files"),
    )
    op.create_table(
        "knowledge_passages",
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("page", sa.Integer()),
        sa.Column("row", sa.Integer()),
        sa.Column("line", sa.Integer()),
        sa.Column("last_line", sa.Integer()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("base", "file", "place", name="pk_knowledge_passages"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "ix_knowledge_passages_words",
            "knowledge_passages",
            [sa.text("to_tsvector('english', heading || ' ' || text)")],
            postgresql_using="gin",
        )
