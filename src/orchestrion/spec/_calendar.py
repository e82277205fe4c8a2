"""Calendar arithmetic: when a schedule fires. Pure; times are seconds since the epoch, UTC."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias, assert_never
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from orchestrion.core import Json, UserError

Missed: TypeAlias = Literal["skip", "once", "all"]
"""What becomes of firings that came due while nobody could fire them: none, the latest, or every one."""

MISSED: tuple[Missed, ...] = ("skip", "once", "all")
LONGEST_CRON = 200
_DAY_S = 86_400.0
_FIELDS = "minute hour day-of-month month day-of-week"


@dataclass(frozen=True, slots=True)
class Cron:
    """Five fields: minute, hour, day of month, month, day of week."""

    expression: str


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed interval, counted from 1970-01-01T00:00:00Z, so that it is the same after every restart and never drifts."""

    seconds: float


@dataclass(frozen=True, slots=True)
class After:
    """A pause between the end of one run and the start of the next."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a workflow runs by itself, and with what."""

    timing: Cron | Every | After
    timezone: str = "UTC"
    missed: Missed = "once"
    input: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def next_after(self, at: float) -> float:
        """The first firing later than `at`. For `After`, `at` is the end of the run before."""
        match self.timing:
            case Cron(expression):
                return _cron_after(expression, ZoneInfo(self.timezone), at)
            case Every(seconds):
                interval = round(seconds * 1000)
                return (_milliseconds(at) // interval + 1) * interval / 1000
            case After(seconds):
                return at + seconds
            case _:
                assert_never(self.timing)

    def latest(self, since: float, until: float, at_most: int) -> list[float]:
        """The latest firings of [since, until], at most so many, oldest first. `since` is a firing; not for `After`.

        It looks back from `until` further and further, so that a year of missed minutes costs no more than a few hours of them.
        """
        window = 3600.0
        while True:
            start = max(since - 0.001, until - window)
            found = list(self._between(start, until))
            if start < since or len(found) >= at_most:
                return found[-at_most:]
            window *= 4

    def _between(self, start: float, until: float) -> Iterator[float]:
        at = self.next_after(start)
        while at <= until:
            yield at
            at = self.next_after(at)

    def input_at(self, at: float) -> Json:
        """The input of a run that fires at `at`: the author's, with `scheduledAt` as RFC 3339 text of the schedule's zone."""
        local = datetime.fromtimestamp(round(at, 3), ZoneInfo(self.timezone))
        precision = "milliseconds" if local.microsecond else "seconds"
        text = local.isoformat(timespec=precision)
        return {"scheduledAt": text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text, **self.input}

    @property
    def words(self) -> str:
        """The schedule as people say it."""
        match self.timing:
            case Cron(expression):
                return CronSim(expression, datetime(2000, 1, 1)).explain()  # noqa: DTZ001  wall-clock time
            case Every(seconds):
                return f"Every {_length(seconds)}"
            case After(seconds):
                return f"{_length(seconds)} after the end of each run"
            case _:
                assert_never(self.timing)


def cron_of(text: str) -> Cron:
    """Raises: UserError `bad-cron`, `impossible-date`."""
    if len(text) > LONGEST_CRON or len(text.split()) != 5:
        raise UserError(
            "bad-cron", "A cron expression has five fields.", hint=f"Write: {_FIELDS}, such as '0 9 * * 1-5'."
        )
    start = datetime(2000, 1, 1)  # noqa: DTZ001  wall-clock time
    try:
        if next(CronSim(text, start), None) is None:
            raise _impossible(text)
    except CronSimError as error:
        if _is_sound_in_some_month(text):
            raise _impossible(text) from None
        raise UserError(
            "bad-cron",
            f"{text!r} is not a cron expression: {str(error).lower()}.",
            hint=f"The fields are: {_FIELDS}. For example '0 9 * * 1-5' is nine o'clock from Monday to Friday.",
        ) from None
    return Cron(text)


def _is_sound_in_some_month(text: str) -> bool:
    """Whether only the day and the month do not go together."""
    minute, hour, day, month, weekday = text.split()
    try:
        CronSim(f"{minute} {hour} 1 {month} {weekday}", datetime(2000, 1, 1))  # noqa: DTZ001  wall-clock time
        CronSim(f"{minute} {hour} {day} * {weekday}", datetime(2000, 1, 1))  # noqa: DTZ001  wall-clock time
    except CronSimError:
        return False
    return True


def _impossible(text: str) -> UserError:
    _, _, day, month, _ = text.split()
    return UserError(
        "impossible-date",
        f"{text!r} never fires: day {day!r} of month {month!r} does not exist.",
        hint="Write `L` for the last day of a month.",
    )


def _cron_after(expression: str, zone: ZoneInfo, at: float) -> float:
    """The next firing by the wall clock of a zone.

    A wall-clock time that does not exist fires at the next that does; one that exists twice fires once, the first time. What
    fires in every hour does so in a repeated hour too: it names minutes of an hour that passes, not a time of day.

    Source: for every-hour schedules, cron(8) of Debian; for the others, its rule made strict.
    """
    local = datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)
    walls = CronSim(expression, local)
    first = next(found for wall in walls if (found := _instant(wall, zone)) > at)
    if len(walls.hours) < 24:
        return first
    return min(first, next(_repeated(expression, zone, local, at), first))


def _repeated(expression: str, zone: ZoneInfo, local: datetime, at: float) -> Iterator[float]:
    """Firings soon after `at` at wall-clock times that come round for the second time."""
    around = [datetime.fromtimestamp(at + away, zone) for away in (-_DAY_S, 0.0, _DAY_S)]
    shift = timedelta(seconds=max(map(_offset_s, around)) - min(map(_offset_s, around)))
    if not shift or not (around[1].fold or datetime.fromtimestamp(at + shift.total_seconds(), zone).fold):
        return
    for wall in CronSim(expression, local - shift):
        if wall > local + shift:
            return
        before, after = _folds(wall, zone)
        if before < after and after > at:
            yield after


def _offset_s(time: datetime) -> float:
    return (time.utcoffset() or timedelta()).total_seconds()


def _folds(wall: datetime, zone: ZoneInfo) -> tuple[float, float]:
    """A wall-clock time by the offset before and after a change of the clock: equal except around one."""
    before, after = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    return before.timestamp(), after.timestamp()


def _instant(wall: datetime, zone: ZoneInfo) -> float:
    """When a wall clock first shows a time, or, if it never does, the next time that it does show."""
    first, second = _folds(wall, zone)
    return first if first <= second else _change_of_clock(zone, second, first)


@lru_cache(maxsize=1024)
def _change_of_clock(zone: ZoneInfo, before: float, until: float) -> float:
    """The second within (before, until] from which another offset holds."""
    low, high = int(before), int(until)
    old = datetime.fromtimestamp(low, UTC).astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, UTC).astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return float(high)


def _milliseconds(at: float) -> int:
    return round(at * 1000)


def _length(seconds: float) -> str:
    """1.5 hours is said as 90 minutes."""
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000)):
        count, rest = divmod(_milliseconds(seconds), size)
        if count and not rest:
            return f"{count} {unit}" + ("" if count == 1 else "s")
    return f"{seconds:g} seconds"
