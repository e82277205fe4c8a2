"""Builds the bank's database, data/bank.db, from data/schema.sql and the CSV files beside it.

Run: python prepare.py          (does nothing when the database exists)
     python prepare.py --reset  (starts again from the files)
"""

import csv
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
DATABASE = DATA / "bank.db"
TABLES = ("customers", "cards", "charges", "transfers")


def build(database: Path) -> None:
    """Write a new database beside its final name and move it there, so that a half-built one is never found."""
    unfinished = database.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as bank:
        bank.executescript((DATA / "schema.sql").read_text(encoding="utf-8"))
        for table in TABLES:
            with (DATA / f"{table}.csv").open(newline="", encoding="utf-8") as file:
                columns, *rows = csv.reader(file)
            marks = ", ".join("?" * len(columns))
            bank.executemany(f"insert into {table} ({', '.join(columns)}) values ({marks})", rows)  # noqa: S608 fixed names
        bank.commit()
        bank.execute("pragma journal_mode = wal")
    os.replace(unfinished, database)


def main(arguments: list[str]) -> int:
    """Exit code: 0 done, 2 an argument nobody knows."""
    if set(arguments) - {"--reset"}:
        print(f"prepare.py: only --reset is understood, not {' '.join(arguments)!r}", file=sys.stderr)
        return 2
    if arguments:
        for path in DATA.glob("bank.db*"):
            path.unlink()
    if DATABASE.exists():
        print(f"{DATABASE} is there already; --reset builds it anew.")
    else:
        build(DATABASE)
        print(f"Built {DATABASE}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
