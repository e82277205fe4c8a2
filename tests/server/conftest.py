"""A server for a test."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from orchestrion.testing import World, served


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with served(tmp_path / "project") as world:
        yield world
