"""Watching beside the engine: counting, and alerts by the rules of the settings."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrion.core import Json, OrchestrionError, UserError, iso
from orchestrion.oversight import Bound, Measures, Signal, Subject, change_in_words
from orchestrion.project import SETTINGS_FILE, AlertRule, Project
from orchestrion.spec import Finding, finding_at, parse_yaml
from orchestrion.store import Storage

from ._alerts import Alert, AlertBook
from ._watch import Watch
from ._workflows import Shelf

if TYPE_CHECKING:
    from ._app import App

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often runs are counted."""
BUSY_S = 0.1
"""And how long it rests where there is more to count."""
JUDGE_S = 5.0
"""How often alerts are looked at."""
DETECT_S = 30.0
"""How often drift is looked for: it takes a library that is slow to load, so that a short command does without."""
LAST_PAGES = 5
"""Pages counted by a process that ends; the rest is for the next."""


class Watching:
    """What a process that advances runs does about them beside it."""

    def __init__(self, app: "App", storage: Storage) -> None:
        self.watch = Watch(storage, app.clock)
        self.book = AlertBook(storage, app.clock)
        self._app = app
        self._rules = app.project.settings.alerts

    async def keep_looking(self) -> None:
        """Until cancelled."""
        clock = self._app.clock
        judged_at = detected_at = clock.monotonic()
        while True:
            more = False
            try:
                more = await self.watch.look()
                if clock.monotonic() - detected_at >= DETECT_S:
                    detected_at = clock.monotonic()
                    await self.watch.detect()
                if clock.monotonic() - judged_at >= JUDGE_S:
                    judged_at = clock.monotonic()
                    await self.judge()
            except OrchestrionError as error:
                log.warning("Runs cannot be watched: %s", error)
            await asyncio.sleep(BUSY_S if more else LOOK_S)

    async def look_at_last(self) -> None:
        """A command that ends has counted what it did."""
        await self.watch.catch_up(LAST_PAGES)
        await self.judge()

    async def judge(self) -> None:
        """Open and clear alerts by the rules, and start the runs that tell of them."""
        if not self._rules:
            return
        current = {(alert.rule, alert.subject): alert for alert in await self.book.current()}
        for name, rule in self._rules.items():
            if rule.drift:
                await self._judge_drift(name, rule, current)
            else:
                await self._judge_measure(name, rule, current)
        for key, alert in current.items():
            if key[0] not in self._rules:
                await self.book.clear(alert)
        for alert in await self.book.untold():
            await self._tell(alert)

    async def _judge_measure(self, name: str, rule: AlertRule, current: Mapping[tuple[str, Subject], Alert]) -> None:
        now = self._app.clock.now()
        bound = Bound(measure=str(rule.measure), above=rule.above, below=rule.below, at_least=rule.at_least)
        sums = await self.watch.sums(rule.of, now - rule.window_s)
        for subject, seen in _fitting(rule, sums):
            alert = current.get((name, subject))
            broken = bound.broken(seen)
            if broken and alert is None:
                body: Json = {
                    "sentence": bound.in_words(subject, seen, rule.window_s),
                    "measure": bound.measure,
                    "value": seen.value(bound.measure),
                    "bound": rule.above if rule.above is not None else rule.below,
                    "count": seen.count,
                    "window_s": rule.window_s,
                    "runs": [*seen.behind(bound.measure)],
                }
                await self.book.open(name, subject, body, occasion=str(now))
            elif not broken and alert is not None:
                await self.book.clear(alert)
        for (of, subject), alert in current.items():
            if of == name and subject.name not in sums:
                await self.book.clear(alert)

    async def _judge_drift(self, name: str, rule: AlertRule, current: Mapping[tuple[str, Subject], Alert]) -> None:
        now = self._app.clock.now()
        drifted: set[Subject] = set()
        for (subject, signal), seen in (await self.watch.signals()).items():
            if subject.kind != rule.of or rule.name not in {None, subject.name}:
                continue
            if not seen.changes or (change := seen.changes[-1]).at < now - rule.window_s:
                continue
            drifted.add(subject)
            if (name, subject) not in current:
                await self.book.open(
                    name, subject, await self._drift(subject, signal, seen), occasion=f"{signal} {change.at}"
                )
        for (of, subject), alert in current.items():
            if of == name and subject not in drifted:
                await self.book.clear(alert)

    async def _drift(self, subject: Subject, signal: str, seen: Signal) -> Json:
        change = seen.changes[-1]
        sums = (await self.watch.sums(subject.kind, change.at - 86_400.0)).get(subject.name, Measures())
        measure = signal if signal in sums.runs else "errors"
        return {
            "sentence": change_in_words(subject, signal, change),
            "measure": signal,
            "value": change.after,
            "bound": change.before,
            "count": change.values,
            "window_s": None,
            "runs": [*sums.behind(measure)],
        }

    async def _tell(self, alert: Alert) -> None:
        """Start the run that tells of an alert: once, whenever the process is killed."""
        rule = self._rules.get(alert.rule)
        if rule is None:
            return
        value: Json = {
            **(alert.body if isinstance(alert.body, dict) else {}),
            "alert": alert.id,
            "rule": alert.rule,
            "of": alert.subject.kind,
            "name": alert.subject.name,
            "opened_at": iso(alert.opened_at),
        }
        subject, key = f"Alert::{alert.rule}", f"alert:{alert.id}"
        try:
            chosen = await self._app.versions.choose(rule.run, subject, value=value, key=key)
            run = await self._app.start(chosen, value, start_key=key, subject=subject)
        except UserError as error:
            log.warning("Nobody was told of the alert %s: %s", alert.id, error)
            await self.book.told(alert, "", error.message)
            return
        await self.book.told(alert, run.id)


def _fitting(rule: AlertRule, sums: Mapping[str, Measures]) -> Iterator[tuple[Subject, Measures]]:
    for name, seen in sums.items():
        if rule.name in {None, name}:
            yield Subject(rule.of, name), seen


def check_alerts(project: Project, shelf: Shelf) -> list[Finding]:
    """Rules that name workflows that are not there."""
    if not project.settings.alerts:
        return []
    source, _ = parse_yaml((project.root / SETTINGS_FILE).read_bytes(), file=SETTINGS_FILE)
    if source is None:
        return []
    found: list[Finding] = []
    for name, rule in project.settings.alerts.items():
        try:
            shelf.named(rule.run)
        except UserError as error:
            found.append(finding_at(source, f"/alerts/{name}/run", error.code, error.message, hint=error.hint))
    return found
