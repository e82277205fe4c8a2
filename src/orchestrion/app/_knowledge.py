"""The project's knowledge bases, and where their index is."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestrion.knowledge import Base, Knowledge, Place, files_of, knowledge_bases
from orchestrion.project import Project
from orchestrion.store import is_postgresql

from ._journals import blobs_of

FOLDER = "knowledge"
INDEX = ".orchestrion/knowledge.db"
"""Where the index is unless the store is on a server."""


def knowledge_of(project: Project) -> Knowledge:
    """The bases of the folder, with the project's settings. Nothing is opened before it is needed."""
    return Knowledge(_bases(project), lambda: _place(project))


def documents_of(project: Project) -> Mapping[str, list[Path]]:
    """Base → its documents. Raises: UserError `knowledge-unreadable`, `knowledge-too-large`."""
    return {name: [base.folder / file for file in files_of(base)] for name, base in _bases(project).items()}


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
    if project.home is not None:
        return Place(file=project.root / INDEX)
    url = project.store_url(project.secrets())
    file = project.root / INDEX
    return Place(file=file, server=url, blobs=blobs_of(project, url)) if is_postgresql(url) else Place(file=file)
