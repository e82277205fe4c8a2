"""What all tables have in common."""

from sqlalchemy import Column, ForeignKey, MetaData, Text

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012")
"""Every revision of the schema, oldest first. The last is what this release reads and writes."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s",
    }
)


def run_id() -> Column[str]:
    """A column that refers to a run, and goes with it."""
    return Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False)
