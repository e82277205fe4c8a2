"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real-world test data that does not belong to the project."""
    folder = os.environ.get("ORCHESTRION_TEST_DATA")
    if not folder:
        pytest.skip("ORCHESTRION_TEST_DATA is not set: the test needs data that is not part of the project")
    return Path(folder)
