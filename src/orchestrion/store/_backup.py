"""A store as one file: taken while it is in use, and put back elsewhere once everything in it has been checked."""

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator, Set
from contextlib import closing
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from orchestrion import __version__
from orchestrion.core import BugError, Clock, Json, UserError, dump_bytes, iso, parse

from ._blobs import Blobs
from ._copy import require_empty
from ._metadata import REVISIONS
from ._schema import REFERRING
from ._sqlite import SQLite, backup, connect
from ._store import DRIVER_ERRORS, BackedUp, Restored, Store

FORMAT = 1
ATTEMPTS = 3
"""How often a moment is taken: what was removed between it and the copying of large values is not there any more."""
MANIFEST, DATABASE = "backup.json", "orchestrion.db"
LARGEST_MANIFEST = 64 * 1024
_BLOB = re.compile(r"blobs/([0-9a-f]{64})")
_PIECE = 1024 * 1024


def back_up(source: Store, file: Path, clock: Clock) -> BackedUp:
    """Write a store as it is at one moment, whoever writes to it. Raises: UserError `backup-exists`, `backup-folder-missing`."""
    if file.exists():
        raise UserError("backup-exists", f"There is a file {str(file)!r} already.", hint="Name one that is not there.")
    if not file.parent.is_dir():
        raise UserError("backup-folder-missing", f"There is no folder {str(file.parent)!r}.", hint="Create it.")
    for attempt in range(1, ATTEMPTS + 1):
        with TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as folder:
            try:
                return _take(source, Path(folder), file, clock)
            except BugError as error:
                if error.code != "blob-missing" or attempt == ATTEMPTS:
                    raise
    raise AssertionError("unreachable")


def _take(source: Store, folder: Path, file: Path, clock: Clock) -> BackedUp:
    database, blobs = folder / DATABASE, source.blobs
    at = clock.now()
    if isinstance(source.database, SQLite):
        backup(source.path, database)
    else:
        with closing(Store.open(database, mode="own", clock=clock)) as copy:
            source.copy(copy, lambda _what, _done, _total: None)
            blobs = copy.blobs
        with closing(connect(database, writes=True)) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
    digests, runs = _referred(database), _runs(database)
    manifest: Json = {
        "format": FORMAT,
        "release": __version__,
        "schema": REVISIONS[-1],
        "at": iso(at),
        "database": _digest_of(database),
    }
    partial = folder / "whole"
    with open(partial, "xb", opener=_private) as out:
        with tarfile.open(fileobj=out, mode="w") as archive:
            _add(archive, MANIFEST, dump_bytes(manifest), at)
            archive.add(database, arcname=DATABASE, filter=lambda info: _nobodys(info, at))
            for digest in sorted(digests):
                _add(archive, f"blobs/{digest}", blobs.get(digest), at)
        out.flush()
        os.fsync(out.fileno())
    size = partial.stat().st_size
    partial.rename(file)
    return BackedUp(file=file, runs=runs, blobs=len(digests), size=size)


def restore(file: Path, target: Store, clock: Clock, *, force: bool) -> Restored:
    """Put a backup into an owned store that is empty, or with `force` over what a file holds, of which a backup is made before.

    Raises: UserError `not-a-backup`, `backup-damaged`, `store-not-empty`, `store-too-new`.
    """
    is_file = isinstance(target.database, SQLite)
    with TemporaryDirectory(dir=target.path.parent if is_file else None, prefix=".restoring-") as folder:
        kept = _unpack(file, Path(folder), clock)
        Store.migrate(kept)
        aside = None
        with closing(target.connect(writes=True)) as connection:
            try:
                require_empty(target, connection)
            except UserError:
                if not (force and is_file):
                    raise
                stamp = iso(clock.now()).replace(":", "").replace(".", "")
                aside = target.path.with_name(f"{target.path.name}.before-restore-{stamp}")
        if aside is not None:
            back_up(target, aside, clock)
        digests, runs = _referred(kept), _runs(kept)
        if is_file:
            values = Blobs(f"{kept}.blobs", clock)
            for digest in sorted(digests):
                target.blobs.put(digest, values.get(digest))
            backup(kept, target.path)
        else:
            with closing(Store.open(kept, mode="own", clock=clock)) as source:
                source.copy(target, lambda _what, _done, _total: None)
    return Restored(runs=runs, blobs=len(digests), aside=aside)


def _unpack(file: Path, folder: Path, clock: Clock) -> Path:
    """The database of a backup with its large values beside it, everything compared with what was written."""
    database = folder / DATABASE
    values = Blobs(f"{database}.blobs", clock)
    found: set[str] = set()
    manifest: dict[str, Json] = {}
    try:
        with tarfile.open(file, mode="r:") as archive:
            for name, content in _members(archive):
                if not manifest:
                    manifest = _manifest(name, content)
                elif name == DATABASE:
                    _write(content, database)
                elif (blob := _BLOB.fullmatch(name)) is not None:
                    value = content.read()
                    if hashlib.sha256(value).hexdigest() != blob[1]:
                        raise _damaged(f"the large value {blob[1][:12]} has changed")
                    values.put(blob[1], value)
                    found.add(blob[1])
                else:
                    raise _damaged(f"it holds {name[:100]!r}, which none does")
    except FileNotFoundError:
        raise UserError("not-a-backup", f"There is no file {str(file)!r}.", hint="Check the path.") from None
    except tarfile.TarError as error:
        raise (_damaged(str(error)) if manifest else _no_backup(file)) from None
    except OSError as error:
        raise UserError("not-a-backup", f"{str(file)!r} cannot be read: {error.strerror or error}.") from None
    if not manifest:
        raise _no_backup(file)
    _require_whole(database, manifest, found)
    return database


def _require_whole(database: Path, manifest: dict[str, Json], found: Set[str]) -> None:
    """Raises: UserError `backup-damaged`, `store-too-new`."""
    if not database.exists() or _digest_of(database) != manifest.get("database"):
        raise _damaged("its database is not the one that was written")
    if manifest.get("schema") not in REVISIONS:
        raise UserError(
            "store-too-new",
            f"The backup was made by release {manifest.get('release')!r}, whose schema {manifest.get('schema')!r} this one does not know.",
            hint="Restore it with that release or a newer one.",
        )
    try:
        with closing(connect(database, writes=False)) as connection:
            said = [str(row[0]) for row in connection.execute("pragma integrity_check(5)")]
            loose = connection.execute("pragma foreign_key_check").fetchone()
        missing = _referred(database) - found
    except DRIVER_ERRORS as error:
        raise _damaged(f"its database: {error}") from None
    if said != ["ok"] or loose is not None:
        raise _damaged(f"its database: {'; '.join(said)}")
    if missing:
        raise _damaged(f"{len(missing):,} large values that runs refer to are missing")


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    """Plain files; where they would be written to is up to whoever asks."""
    for member in archive:
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise _damaged(f"it holds {member.name[:100]!r}, which is no plain file")
        yield member.name, content


def _manifest(name: str, content: IO[bytes]) -> dict[str, Json]:
    """Raises: UserError `backup-damaged`."""
    try:
        found = parse(content.read(LARGEST_MANIFEST)) if name == MANIFEST else None
    except UserError:
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _damaged("it does not begin as a backup of this release does")
    return found


def _write(content: IO[bytes], path: Path) -> None:
    with path.open("wb") as out:
        while piece := content.read(_PIECE):
            out.write(piece)


def _referred(database: Path) -> set[str]:
    """Digests of the large values that rows refer to."""
    with closing(connect(database, writes=False)) as connection:
        return {
            digest
            for table in REFERRING
            for (listed,) in connection.execute(f'select blobs from "{table.name}" where blobs is not null')  # noqa: S608
            for digest in cast("str", listed).split()
        }


def _runs(database: Path) -> int:
    with closing(connect(database, writes=False)) as connection:
        return cast("int", connection.execute("select count(*) from runs").fetchone()[0])


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes, at: float) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(_nobodys(info, at), BytesIO(content))


def _nobodys(info: tarfile.TarInfo, at: float) -> tarfile.TarInfo:
    """Without the names of a machine."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode, info.mtime = 0o600, int(at)
    return info


def _private(path: str, flags: int) -> int:
    """What people and agents said stands in it."""
    return os.open(path, flags, 0o600)


def _no_backup(file: Path) -> UserError:
    return UserError(
        "not-a-backup", f"{str(file)!r} is not a backup.", hint="`orchestrion store backup FILE` writes one."
    )


def _damaged(why: str) -> UserError:
    return UserError(
        "backup-damaged",
        f"Nothing was restored, as the backup is damaged: {why}.",
        hint="Take another one. The store is as it was.",
    )
