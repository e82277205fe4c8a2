"""Prepares the example: payments are invented, the bank's database is built, the two models are trained.

Run: python prepare.py [--payments 10000] [--seed 1]       (does nothing when it was done; --reset starts again)
"""

import argparse
import csv
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
DATABASE = DATA / "bank.db"
MODELS = ("card-fraud", "unusual-payment")


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepares the example.")
    parser.add_argument("--payments", type=int, default=10_000)
    parser.add_argument("--history", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reset", action="store_true")
    given = parser.parse_args()
    if given.reset:
        reset()
    if DATABASE.exists():
        print(f"{DATABASE} is there already; --reset begins anew.")
        return
    sizes = ("--payments", str(given.payments), "--history", str(given.history), "--seed", str(given.seed))
    run(str(HERE / "generate.py"), *sizes)
    for model in MODELS:
        run("-m", "orchestrion", "predictor", "train", model, "--data", str(DATA / "history.csv"))
    build(DATABASE)
    print(f"Built {DATABASE}.")


def reset() -> None:
    for path in (*DATA.glob("bank.db*"), *DATA.glob("*.csv"), *(HERE / "predictors").glob("*.skops*")):
        path.unlink()
    shutil.rmtree(HERE / ".orchestrion", ignore_errors=True)


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=HERE, check=True)  # noqa: S603 our own programs


def build(database: Path) -> None:
    """Write a new database beside its final name and move it there, so that a half-built one is never found."""
    unfinished = database.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as bank:
        bank.executescript((DATA / "schema.sql").read_text(encoding="utf-8"))
        with (DATA / "customers.csv").open(newline="", encoding="utf-8") as file:
            columns, *rows = csv.reader(file)
        marks = ", ".join("?" * len(columns))
        bank.executemany(f"insert into customers ({', '.join(columns)}) values ({marks})", rows)  # noqa: S608 fixed names
        bank.commit()
        bank.execute("pragma journal_mode = wal")
    os.replace(unfinished, database)


if __name__ == "__main__":
    main()
