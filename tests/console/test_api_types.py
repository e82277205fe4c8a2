"""The console is written for the API that the server has."""

import json
import os
from pathlib import Path

import pytest

from orchestrion.testing import served

from .conftest import ROOT

KEPT = ROOT / "console" / "openapi.json"


@pytest.mark.anyio
async def test_the_description_of_the_api_is_the_servers(tmp_path: Path) -> None:
    """`ORCHESTRION_WRITE_DOCS=1` writes it anew; then `python tools/console.py --types`."""
    async with served(tmp_path / "project") as world, world.client() as client:
        described = (await client.get("/api/v1/openapi.json")).json()
    text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("ORCHESTRION_WRITE_DOCS"):
        KEPT.write_text(text)
    assert KEPT.read_text() == text
