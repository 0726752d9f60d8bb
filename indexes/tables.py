"""The catalog's tables, one set a tenant (SQLAlchemy Core, so that another database is a URL away)."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

SCHEMA_VERSION = 1

metadata = MetaData()

state = Table(
    "state",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

collections = Table(
    "collections",
    metadata,
    Column("name", String, primary_key=True),
    Column("created", String, nullable=False),
    Column("live", String, comment="release id"),
    Column("epoch", Integer, nullable=False, default=0, comment="grows with every change of rights or documents"),
)

acl_classes = Table(
    "acl_classes",
    metadata,
    Column("class_id", Integer, primary_key=True),
    Column("allow", JSON, nullable=False),
    Column("deny", JSON, nullable=False),
    Column("key", String, nullable=False, unique=True, comment="canonical text of the pair"),
)

documents = Table(
    "documents",
    metadata,
    Column("collection", String, ForeignKey("collections.name"), primary_key=True),
    Column("document_id", String, primary_key=True),
    Column("source", String, nullable=False, comment="identity of the source that owns it"),
    Column("path", String, nullable=False, comment="what acl.yaml rules match"),
    Column("uri", String, nullable=False),
    Column("title", String, nullable=False),
    Column("format", String, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("content_hash", String, nullable=False),
    Column("source_hash", String, nullable=False, comment="of the raw item and the parser's version"),
    Column("class_id", Integer, ForeignKey("acl_classes.class_id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("ingested", String, nullable=False),
)
Index("documents_by_uri", documents.c.collection, documents.c.uri)

chunks = Table(
    "chunks",
    metadata,
    Column("collection", String, primary_key=True),
    Column("chunk_id", String, primary_key=True),
    Column("document_id", String, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("headings", JSON, nullable=False),
    Column("text", Text, nullable=False),
    Column("embed_hash", String, nullable=False, comment="of the text that was embedded"),
)
Index("chunks_by_document", chunks.c.collection, chunks.c.document_id)
Index("chunks_by_embedding", chunks.c.embed_hash)

quarantine = Table(
    "quarantine",
    metadata,
    Column("collection", String, primary_key=True),
    Column("uri", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("document_id", String, nullable=False),
    Column("source_hash", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("error", String, nullable=False),
    Column("message", String, nullable=False),
    Column("at", String, nullable=False),
)

builds = Table(
    "builds",
    metadata,
    Column("collection", String, ForeignKey("collections.name"), primary_key=True),
    Column("build_id", String, primary_key=True),
    Column("manifest", JSON, nullable=False),
    Column("created", String, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("collection", String, ForeignKey("collections.name"), primary_key=True),
    Column("release_id", String, primary_key=True),
    Column("build_id", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("generator", String, nullable=False),
    Column("retrieval", JSON, nullable=False),
    Column("created", String, nullable=False),
    Column("gate", JSON),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("text_hash", String, primary_key=True),
    Column("vector", LargeBinary, nullable=False, comment="float32, little-endian"),
)
