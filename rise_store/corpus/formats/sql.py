"""SQL: the rows of a query, through SQLAlchemy (extra `sql`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from rise_store.corpus.arrow_rows import require_distinct
from rise_store.corpus.extras import require_extra
from rise_store.corpus.plain_values import plain_value
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError
from rise_store.records import RowOrigin, SourceManifest

ROWS_A_FETCH = 64


class SqlQuery:
    """The rows of a query, which are streamed where the driver can. A `Source` and a `TableSource`.

    Changes that the query makes are rolled back where the database can. Rows come in the order that the database gives,
    the same each time only with ORDER BY. User, password and options of the address stand in no name and no message.
    """

    total_bytes: int | None = None
    bytes_read = 0

    def __init__(self, url: str, query: str) -> None:
        """Raises `InputError` for an address or query that is none, a missing package, and no connection."""
        sqlalchemy = require_extra("sqlalchemy", "sql", "--sql")
        try:
            address = sqlalchemy.engine.make_url(url)
        except (sqlalchemy.exc.ArgumentError, ValueError):
            raise InputError(
                "the SQL address cannot be read; expected one of SQLAlchemy, such as postgresql://user:password@host/db"
            ) from None
        self._query = query.strip().rstrip("; \n")
        if not self._query:
            raise InputError("the SQL query is empty; give a SELECT with --query")
        self._sqlalchemy = sqlalchemy
        self._secrets = _secrets(address)
        shown = sqlalchemy.engine.URL.create(
            address.drivername, host=address.host, port=address.port, database=address.database
        )
        self.name: str = shown.render_as_string()
        self.columns: tuple[str, ...] | None = None
        if address.get_backend_name() == "sqlite":
            _require_file(address.database, self.name)
        with self._explained():
            self._engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.pool.NullPool)
            with self._engine.connect():
                pass

    def manifest(self) -> SourceManifest:
        """The address and the query; what the rows are can be told only by reading them."""
        return SourceManifest(uri=f"{self.name} {' '.join(self._query.split())}", format="sql")

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        # a colon would begin a parameter, of which there are none
        statement = self._sqlalchemy.text(self._query.replace(":", r"\:"))
        with self._explained(), self._engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=ROWS_A_FETCH)
            with streaming.execute(statement) as result:
                if not result.returns_rows:
                    raise InputError(f"{self.name}: the query gives no rows; give a SELECT with --query")
                columns = self.columns = require_distinct(tuple(result.keys()), self.name)
                for number, values in enumerate(result, 1):
                    fields = dict(zip(columns, map(plain_value, values), strict=True))
                    yield RawRow(fields, RowOrigin(file=self.name, row=number), f"{self.name}:{number}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Says in one line, without secrets, what went wrong: drivers like to repeat the address."""
        try:
            yield
        except InputError:
            raise
        except ModuleNotFoundError as error:
            package = _PACKAGES.get(error.name or "", error.name)
            raise InputError(f"{self.name}: needs the driver {error.name}: pip install {package}") from None
        except self._sqlalchemy.exc.NoSuchModuleError:
            raise InputError(
                f"{self.name}: SQLAlchemy knows no such database; check the beginning of the address, or install the "
                "package that brings it"
            ) from None
        except Exception as error:  # a driver's own errors need not be SQLAlchemy's
            reason = str(getattr(error, "orig", None) or error)
            for secret in self._secrets:
                reason = reason.replace(secret, "***")
            reason = " ".join(reason.split())[:300].rstrip(".") or type(error).__name__
            raise InputError(f"{self.name}: {reason}; check the address and the query") from None


_PACKAGES = {
    "psycopg2": "psycopg2-binary",
    "psycopg": "'psycopg[binary]'",
    "MySQLdb": "mysqlclient",
}
"""Where the name to install is not that of the module."""


def _secrets(address: Any) -> tuple[str, ...]:
    """What of the address may not be said, longest first."""
    values = [str(address.password or ""), str(address.username or "")]
    for value in address.query.values():
        values += [value] if isinstance(value, str) else value
    forms = {form for value in values if value for form in (value, quote(value, safe=""), quote_plus(value))}
    return tuple(sorted(forms, key=len, reverse=True))


def _require_file(database: str | None, name: str) -> None:
    """Refuse a file that is not there, which SQLite would make."""
    if database and not database.startswith((":", "file:")) and not Path(database).is_file():
        raise InputError(f"{name}: no such file; check the path")
