"""Versions that are no longer, or not yet, what the project's files say: their files brought back beside it."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from orchestrion.core import Json, parse
from orchestrion.project import Model, Project, Settings
from orchestrion.registry import Bundle, short

FOLDER = ".orchestrion/versions"
OPERATED = ("price", "limits", "retires", "successors", "succession")
"""Of a model in the settings: what is about running it, not about what it answers."""


def pinned_project(project: Project, bundle: Bundle, contents: Mapping[str, bytes]) -> Project:
    """The project as it was for one workflow. Where its data, secrets and store are stays as it is now.

    Its files are written once, below `.orchestrion/versions`, and may be deleted at any time.
    """
    folder = project.at_home / FOLDER / bundle.digest[:32]
    if not folder.is_dir():
        _write(folder, bundle, contents)
    return project.pinned(folder, _settings(project.settings, contents))


def _write(folder: Path, bundle: Bundle, contents: Mapping[str, bytes]) -> None:
    """Whole or not at all, whoever else writes it at the same time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{short(bundle.digest)}-"))
    try:
        for piece, content in contents.items():
            if (name := _file_of(piece)) is not None:
                (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                (scratch / name).write_bytes(content)
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _file_of(piece: str) -> str | None:
    """Where a piece stands as a file; None for one that is none."""
    kind, _, rest = piece.partition("/")
    if kind == "workflows":
        return f"workflows/{rest.replace('/', '.').replace(':', '-')}.yaml"
    return None if kind in {"settings", "functions"} else piece


def _settings(now: Settings, contents: Mapping[str, bytes]) -> Settings:
    """What the version says of models, routers and the like; all that is about running the project as it is now."""
    said: dict[str, dict[str, Json]] = {kind: {} for kind in ("models", "routers", "guards", "mcp", "knowledge")}
    limits: Mapping[str, Json] = {}
    for piece, content in contents.items():
        kind, _, rest = piece.partition("/")
        if kind != "settings":
            continue
        kind, _, name = rest.partition("/")
        if kind == "limits":
            limits = cast("Mapping[str, Json]", parse(content))
        else:
            said[kind][name] = parse(content)
    then = Settings.model_validate(said)
    models = {name: _operated(now, name, model) for name, model in then.models.items()}
    return now.model_copy(
        update={
            "models": models,
            **{kind: getattr(then, kind) for kind in ("routers", "guards", "mcp", "knowledge")},
            "limits": now.limits.model_copy(update=dict(limits)),
        }
    )


def _operated(now: Settings, name: str, model: Model) -> Model:
    """A model with what is about running it: what is said now of its name, or of whichever name leads to the same by now."""
    same = [each for each in now.models if _leads_to(now.models[each]) == _leads_to(model)]
    known = name if name in same or not same else same[0]
    if known not in now.models:
        return model
    return model.model_copy(update={field: getattr(now.models[known], field) for field in OPERATED})


def _leads_to(model: Model) -> tuple[str, str | None]:
    return model.provider, model.base_url
