"""A user's project: `orchestrion.yaml` and the folder around it."""

from ._alert import AlertRule
from ._mail import MailServer
from ._model import Model, ModelLimits, Price
from ._project import KINDS, SETTINGS_FILE, BadProject, Project
from ._reading import read_settings
from ._secrets import ProjectSecrets
from ._setting import SecretReference
from ._settings import (
    Ages,
    Batch,
    Connection,
    Egress,
    Folder,
    GuardPolicy,
    KnowledgeBase,
    Limits,
    McpServer,
    Processes,
    Retention,
    Router,
    Secret,
    Settings,
    settings_schema,
)
from ._webhook import Webhook

__all__ = [
    "KINDS",
    "SETTINGS_FILE",
    "Ages",
    "AlertRule",
    "BadProject",
    "Batch",
    "Connection",
    "Egress",
    "Folder",
    "GuardPolicy",
    "KnowledgeBase",
    "Limits",
    "MailServer",
    "McpServer",
    "Model",
    "ModelLimits",
    "Price",
    "Processes",
    "Project",
    "ProjectSecrets",
    "Retention",
    "Router",
    "Secret",
    "SecretReference",
    "Settings",
    "Webhook",
    "read_settings",
    "settings_schema",
]
