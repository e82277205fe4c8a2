"""Adding a model to `orchestrion.yaml`, everything else in it left as it is."""

from collections.abc import Sequence

from orchestrion.core import Json, UserError
from orchestrion.project import SETTINGS_FILE, BadProject, Project, read_settings
from orchestrion.spec import Edit, SetValue, edit, parse_yaml


def add_model(project: Project, name: str, provider: str, details: dict[str, Json]) -> None:
    """Write a model into the settings. Raises: UserError `model-exists`, `no-settings`; BadProject with what would be wrong."""
    path = project.root / SETTINGS_FILE
    if not path.is_file():
        raise UserError("no-settings", f"There is no {str(path)!r}.", hint="Create a project: orchestrion init.")
    value: Json = {"provider": provider, **details} if details else provider
    source, _ = parse_yaml(path.read_bytes(), file=SETTINGS_FILE)
    if source is None:
        text = path.read_text(encoding="utf-8")
        source, _ = parse_yaml(f"{text.rstrip()}\nname: {project.name}\n".lstrip(), file=SETTINGS_FILE)
        if source is None:
            raise UserError("no-settings", f"{str(path)!r} cannot be read.")
    settings = source.json
    known = settings.get("models") if isinstance(settings, dict) else None
    if isinstance(known, dict) and name in known:
        raise UserError("model-exists", f"There is a model {name!r} already.", hint=f"Change it in {SETTINGS_FILE}.")
    # without any `models`, `default` is a playbook: it stays one
    new: Sequence[Edit] = (
        [SetValue(f"/models/{name}", value)]
        if isinstance(known, dict) and known
        else [SetValue("/models", {**({} if name == "default" else {"default": "playbook"}), name: value})]
    )
    text = edit(source, new)
    _, _, findings = read_settings(text, file=SETTINGS_FILE)
    if findings:
        raise BadProject(findings)
    path.write_text(text, encoding="utf-8", newline="")
