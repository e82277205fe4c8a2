"""Routes of the project's files: one set of operations for every editor."""

from typing import Annotated, assert_never

from fastapi import APIRouter, Path, Query, Response

from orchestrion.app import App, DocumentChange, Documents, ProjectFile
from orchestrion.core import Json
from orchestrion.spec import Edit, Insert, Remove, Rename, SetValue

from ._answers import JsonAnswer
from ._file_shapes import (
    EditsGiven,
    FileChanged,
    FileList,
    FileWhole,
    InsertGiven,
    RemoveGiven,
    RenameGiven,
    SetGiven,
    TextGiven,
)
from ._identity import GuardedRoute

FilePath = Annotated[str, Path(max_length=200, description="From the project's folder: `workflows/hello.yaml`.")]


def document_routes(app: App) -> APIRouter:
    """Files of an open project. New runs get what is written once it is deployed, with the version `working`."""
    router = APIRouter(prefix="/files", tags=["files"], route_class=GuardedRoute)
    documents = Documents(app)

    @router.get("", operation_id="listFiles", response_model=FileList)
    async def listed() -> Response:
        """Workflows, agents, teams, policies and the rest, with their digests."""
        return JsonAnswer({"files": [_summary(each) for each in documents.listed()]})

    @router.get("/{path:path}", operation_id="showFile", response_model=FileWhole)
    async def shown(path: FilePath) -> Response:
        """One file, and what there is to say about it and the project."""
        file = documents.read(path)
        found = await documents.check(path)
        return JsonAnswer({**_summary(file), "text": file.text, "findings": [each.to_json() for each in found]})

    @router.put("/{path:path}", operation_id="writeFile", response_model=FileChanged)
    async def write(path: FilePath, given: TextGiven) -> Response:
        """Make a file, or replace its text; refused with the findings where that would break something."""
        change = await documents.write(path, given.text, expected=given.digest, dry=given.dry)
        return JsonAnswer(_changed(change, dry=given.dry))

    @router.post("/{path:path}/edits", operation_id="editFile", response_model=FileChanged)
    async def edit(path: FilePath, given: EditsGiven) -> Response:
        """Change parts of a YAML file; the rest of its text, comments included, stays as it is."""
        edits = [_edit(each) for each in given.operations]
        change = await documents.edit(path, edits, expected=given.digest, dry=given.dry)
        return JsonAnswer(_changed(change, dry=given.dry))

    @router.delete("/{path:path}", operation_id="removeFile", response_model=FileChanged)
    async def remove(
        path: FilePath, digest: Annotated[str, Query(max_length=64, description="Of its text.")], *, dry: bool = False
    ) -> Response:
        """Remove a file; refused with the findings where something needs it."""
        return JsonAnswer(_changed(await documents.remove(path, expected=digest, dry=dry), dry=dry))

    return router


def _edit(given: SetGiven | InsertGiven | RemoveGiven | RenameGiven) -> Edit:
    match given:
        case SetGiven():
            return SetValue(given.path, given.value)
        case InsertGiven():
            return Insert(given.path, given.value)
        case RemoveGiven():
            return Remove(given.path)
        case RenameGiven():
            return Rename(given.task, given.to)
        case _:
            assert_never(given)


def _summary(file: ProjectFile) -> dict[str, Json]:
    return {"path": file.path, "kind": file.kind, "digest": file.digest}


def _changed(change: DocumentChange, *, dry: bool) -> Json:
    return {
        "file": _summary(change.file) if change.file is not None else None,
        "text": change.file.text if change.file is not None else None,
        "written": not dry,
        "findings": [each.to_json() for each in change.findings],
    }
