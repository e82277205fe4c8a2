"""When schedules fire: both changes of the clock on both halves of the earth, and intervals that do not drift."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrion.spec import After, Cron, Every, Schedule

CHANGES = {
    "Europe/Berlin": ["2026-03-29T01:00", "2026-10-25T01:00"],
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00"],
    "Australia/Lord_Howe": ["2026-04-04T15:00", "2026-10-03T15:30"],
    "Pacific/Auckland": ["2026-04-04T14:00", "2026-09-26T14:00"],
    "America/Sao_Paulo": ["2018-11-04T03:00", "2019-02-17T02:00"],
    "Africa/Casablanca": ["2026-02-15T02:00", "2026-03-22T02:00"],
    "Pacific/Apia": ["2011-12-30T10:00"],
    "Asia/Kolkata": ["2026-03-29T01:00"],
    "UTC": ["2026-03-29T01:00"],
}
"""Zone → moments, in UTC, at which its clock is changed. Sao Paulo's change is at midnight; Apia left out a whole day."""


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def cron(expression: str, zone: str = "UTC") -> Schedule:
    return Schedule(timing=Cron(expression), timezone=zone)


def fired(schedule: Schedule, since: str | float, hours: float) -> list[float]:
    start = utc(since) if isinstance(since, str) else since
    found: list[float] = []
    at = schedule.next_after(start)
    while at <= start + hours * 3600:
        found.append(at)
        at = schedule.next_after(at)
    return found


def shown(schedule: Schedule, since: str, hours: float) -> list[str]:
    """The firings, by the clock of the schedule's zone."""
    zone = ZoneInfo(schedule.timezone)
    return [datetime.fromtimestamp(at, zone).strftime("%d %H:%M %z") for at in fired(schedule, since, hours)]


@pytest.mark.parametrize(
    ("zone", "expression", "since", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28", snapshot(["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"])),
        ("Europe/Berlin", "30 2 * * *", "2026-10-24", snapshot(["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"])),
        (
            "America/New_York",
            "30 2 * * *",
            "2026-03-07",
            snapshot(["07 02:30 -0500", "08 03:00 -0400", "09 02:30 -0400"]),
        ),
        (
            "America/New_York",
            "30 1 * * *",
            "2026-10-31",
            snapshot(["31 01:30 -0400", "01 01:30 -0400", "02 01:30 -0500"]),
        ),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-02",
            snapshot(["03 02:15 +1030", "04 02:30 +1100", "05 02:15 +1100"]),
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-03",
            snapshot(["04 01:45 +1100", "05 01:45 +1100", "06 01:45 +1030"]),
        ),
        ("Asia/Kolkata", "30 2 * * *", "2026-03-28", snapshot(["29 02:30 +0530", "30 02:30 +0530", "31 02:30 +0530"])),
        (
            "America/Sao_Paulo",
            "0 0 * * *",
            "2018-11-03",
            snapshot(["03 00:00 -0300", "04 01:00 -0200", "05 00:00 -0200"]),
        ),
    ],
)
def test_a_time_of_day_fires_once_a_day(zone: str, expression: str, since: str, expected: list[str]) -> None:
    assert shown(cron(expression, zone), since, 72) == expected


def test_times_that_do_not_exist_fire_together_at_the_next_that_does() -> None:
    quarters = cron("0,15,30,45 2,3 * * *", "Europe/Berlin")
    assert shown(quarters, "2026-03-28T23:00", 5) == snapshot(
        ["29 03:00 +0200", "29 03:15 +0200", "29 03:30 +0200", "29 03:45 +0200"]
    )


def test_every_hour_is_every_hour_that_passes() -> None:
    assert shown(cron("0 * * * *", "Europe/Berlin"), "2026-10-24T23:30", 4) == snapshot(
        ["25 02:00 +0200", "25 02:00 +0100", "25 03:00 +0100", "25 04:00 +0100"]
    )
    assert len(fired(cron("*/15 * * * *", "Europe/Berlin"), "2026-10-24T22:00", 25)) == 100
    assert len(fired(cron("*/15 0-23 * * *", "America/New_York"), "2026-11-01T04:00", 25)) == 100


def test_the_last_day_of_a_month_and_of_february() -> None:
    last = cron("0 12 L * *")
    assert shown(last, "2028-01-30", 24 * 63) == snapshot(["31 12:00 +0000", "29 12:00 +0000", "31 12:00 +0000"])
    leap = cron("0 12 29 2 *")
    assert leap.next_after(utc("2096-03-01")) == utc("2104-02-29T12:00")


def test_an_interval_does_not_drift() -> None:
    every = Schedule(timing=Every(0.1 * 11))
    at = utc("2026-01-01T00:00:00.123")
    for _ in range(10_000):
        at = every.next_after(at)
    assert round(at * 1000) % 1100 == 0
    assert at - utc("2026-01-01T00:00:00.123") == pytest.approx(11_000, abs=1.1)


def test_an_interval_starts_at_1970_whenever_it_is_looked_at() -> None:
    hours = Schedule(timing=Every(3600), timezone="Asia/Kolkata")
    assert hours.next_after(utc("2026-05-05T10:00:00.001")) == utc("2026-05-05T11:00")
    assert hours.next_after(utc("2026-05-05T10:00")) == utc("2026-05-05T11:00")


def test_after_counts_from_the_end_of_the_run() -> None:
    assert Schedule(timing=After(90)).next_after(utc("2026-05-05T10:00:00.250")) == utc("2026-05-05T10:01:30.250")


def test_the_latest_firings_are_found_without_walking_through_all() -> None:
    now = utc("2036-01-01T00:00:30")
    minutes = cron("* * * * *", "Europe/Berlin")
    assert minutes.latest(utc("2026-01-01"), now, 2) == [now - 90, now - 30]
    yearly = cron("0 0 1 6 *")
    assert yearly.latest(utc("2026-06-01"), now, 3) == [utc(f"20{year}-06-01") for year in (33, 34, 35)]
    assert yearly.latest(utc("2034-06-01"), now, 3) == [utc("2034-06-01"), utc("2035-06-01")]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (cron("0 9 * * 1-5"), snapshot("At 09:00 on Monday through Friday")),
        (cron("*/15 * * * *"), snapshot("Every 15th minute of every hour")),
        (Schedule(timing=Every(5400)), snapshot("Every 90 minutes")),
        (Schedule(timing=Every(1.5)), snapshot("Every 1.5 seconds")),
        (Schedule(timing=After(86400)), snapshot("1 day after the end of each run")),
    ],
)
def test_a_schedule_is_told_in_words(schedule: Schedule, expected: str) -> None:
    assert schedule.words == expected


def test_a_run_knows_the_time_it_was_planned_for() -> None:
    berlin = Schedule(timing=Cron("0 0 * * *"), timezone="Europe/Berlin", input={"region": "north"})
    assert berlin.input_at(utc("2026-06-30T22:00")) == {"scheduledAt": "2026-07-01T00:00:00+02:00", "region": "north"}
    assert cron("0 0 * * *").input_at(utc("2026-06-30")) == {"scheduledAt": "2026-06-30T00:00:00Z"}
    assert Schedule(timing=Every(1.5)).input_at(4.5) == {"scheduledAt": "1970-01-01T00:00:04.500Z"}


# --- against minutes counted one by one ---


def field_values(text: str, lowest: int, highest: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        low, high = (lowest, highest) if span == "*" else (int(first), int(last) if dash else int(first))
        if step and not dash and span != "*":
            high = highest
        found.update(range(low, high + 1, int(step or 1)))
    return found


def minutes_one_by_one(expression: str, zone: ZoneInfo, start: float, hours: float) -> Iterator[float]:
    """The rule as it is written: look at every minute that passes, and at the wall-clock minutes that were left out before it."""
    minute, hour, day, month, weekday = expression.split()
    minutes, hours_, days = field_values(minute, 0, 59), field_values(hour, 0, 23), field_values(day, 1, 31)
    months, weekdays = field_values(month, 1, 12), {value % 7 for value in field_values(weekday, 0, 7)}
    both = day.startswith("*") or weekday.startswith("*")

    def matches(wall: datetime) -> bool:
        on_day, on_weekday = wall.day in days, wall.isoweekday() % 7 in weekdays
        right_day = (on_day and on_weekday) if both else (on_day or on_weekday)
        return wall.minute in minutes and wall.hour in hours_ and wall.month in months and right_day

    for at in range(int(start) + 60, int(start + hours * 3600) + 1, 60):
        now, before = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(at - 60, zone)
        wall, last = now.replace(tzinfo=None, fold=0), before.replace(tzinfo=None, fold=0)
        left_out = (last + timedelta(minutes=i) for i in range(1, int((wall - last).total_seconds() // 60)))
        first_time = now.fold == 0 or hours_ == set(range(24))
        if (first_time and matches(wall)) or any(matches(each) for each in left_out):
            yield float(at)


@st.composite
def fields(draw: st.DrawFn, lowest: int, highest: int, near: int) -> str:
    low = draw(st.integers(lowest, highest) | st.integers(max(lowest, near - 2), min(highest, near + 2)))
    high = draw(st.integers(low, highest))
    step = draw(st.integers(1, 30))
    written = ["*", f"*/{step}", f"{low}", f"{low}", f"{low},{high}"]
    if low < high:
        written += [f"{low}-{high}", f"{low}-{high}/{step}"]
    return draw(st.sampled_from(written))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, float]:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = datetime.fromtimestamp(utc(draw(st.sampled_from(CHANGES[zone]))), ZoneInfo(zone))
    expression = " ".join(
        [
            draw(fields(0, 59, 30)),
            draw(fields(0, 23, change.hour)),
            draw(st.just("*") | st.just(str(change.day)) | fields(1, 28, min(change.day, 28))),
            draw(st.just("*") | st.just(str(change.month))),
            draw(st.just("*") | fields(0, 7, change.isoweekday() % 7)),
        ]
    )
    back = draw(st.integers(0, 20 * 60)) * 60
    return expression, zone, change.timestamp() - back


@given(cases())
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_minutes_counted_one_by_one(case: tuple[str, str, float]) -> None:
    expression, zone, start = case
    expected = list(minutes_one_by_one(expression, ZoneInfo(zone), start, 30))
    assert fired(cron(expression, zone), start, 30) == expected
    for at in (start, *expected[:3]):
        assert cron(expression, zone).next_after(at) > at


@pytest.mark.soak
@given(cases())
@settings(max_examples=5000, deadline=None)
def test_it_agrees_with_minutes_counted_one_by_one_at_length(case: tuple[str, str, float]) -> None:
    expression, zone, start = case
    assert fired(cron(expression, zone), start, 30) == list(minutes_one_by_one(expression, ZoneInfo(zone), start, 30))
