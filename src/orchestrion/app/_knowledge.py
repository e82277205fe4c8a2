"""The project's knowledge bases, and where their index is."""

from collections.abc import Mapping
from dataclasses import replace

from orchestrion.knowledge import Base, Knowledge, Place, knowledge_bases
from orchestrion.project import Project
from orchestrion.store import is_postgresql

from ._journals import blobs_of

FOLDER = "knowledge"
INDEX = ".orchestrion/knowledge.db"
"""Where the index is unless the store is on a server."""


def knowledge_of(project: Project) -> Knowledge:
    """The bases of the folder, with the project's settings. Nothing is opened before it is needed."""
    return Knowledge(_bases(project), lambda: _place(project))


def _bases(project: Project) -> Mapping[str, Base]:
    settings = project.settings.knowledge
    return {
        name: replace(base, labels=frozenset(settings[name].labels), embeddings=settings[name].embeddings)
        if name in settings
        else base
        for name, base in knowledge_bases(project.root / FOLDER).items()
    }


def _place(project: Project) -> Place:
    """Raises: UserError about a secret."""
    url = project.store_url(project.secrets())
    file = project.root / INDEX
    return Place(file=file, server=url, blobs=blobs_of(project, url)) if is_postgresql(url) else Place(file=file)
