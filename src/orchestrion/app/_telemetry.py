"""Spans of a project's runs, where it wants them."""

from collections.abc import Generator
from contextlib import contextmanager

from orchestrion.core import UserError
from orchestrion.engine import Observe
from orchestrion.project import Project


@contextmanager
def observing(project: Project) -> Generator[Observe | None]:
    """What the engine tells of its writes; None where no collector is set. Raises: UserError `telemetry-missing`."""
    settings = project.settings.telemetry
    if settings is None:
        yield None
        return
    try:
        from orchestrion.telemetry import Telemetry
    except ImportError as error:
        raise UserError(
            "telemetry-missing",
            f"`telemetry` is set in orchestrion.yaml, and the package {error.name!r} is not installed.",
            hint="Install orchestrion[telemetry], or remove the setting.",
        ) from None
    secrets = project.secrets()
    telemetry = Telemetry(
        settings.endpoint,
        service=settings.service,
        headers={name: str(secrets.get(reference.secret)) for name, reference in settings.headers.items()},
        timeout_s=settings.timeout_s,
    )
    try:
        yield telemetry.observe
    finally:
        telemetry.close()
