"""`orchestrion models` and `orchestrion costs`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.table import Table

from orchestrion.app import add_model, costs, open_rooms
from orchestrion.core import Json, SystemClock, UserError
from orchestrion.project import BadProject, Model, Project

from ._terminal import COMPLETED, FAULTED, err, execute, one_of, out, print_json, user_name

if TYPE_CHECKING:
    from orchestrion.models import Trial

DAY_S = 86_400.0
GROUPINGS = ("run", "agent", "user", "workflow", "model")


def add(name: str, provider: str, details: Mapping[str, Json], *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        loaded = Project.load(project)
        add_model(loaded, name, provider, {key: value for key, value in details.items() if value not in (None, [])})
        if as_json:
            print_json({"added": name})
        else:
            err.print(f"[green]✓[/] {name} is a model now. Try it: orchestrion models test {name}")
        return COMPLETED

    execute(work, as_json=as_json)


def list_models(*, project: Path, as_json: bool) -> None:
    async def work() -> int:
        models = Project.load(project).settings.models
        if as_json:
            print_json([{"name": name, **_json(model)} for name, model in models.items()])
            return COMPLETED
        table = Table(box=None, pad_edge=False)
        for column in ("model", "provider", "region", "USD per million", "limits", "retires", "fallback"):
            table.add_column(column, overflow="fold")
        for name, model in models.items():
            table.add_row(name, *_cells(model))
        out.print(table)
        return COMPLETED

    execute(work, as_json=as_json)


def _json(model: Model) -> dict[str, Json]:
    return cast("dict[str, Json]", model.model_dump(mode="json", by_alias=True, exclude_none=True))


def _cells(model: Model) -> Sequence[str]:
    price, limits = model.price, model.limits
    bounds: list[str] = []
    if limits and limits.concurrency is not None:
        bounds.append(f"{limits.concurrency} at once")
    if limits and limits.requests_per_minute is not None:
        bounds.append(f"{limits.requests_per_minute} a minute")
    return (
        model.provider + (f" at {model.base_url}" if model.base_url else ""),
        model.region or "",
        f"{price.input:g} in, {price.output:g} out" if price else "",
        ", ".join(bounds),
        model.retires.isoformat() if model.retires else "",
        ", ".join(model.fallback),
    )


def test(names: Sequence[str], *, project: Path, as_json: bool) -> None:
    from orchestrion.app import keep_trials, try_model
    from orchestrion.models import Trial

    async def work() -> int:
        loaded = Project.load(project)
        known = loaded.settings.models
        for name in names:
            if name not in known and ":" not in name:
                one_of([each for each in known if each == name], name, "model")
        wanted = list(names) or [name for name, model in known.items() if not model.provider.startswith("playbook")]
        if not wanted:
            raise UserError(
                "no-models",
                "This project has no model to test: playbooks always answer.",
                hint="orchestrion models add NAME PROVIDER",
            )
        trials: list[Trial] = []
        async with open_rooms(project) as rooms:
            for name in wanted:
                try:
                    trials.append(await try_model(rooms, name, SystemClock(), subject=user_name(None)))
                except BadProject:
                    raise
                except UserError as error:
                    trials.append(Trial(model=name, problem=error))
            await keep_trials(rooms, trials, SystemClock())
        if as_json:
            print_json([trial.to_json() for trial in trials])
        else:
            for trial in trials:
                _tell(trial)
        return FAULTED if any(trial.problem for trial in trials) else COMPLETED

    execute(work, as_json=as_json)


def _tell(trial: "Trial") -> None:
    if trial.seconds is not None:
        out.print(f"[green]✓[/] {trial.model}: {trial.seconds:.2f} s, said {trial.answer!r}")
        for name, able in (("tool calls", trial.tools), ("structured output", trial.structured)):
            if able or trial.problem is None:
                out.print(f"  {name}: {'yes' if able else 'no'}")
    if trial.problem is not None:
        out.print(f"[red]✗[/] {trial.model}", f"[dim]{trial.problem.code}[/]", end=" ")
        out.print(trial.problem.message, markup=False)
        if trial.problem.hint:
            out.print(f"  {trial.problem.hint}", markup=False)


def tell_costs(by: str, days: float, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        if by not in GROUPINGS:
            raise UserError("unknown-grouping", f"Costs are not kept by {by!r}.", hint=f"By: {', '.join(GROUPINGS)}.")
        since = SystemClock().now() - days * DAY_S
        spent = await costs(Project.load(project), by, since=since)
        if as_json:
            print_json([each.to_json() for each in spent])
            return COMPLETED
        if not spent:
            err.print("No model has been asked in this time.")
            return COMPLETED
        table = Table(box=None, pad_edge=False)
        table.add_column(by, overflow="fold")
        for column in ("requests", "tokens in", "tokens out", "USD"):
            table.add_column(column, justify="right")
        for each in spent:
            usd = f"{each.usd_micros / 1_000_000:,.4f}" + ("+?" if each.unpriced else "")
            table.add_row(each.name, f"{each.requests:,}", f"{each.input_tokens:,}", f"{each.output_tokens:,}", usd)
        out.print(table)
        if any(each.unpriced for each in spent):
            err.print("+?: some requests have no known price. Give their models a `price` in orchestrion.yaml.")
        return COMPLETED

    execute(work, as_json=as_json)
