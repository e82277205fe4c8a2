"""A user's project: `orchestrion.yaml` and the folder around it."""

from ._project import SETTINGS_FILE, BadProject, Project
from ._reading import read_settings
from ._secrets import ProjectSecrets
from ._settings import (
    Batch,
    Connection,
    Egress,
    Folder,
    GuardPolicy,
    Limits,
    McpServer,
    Model,
    Router,
    Secret,
    SecretReference,
    Settings,
    settings_schema,
)

__all__ = [
    "SETTINGS_FILE",
    "BadProject",
    "Batch",
    "Connection",
    "Egress",
    "Folder",
    "GuardPolicy",
    "Limits",
    "McpServer",
    "Model",
    "Project",
    "ProjectSecrets",
    "Router",
    "Secret",
    "SecretReference",
    "Settings",
    "read_settings",
    "settings_schema",
]
