"""The project's models: what it says about them, as the models room takes it, and the days on which they retire."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from orchestrion.core import Clock
from orchestrion.models import ModelLimits, ModelSettings, Price
from orchestrion.project import SETTINGS_FILE, Model, Project
from orchestrion.spec import Finding, finding_at, parse_yaml

SOON_DAYS = 30
"""A model's last day is told of so long before."""


def model_settings(project: Project) -> Mapping[str, ModelSettings]:
    """What `models` in the settings says."""
    return {name: _settings(model) for name, model in project.settings.models.items()}


def _settings(model: Model) -> ModelSettings:
    price, limits = model.price, model.limits
    return ModelSettings(
        provider=model.provider,
        base_url=model.base_url,
        key=model.key.secret if model.key else None,
        fallback=tuple(model.fallback),
        timeout_s=model.timeout_s,
        region=model.region,
        price=Price(input=Decimal(str(price.input)), output=Decimal(str(price.output))) if price else None,
        limits=ModelLimits(
            concurrency=limits.concurrency, requests_per_minute=limits.requests_per_minute, wait_s=limits.wait_s
        )
        if limits
        else None,
        retires=model.retires,
    )


def retiring(project: Project, clock: Clock) -> list[Finding]:
    """Models that retire soon, and those that have: one without a fallback makes the project unusable."""
    if all(model.retires is None for model in project.settings.models.values()):
        return []
    source, _ = parse_yaml((project.root / SETTINGS_FILE).read_bytes(), file=SETTINGS_FILE)
    if source is None:
        return []
    today = datetime.fromtimestamp(clock.now(), UTC).date()
    found: list[Finding] = []
    for name, model in project.settings.models.items():
        if model.retires is None or (left := (model.retires - today).days) > SOON_DAYS:
            continue
        at = f"/models/{name}/retires"
        succession = f"{model.fallback[0]!r} is asked then." if model.fallback else "Nothing is named to follow it."
        if left > 0:
            hint = None if model.fallback else "Name its successor under `fallback`, or another `provider`."
            message = f"The model {name!r} retires in {left} day{'s' if left > 1 else ''}. {succession}"
            found.append(finding_at(source, at, "model-retires-soon", message, hint=hint, severity="warning"))
        elif model.fallback:
            message = f"The model {name!r} is retired; {model.fallback[0]!r} is asked in its place."
            hint = "Give this name another `provider`, and remove the date."
            found.append(finding_at(source, at, "model-retired", message, hint=hint, severity="warning"))
        else:
            message = f"The model {name!r} is retired, and nothing is named to follow it."
            found.append(
                finding_at(source, at, "model-retired", message, hint="Name another `provider`, or a `fallback`.")
            )
    return found
