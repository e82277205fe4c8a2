"""Everything that is particular to PostgreSQL: where it is, how sessions are set up, its tables."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from orchestrion.core import Clock, OrchestrionError, TransientError, UserError

from ._database import Connection, Ownership
from ._lease import Lease
from ._metadata import REVISIONS
from ._postgresql_connection import Names, PostgreSQLConnection, translated
from ._postgresql_error import PostgreSQLError
from ._schema import WORDS_INDEX, metadata

if TYPE_CHECKING:
    import psycopg

OLDEST = 14
IDLE_MS = 5_000
"""How long a transaction may wait for its process, which may be frozen."""
LOCK_MS = 30_000
STATEMENT_MS = 60_000

_DEFAULTS: Mapping[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "client_encoding": "utf8",
    "application_name": "orchestrion",
}
_ABOUT = (
    "select current_setting('server_version_num')::int / 10000, current_setting('server_encoding'), current_schema()"
)
_TABLES = (
    "select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = current_schema()::regnamespace"
)


def _settings() -> bytes:
    """What every session sets: bounds for whoever keeps others waiting, and that a commit is on the disk."""
    return f"""
        select set_config('idle_in_transaction_session_timeout', '{IDLE_MS}', false),
            set_config('lock_timeout', '{LOCK_MS}', false), set_config('statement_timeout', '{STATEMENT_MS}', false),
            case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', false) end,
            case when current_setting('server_version_num')::int >= 170000
                then set_config('transaction_timeout', '{STATEMENT_MS}', false) end
        """.encode()


class PostgreSQL:
    """A database on a server, where one process at a time leads."""

    def __init__(self, url: str, clock: Clock) -> None:
        try:
            import psycopg.conninfo
        except ImportError:
            raise UserError(
                "driver-missing",
                "The driver for PostgreSQL is not installed.",
                hint="Install it with `pip install 'orchestrion[postgresql]'`.",
            ) from None
        self._clock = clock
        try:
            self._where = psycopg.conninfo.conninfo_to_dict("postgresql://" + url.partition("://")[2])
        except psycopg.ProgrammingError:
            raise UserError(
                "store-unsupported",
                "The URL of the PostgreSQL store is not well-formed.",
                hint="It looks like this: postgresql://user@host:5432/database",
            ) from None
        self._known: Names | None = None

    @property
    def place(self) -> str:
        where = self._where
        user = f"{where['user']}@" if where.get("user") else ""
        port = f":{where['port']}" if where.get("port") else ""
        return f"postgresql://{user}{where.get('host') or 'localhost'}{port}/{where.get('dbname') or ''}"

    # --- connections ---

    def open(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection set up as every one is. Raises: psycopg.Error."""
        import psycopg.conninfo
        from psycopg.types.numeric import Int8Dumper

        where = psycopg.conninfo.make_conninfo("", **{**_DEFAULTS, **self._where})
        raw = psycopg.connect(where, autocommit=True, cursor_factory=psycopg.RawCursor)
        try:
            raw.adapters.register_dumper(int, Int8Dumper)
            raw.execute(_settings())
        except BaseException:
            raw.close()
            raise
        return raw

    def open_plainly(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection as SQLAlchemy expects it."""
        import psycopg.conninfo

        return psycopg.connect(psycopg.conninfo.make_conninfo("", **{**_DEFAULTS, **self._where}))

    def connect(self, *, writes: bool, ownership: Ownership | None = None) -> PostgreSQLConnection:
        lease = ownership if isinstance(ownership, Lease) and writes else None
        with self.driver_errors():
            return PostgreSQLConnection(self.open, self.names(), lease)

    @contextmanager
    def driver_errors(self) -> Generator[None]:
        """The driver's errors as ours; those of opening a connection mean that there is none."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            lost = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
            raise translated(error, lost=lost) from error

    def names(self) -> Names:
        """What its sessions call each other by. Raises: UserError `store-unsupported`; psycopg.Error."""
        if self._known is None:
            with self.open() as raw:
                found = raw.execute(_ABOUT).fetchone()
            assert found is not None
            version, encoding, schema = found
            if version < OLDEST:
                raise self._unsupported(f"is PostgreSQL {version}", f"Orchestrion needs PostgreSQL {OLDEST} or newer.")
            if encoding != "UTF8":
                raise self._unsupported(
                    f"stores text as {encoding}", "Create one with `create database … encoding 'UTF8'`."
                )
            if schema is None:
                raise self._unsupported("has no schema to keep tables in", "Create the schema its search_path names.")
            self._known = Names(schema=schema)
        return self._known

    def _unsupported(self, what: str, hint: str) -> UserError:
        return UserError("store-unsupported", f"The database {self.place!r} {what}.", hint=hint)

    # --- tables ---

    def revision(self) -> str | None:
        with self.driver_errors(), self.open() as raw:
            return self.revision_on(raw)

    def revision_on(self, raw: "psycopg.Connection[tuple[Any, ...]]") -> str | None:
        tables = {name for (name,) in raw.execute(_TABLES)}
        if not tables:
            return None
        row = raw.execute("select version_num from alembic_version").fetchone() if "alembic_version" in tables else None
        if row is None or "runs" not in tables:
            raise UserError(
                "store-not-a-database",
                f"{self.place!r} holds other tables than Orchestrion's.",
                hint="Give Orchestrion a database or a schema of its own.",
            )
        return str(row[0])

    def own(self) -> Ownership:
        with self.driver_errors():
            self._prepare()
            return Lease.take(self.open, self.names(), self._clock, place=self.place)

    def _prepare(self) -> None:
        """Create the tables if there are none, in one transaction."""
        dialect = postgresql.dialect()
        with self.open() as raw, raw.transaction():
            raw.execute("select pg_advisory_xact_lock($1)", (self.names().preparing,))
            if self.revision_on(raw) is not None:
                return
            for table in metadata.sorted_tables:
                raw.execute(str(CreateTable(table).compile(dialect=dialect)).encode())
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    raw.execute(str(CreateIndex(index).compile(dialect=dialect)).encode())
            raw.execute(WORDS_INDEX.encode())
            raw.execute(
                "create table alembic_version (version_num varchar(32) constraint alembic_version_pkc primary key)"
            )
            raw.execute("insert into alembic_version values ($1)", (REVISIONS[-1],))

    @property
    def unhurried(self) -> Sequence[str]:
        names = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
        return [f"select set_config(name, '0', false) from pg_settings where name = '{name}'" for name in names]  # noqa: S608

    def renumbered(self, tables: Sequence[Table]) -> Sequence[str]:
        return [
            f"select setval(pg_get_serial_sequence('{table.name}', '{column.name}'), max({column.name})) "  # noqa: S608
            f"from {table.name} having max({column.name}) is not null"
            for table in tables
            if (column := table.autoincrement_column) is not None
        ]

    def leader(self, connection: Connection) -> str | None:
        row = connection.execute(
            "select holder from leader where name = 'engine' and expires_at > extract(epoch from clock_timestamp())"
        ).fetchone()
        return None if row is None else str(row[0])

    # --- errors ---

    @contextmanager
    def explained(self) -> Generator[None]:
        try:
            yield
        except PostgreSQLError as error:
            failure = self.explain(error)
            if isinstance(failure, TransientError):  # opening is not tried again by itself
                failure = UserError(failure.code, failure.message, hint=failure.hint)
            raise failure from error

    def is_row_error(self, error: BaseException) -> bool:
        if isinstance(error, PostgreSQLError):
            return error.is_row_error
        return isinstance(error, UnicodeError | OverflowError)

    def is_passing(self, error: BaseException) -> bool:
        return isinstance(error, PostgreSQLError) and error.is_passing

    def is_lost(self, error: BaseException) -> bool:
        return isinstance(error, PostgreSQLError) and error.is_lost

    def explain(self, error: BaseException) -> OrchestrionError:
        assert isinstance(error, PostgreSQLError)
        return error.explained(self.place)
