"""The directory's tables, and how a file of the version before gets them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Connection, Engine, Index, Integer, MetaData, String, Table

from indexes.errors import IndexBackendError

SCHEMA_VERSION = 2
"""Kept in the file's `user_version`; the version before wrote none, hence 0."""

metadata = MetaData()

principals = Table(
    "principals",
    metadata,
    Column("name", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("active", Boolean, nullable=False),
    Index("principals_by_subject", "tenant", "subject"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("member", String, primary_key=True, comment="a subject or a group"),
    Column("group", String, primary_key=True),
    sqlite_with_rowid=False,  # the table is its own index: by tenant, then by member
)

generation = Table(
    "generation",
    metadata,
    Column("value", Integer, nullable=False, comment="one row; grows with each change of principals or memberships"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("secret_sha256", String(64), nullable=False),
    Column("principal", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("role", String, nullable=False),
    Column("label", String, nullable=False),
    Column("created", String, nullable=False),
    Column("revoked", String),
)


def prepare(engine: Engine) -> None:
    """Make the tables, or bring those of the version before up to date, in one transaction.

    Raises:
        IndexBackendError: the file was written by a later version.
    """
    with engine.connect() as db:
        if _version(db) == SCHEMA_VERSION:
            return
    with engine.begin() as db:
        db.exec_driver_sql("BEGIN IMMEDIATE")
        if _version(db) == SCHEMA_VERSION:  # another process came first
            return
        grown = db.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'principals'").scalar() is not None
        if grown:
            db.exec_driver_sql("ALTER TABLE principals RENAME TO principals_before")
        metadata.create_all(db)
        db.execute(generation.insert().values(value=1))
        if grown:
            _take_over(db)
        db.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _version(db: Connection) -> int:
    found = int(db.exec_driver_sql("PRAGMA user_version").scalar_one())
    if found > SCHEMA_VERSION:
        raise IndexBackendError(
            f"the directory has schema {found}, this version reads {SCHEMA_VERSION}: use the version that wrote it"
        )
    return found


def _take_over(db: Connection) -> None:
    """Move the rows of `principals_before`; the groups that stood in a column of theirs become memberships."""
    db.exec_driver_sql(
        "INSERT INTO principals (name, tenant, subject, active) SELECT name, tenant, subject, 1 FROM principals_before"
    )
    db.exec_driver_sql(
        'INSERT OR IGNORE INTO memberships (tenant, member, "group")'
        " SELECT tenant, subject, stated.value FROM principals_before, json_each(principals_before.groups) AS stated"
    )
    db.exec_driver_sql("DROP TABLE principals_before")
