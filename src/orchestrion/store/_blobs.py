"""Values too large for a row, by the digest of their bytes, on any file system fsspec knows."""

import errno
import hashlib
import os
import threading
from collections.abc import Generator
from functools import cached_property
from typing import Any, cast

from orchestrion.core import BugError, Clock, TransientError, UserError, new_id

KEPT_S = 24 * 3600.0
"""How long a blob stays that nothing refers to: its row may still be on its way."""


class Blobs:
    """A folder of immutable values. Writing one again changes nothing but its age."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """File system and root; fsspec is imported when the first large value comes."""
        import fsspec.core as fsspec

        return cast("tuple[Any, str]", cast("Any", fsspec).url_to_fs(self._url))

    @property
    def _is_local(self) -> bool:
        """Elsewhere there is no descriptor to sync: closing is what makes a file durable."""
        return "file" in self._place[0].protocol

    def _path(self, digest: str) -> str:
        return f"{self._place[1]}/{digest[:2]}/{digest}"

    def put(self, digest: str, content: bytes) -> None:
        """Keep `content`; it is on the disk when this returns. Raises: TransientError `disk-full`; BugError `store-failed`."""
        try:
            with self._lock:
                self._put(self._path(digest), content)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise TransientError(
                    "disk-full", f"There is no space left in {self._url!r}.", hint="Free some."
                ) from error
            raise BugError("store-failed", f"A large value cannot be written to {self._url!r}: {error}.") from error

    def _put(self, path: str, content: bytes) -> None:
        files = self._place[0]
        if files.exists(path):
            files.touch(path, truncate=False)
            return
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        partial = f"{path}.{new_id()}.partial"
        try:
            with files.open(partial, "wb") as file:
                file.write(content)
                file.flush()
                if self._is_local:
                    os.fsync(file.fileno())
            files.mv(partial, path)
        except BaseException:
            if files.exists(partial):
                files.rm_file(partial)
            raise
        self._sync_folders(path)

    def require_writable(self) -> None:
        """Write something, and remove it. Raises: UserError `blobs-unusable`."""
        try:
            files, root = self._place
            files.makedirs(root, exist_ok=True)
            path = f"{root}/{new_id()}.probe"
            with files.open(path, "wb") as file:
                file.write(b".")
            files.rm_file(path)
        except (OSError, ValueError, ImportError) as error:
            raise UserError(
                "blobs-unusable",
                f"Large values cannot be kept in {self._url!r}: {error}.",
                hint="Correct `blobs` in orchestrion.yaml, or what it needs: permissions, or the package for that kind of URL.",
            ) from error

    def get(self, digest: str) -> bytes:
        """Raises: BugError `blob-missing`, `blob-damaged`."""
        try:
            content = cast("bytes", self._place[0].cat_file(self._path(digest)))
        except FileNotFoundError:
            raise BugError(
                "blob-missing",
                f"The value {digest} is not in {self._url!r}, where a run keeps it.",
                hint="Restore the folder together with its database.",
            ) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise BugError("blob-damaged", f"The value {digest} in {self._url!r} has changed since it was written.")
        return content

    def old(self) -> Generator[str]:
        """Values that nobody has written for a day, one folder after the other: those that may be unused."""
        files, root = self._place
        if not files.exists(root):
            return
        for folder in sorted(cast("list[str]", files.ls(root, detail=False))):
            for path in cast("list[str]", files.ls(folder, detail=False)):
                if self._is_old(path):
                    yield path.rpartition("/")[2]

    def remove_old(self, digest: str) -> bool:
        """Remove a value that nothing refers to, unless somebody wrote it again meanwhile; whether it was removed."""
        path = self._path(digest)
        with self._lock:
            old = self._is_old(path)
            if old:
                self._place[0].rm_file(path)
        return old

    def _is_old(self, path: str) -> bool:
        return self._clock.now() - self._written_at(path) > KEPT_S

    def _written_at(self, path: str) -> float:
        return cast("float", self._place[0].modified(path).timestamp())

    def _sync_folders(self, path: str) -> None:
        """Make the new names durable too, where the file system is this machine's."""
        if not self._is_local:
            return
        folder = path.rpartition("/")[0]
        for name in (folder, folder.rpartition("/")[0], self._place[1].rpartition("/")[0]):
            descriptor = os.open(name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
