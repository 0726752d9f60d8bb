"""What of an erased text is in a schema in PostgreSQL: in its values, and, where the server's files lie on this machine, in their bytes.

Values are read through SQL, since a long one is compressed and laid over several pages. Bytes are those of the schema's tables with their
TOAST tables and indexes, of `pg_statistic`, and of files in the database's folder that belong to no table, which a crash may leave. Those
of other schemas are other tenants'.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from indexes.catalog_backend import faults
from rag.raw_files import RawScan, Sighting, joined_values, pieces

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from rag.fingerprints import Finder

NOT_HERE: Final = "PostgreSQL: raw pages not scanned: the server's files are not on this machine"
_MAY_BE_OLDER: Final = "PostgreSQL: raw pages scanned as they are on the disk: this role may not write a checkpoint"
_ROWS: Final = 500
_FORBIDDEN: Final = "42501"
_FILE: Final = re.compile(r"(?:t\d+_)?(\d+)(?:_\w+)?(?:\.\d+)?")
"""A relation's number, its fork and segment."""

_COLUMNS: Final = """
SELECT c.relname, a.attname, t.typname = 'bytea' AS is_bytes FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AND c.relkind IN ('r', 'm')
  AND t.typcategory NOT IN ('B', 'D', 'N', 'T')
ORDER BY c.relname, a.attnum
"""
_RELATIONS: Final = """
WITH tables AS (
  SELECT oid, reltoastrelid FROM pg_class
  WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = ANY (%(schemas)s)) OR oid = 'pg_catalog.pg_statistic'::regclass
), stored AS (SELECT oid FROM tables UNION SELECT reltoastrelid FROM tables WHERE reltoastrelid <> 0)
SELECT pg_relation_filepath(oid) FROM stored WHERE pg_relation_filepath(oid) IS NOT NULL
UNION SELECT pg_relation_filepath(indexrelid) FROM pg_index WHERE indrelid IN (SELECT oid FROM stored)
"""


def scan_postgres(engine: Engine, schemas: Sequence[str], finder: Finder) -> RawScan:
    """Look for a receipt's fingerprints; `notes` say what could not be looked at. Cost: about 50 MB/s.

    Args:
        schemas: the tenant's own first, then those that its ingestions use.
    """
    found: list[Sighting] = []
    size = 0
    for schema in schemas:
        with faults("read"), engine.connect().execution_options(isolation_level="REPEATABLE READ") as db:
            for table, columns in _columns(db, schema).items():
                known: dict[str, int] = {}
                for part in joined_values(_values(db, schema, table, columns)):
                    size += len(part)
                    known |= finder.found([part], known=known)
                where = f"table {table}" if schema == schemas[0] else f"table {schema}.{table}"
                found += [Sighting("postgresql", where, digest) for digest in known]
    return RawScan(0, size, tuple(found), ()) + _scan_files(engine, schemas, finder)


def _columns(db: Connection, schema: str) -> dict[str, list[tuple[str, bool]]]:
    """Return the columns that can hold text, by table, each with whether it holds bytes."""
    columns: dict[str, list[tuple[str, bool]]] = {}
    for table, column, is_bytes in db.exec_driver_sql(_COLUMNS, {"schema": schema}):
        columns.setdefault(table, []).append((column, is_bytes))
    return columns


def _values(db: Connection, schema: str, table: str, columns: list[tuple[str, bool]]) -> Iterator[tuple[bytes, ...]]:
    """Yield every row, read in batches through a cursor of the server's."""
    quote = db.dialect.identifier_preparer.quote_identifier
    listed = ", ".join(quote(name) if is_bytes else f"{quote(name)}::text" for name, is_bytes in columns)
    query = f"SELECT {listed} FROM {quote(schema)}.{quote(table)}".replace("%", "%%")
    for row in db.execution_options(yield_per=_ROWS).exec_driver_sql(query):
        yield tuple(_bytes(value) for value in row if value is not None)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


# -- files ---------------------------------------------------------------------------------------------------------------


def _scan_files(engine: Engine, schemas: Sequence[str], finder: Finder) -> RawScan:
    with faults("read"), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        folder = server_folder(db)
        if folder is None:
            return RawScan(0, 0, (), (), (NOT_HERE,))
        notes = () if _checkpoint(db) else (_MAY_BE_OLDER,)
        paths = _files(db, schemas, folder)
    found: list[Sighting] = []
    unread: list[str] = []
    size = 0
    for path in paths:
        name = f"postgresql/{path.relative_to(folder).as_posix()}"
        try:
            found += [Sighting(name, f"byte {at}", each) for each, at in finder.found(pieces(path)).items()]
            size += path.stat().st_size
        except FileNotFoundError:  # written anew meanwhile
            continue
        except OSError as error:
            unread.append(f"{name}: {error.strerror}")
    return RawScan(len(paths), size, tuple(found), tuple(unread), notes)


def server_folder(db: Connection) -> Path | None:
    """Return the server's data directory, None where it cannot be read from here.

    A folder of that name on this machine may be another server's, so the number that each cluster has is compared.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        folder = Path(db.exec_driver_sql("SHOW data_directory").scalar_one())
        number = db.exec_driver_sql("SELECT system_identifier FROM pg_control_system()").scalar_one()
        with (folder / "global" / "pg_control").open("rb") as file:
            same = file.read(8) == struct.pack("=q", number)
        return folder if same and any((folder / "base").iterdir()) else None
    except (OSError, DBAPIError):
        return None


def _checkpoint(db: Connection) -> bool:
    """Have the server write what it has in memory; False where the role may not ask for it."""
    from sqlalchemy.exc import DBAPIError

    try:
        db.exec_driver_sql("CHECKPOINT")
        return True
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _FORBIDDEN:
            raise
        return False


def _files(db: Connection, schemas: Sequence[str], folder: Path) -> list[Path]:
    """Return the files of the schemas' relations and those of no relation, each segment and fork, by path."""
    own = {folder / path for path in db.exec_driver_sql(_RELATIONS, {"schemas": list(schemas)}).scalars()}
    taken = set(db.exec_driver_sql("SELECT pg_relation_filenode(oid) FROM pg_class").scalars())
    database = (
        folder
        / db.exec_driver_sql("SELECT 'base/' || oid FROM pg_database WHERE datname = current_database()").scalar_one()
    )
    found = []
    for place in {database, *(path.parent for path in own)}:
        for path in place.iterdir():
            match = _FILE.fullmatch(path.name)
            if match and (place / match[1] in own or int(match[1]) not in taken):
                found.append(path)
    return sorted(found)
