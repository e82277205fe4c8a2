"""Large values: kept by digest, checked when read, collected when old and unused."""

import hashlib
import os
from pathlib import Path

import pytest

from orchestrion.core import BugError, SystemClock
from orchestrion.store import KEPT_S, Blobs


def kept(blobs: Blobs, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    blobs.put(digest, content)
    return digest


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def age(path: Path) -> None:
    old = SystemClock().now() - KEPT_S - 60
    os.utime(path, (old, old))


def test_a_value_is_kept_once(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"), SystemClock())
    digest = kept(blobs, b"large")
    kept(blobs, b"large")
    assert blobs.get(digest) == b"large"
    assert [path.name for path in files(tmp_path)] == [digest]


def test_a_damaged_or_missing_value_is_never_returned(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"), SystemClock())
    digest = kept(blobs, b"large")
    files(tmp_path)[0].write_bytes(b"Large")
    with pytest.raises(BugError, match="has changed"):
        blobs.get(digest)
    files(tmp_path)[0].unlink()
    with pytest.raises(BugError, match="is not in"):
        blobs.get(digest)


def test_old_values_are_told_and_removed_unless_written_again(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"), SystemClock())
    assert list(blobs.old()) == []
    unused, fresh, again = (kept(blobs, name) for name in (b"unused", b"fresh", b"again"))
    for path in files(tmp_path):
        if path.name != fresh:
            age(path)
    assert set(blobs.old()) == {unused, again}
    kept(blobs, b"again")
    assert [blobs.remove_old(digest) for digest in (unused, again)] == [True, False]
    assert {path.name for path in files(tmp_path)} == {fresh, again}


def test_other_file_systems_work_too() -> None:
    blobs = Blobs("memory://orchestrion-test", SystemClock())
    assert blobs.get(kept(blobs, b"large")) == b"large"
