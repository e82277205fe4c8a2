"""Invents a bank's customers, cards and card payments, with fraud among them. The same seed gives the same files.

Run: python generate.py [--payments 10000] [--history 20000] [--seed 1]

It writes into data/: `customers.csv`, `history.csv` (labelled payments of earlier weeks, to train on) and `transactions.csv` (the
stream to watch, whose column `fraud` is the truth for scoring and is never an input).

Most payments are somebody's ordinary life: an amount around what this customer usually pays, by day, at home, with the phone they
have. Some of it looks odd and is not: holidays abroad (4 %), a new phone (2 %), presents of ten times the usual (1 %),
several payments within an hour (3 %), nights out (6 %). Among these are attacks, 5 payments in 1,000 belonging to one. That is several
times what card schemes report (about 1 in 1,000), so that 10,000 payments hold enough attacks to count. Three patterns:

testing    a stolen number is tried out: four to seven small online payments within minutes, then a large one; no phone of the
           customer's, but an automated browser in a rented computer.
takeover   somebody talks a customer out of the log-in: the phone number on file is changed, then one to three large online payments
           from a phone never seen before, for goods that are easily sold again.
skimming   a copied card: two to four withdrawals from cash machines abroad, by magnetic stripe, minutes after the customer paid at home.

In each pattern one attack in five is cautious, with amounts and times like the customer's own: no model finds all of those.
"""

import argparse
import csv
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
ATTACKED = 0.005
CAUTIOUS = 0.2
CUSTOMERS = 600
HISTORY_BEGINS, STREAM_BEGINS = datetime(2026, 1, 5), datetime(2026, 3, 2)  # noqa: DTZ001 local time of an invented bank
KINDS = ("groceries", "restaurant", "fuel", "clothing", "electronics", "travel", "gift cards", "cash")
ORDINARY = (40, 22, 10, 10, 4, 4, 2, 8)
PHONES = ("iPhone 13, app 5.4", "iPhone 15, app 5.6", "Pixel 8, app 5.6", "Galaxy S22, app 5.5", "Moto G54, app 5.3")
STRANGE_PHONES = ("Android emulator, app 4.9, rooted", "Galaxy S22, app 5.5, screen shared by remote help")
ROBOTS = ("headless browser 118, hosting network", "scripted client, rented computer, no cookies")
Row = dict[str, str | int | float]


def main() -> None:
    parser = argparse.ArgumentParser(description="Invents payments with fraud among them.")
    parser.add_argument("--payments", type=int, default=10_000)
    parser.add_argument("--history", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    DATA.mkdir(exist_ok=True)
    draw = random.Random  # the same numbers again for the same seed: nothing is secret here
    customers = list(invent_customers(draw(given.seed)))
    history = payments(draw(given.seed + 1), customers, given.history, HISTORY_BEGINS, "H")
    stream = payments(draw(given.seed + 2), customers, given.payments, STREAM_BEGINS, "T")
    for payment in stream:
        if payment["pattern"] == "takeover" and not payment["cautious"]:
            owner = customers[int(str(payment["customer_id"])[2:]) - 2001]
            owner["phone_changed_on"] = str(payment["booked_at"])[:10]
    write("customers.csv", customers)
    write("history.csv", history)
    write("transactions.csv", [{name: value for name, value in row.items() if name != "cautious"} for row in stream])


def invent_customers(dice: random.Random) -> Iterator[Row]:
    for number in range(CUSTOMERS):
        moved = dice.random() < 0.03
        yield {
            "id": f"C-{2001 + number}",
            "card_id": f"K-{50001 + number}",
            "name": f"Customer {2001 + number}",
            "email": "" if dice.random() < 0.08 else f"c{2001 + number}@example.com",
            "joined_on": f"{dice.randint(2008, 2025)}-{dice.randint(1, 12):02d}-{dice.randint(1, 28):02d}",
            "phone_changed_on": f"2026-02-{dice.randint(1, 28):02d}" if moved else "2024-05-01",
            "usual_cents": round(dice.lognormvariate(7.9, 0.35)),
            "phone": dice.choice(PHONES),
        }


def payments(dice: random.Random, customers: Sequence[Row], count: int, begins: datetime, letter: str) -> list[Row]:
    """Payments in the order they were made; attacks stand somewhere among them, as whole series."""
    rows: list[Row] = []
    attacks = round(count * ATTACKED)
    while attacks > 0:
        series = attack(dice, dice.choice(customers), moment(dice, begins, count))[:attacks]
        rows += series
        attacks -= len(series)
    rows += [ordinary(dice, dice.choice(customers), moment(dice, begins, count)) for _ in range(count - len(rows))]
    rows.sort(key=lambda row: str(row["booked_at"]))
    return [{"id": f"{letter}-{number:06d}", **row} for number, row in enumerate(rows, start=1)]


def moment(dice: random.Random, begins: datetime, count: int) -> datetime:
    """400 payments a day, mostly by day."""
    day = dice.randrange(max(1, count // 400))
    hour = dice.choices(
        range(24), weights=(2, 1, 1, 1, 1, 2, 4, 7, 8, 8, 9, 10, 11, 10, 9, 9, 10, 11, 11, 9, 7, 5, 4, 3)
    )[0]
    return begins + timedelta(days=day, hours=hour, seconds=dice.randrange(3600))


def payment(customer: Mapping[str, object], at: datetime, ratio: float, **rest: str | int) -> Row:
    usual = int(str(customer["usual_cents"]))
    return {
        "customer_id": str(customer["id"]),
        "card_id": str(customer["card_id"]),
        "booked_at": at.isoformat(timespec="seconds"),
        "amount_cents": max(50, round(usual * ratio)),
        "amount_ratio": round(max(50, usual * ratio) / usual, 3),
        "hour": at.hour,
        **rest,
    }


def ordinary(dice: random.Random, customer: Mapping[str, object], at: datetime) -> Row:
    kind = dice.choices(KINDS, ORDINARY)[0]
    online = kind not in ("cash", "fuel", "restaurant") and dice.random() < 0.35
    ratio = dice.lognormvariate(0, 0.6) * (10 if dice.random() < 0.01 else 1)
    changed = dice.random() < 0.02
    terminal = "cash machine, chip" if kind == "cash" else "terminal, chip"
    return payment(
        customer,
        at,
        ratio,
        merchant_kind=kind,
        abroad=dice.random() < 0.04,
        online=online,
        new_device=online and changed,
        minutes_since_last=round(dice.expovariate(1 / 900)) + 2,
        payments_last_hour=dice.choice((1, 1, 2, 3)) if dice.random() < 0.03 else 0,
        device=(dice.choice(PHONES) if changed else str(customer["phone"])) if online else terminal,
        pattern="",
        cautious=0,
        fraud=0,
    )


def attack(dice: random.Random, customer: Mapping[str, object], at: datetime) -> list[Row]:
    pattern = dice.choices(("testing", "takeover", "skimming"), (3, 4, 3))[0]
    cautious = int(dice.random() < CAUTIOUS)
    match pattern:
        case "testing":
            return list(testing(dice, customer, at, cautious))
        case "takeover":
            return list(takeover(dice, customer, at, cautious))
        case _:
            return list(skimming(dice, customer, at, cautious))


def testing(dice: random.Random, customer: Mapping[str, object], at: datetime, cautious: int) -> Iterator[Row]:
    tries = dice.randint(4, 7)
    for number in range(tries + 1):
        gap = dice.randint(40, 300) if cautious else dice.randint(1, 4)
        last = number == tries
        yield payment(
            customer,
            at,
            dice.uniform(1.2, 3) if cautious and last else dice.uniform(6, 15) if last else dice.uniform(0.02, 0.2),
            merchant_kind="electronics" if last else dice.choice(("gift cards", "clothing", "electronics")),
            abroad=dice.random() < 0.5,
            online=True,
            new_device=True,
            minutes_since_last=gap,
            payments_last_hour=0 if cautious else number,
            device=dice.choice(ROBOTS),
            pattern="testing",
            cautious=cautious,
            fraud=1,
        )
        at += timedelta(minutes=gap)


def takeover(dice: random.Random, customer: Mapping[str, object], at: datetime, cautious: int) -> Iterator[Row]:
    for number in range(dice.randint(1, 3)):
        gap = round(dice.expovariate(1 / 900)) + 2 if cautious or number == 0 else dice.randint(3, 25)
        yield payment(
            customer,
            at,
            dice.uniform(0.8, 2) if cautious else dice.uniform(5, 20),
            merchant_kind=dice.choice(("electronics", "gift cards", "travel")),
            abroad=dice.random() < 0.4,
            online=True,
            new_device=True,
            minutes_since_last=gap,
            payments_last_hour=0 if cautious else min(number, 2),
            device=dice.choice(PHONES if cautious else STRANGE_PHONES),
            pattern="takeover",
            cautious=cautious,
            fraud=1,
        )
        at += timedelta(minutes=gap)


def skimming(dice: random.Random, customer: Mapping[str, object], at: datetime, cautious: int) -> Iterator[Row]:
    for number in range(dice.randint(2, 4)):
        gap = dice.randint(300, 900) if cautious else dice.randint(3, 30)
        yield payment(
            customer,
            at,
            dice.uniform(0.8, 2) if cautious else dice.uniform(4, 12),
            merchant_kind="cash",
            abroad=True,
            online=False,
            new_device=False,
            minutes_since_last=gap,
            payments_last_hour=0 if cautious else number,
            device="cash machine, magnetic stripe, chip not read",
            pattern="skimming",
            cautious=cautious,
            fraud=1,
        )
        at += timedelta(minutes=gap)


def write(name: str, rows: Sequence[Row]) -> None:
    with (DATA / name).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(
            {column: str(value).lower() if isinstance(value, bool) else value for column, value in row.items()}
            for row in rows
        )


if __name__ == "__main__":
    main()
