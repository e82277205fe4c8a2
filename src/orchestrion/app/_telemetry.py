"""Who is told of what runs write: whoever follows them, and a collector of spans where the project wants that."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from orchestrion.core import Run, UserError, Write
from orchestrion.engine import Observe
from orchestrion.project import Project


@contextmanager
def observing(project: Project, follow: Observe) -> Generator[Observe]:
    """What the engine tells of its writes: to `follow`, and to the collector if one is set. Raises: UserError `telemetry-missing`."""
    settings = project.settings.telemetry
    if settings is None:
        yield follow
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

    def both(run: Run, writes: Sequence[Write]) -> None:
        telemetry.observe(run, writes)
        follow(run, writes)

    try:
        yield both
    finally:
        telemetry.close()
