"""The catalog's tables, one set a tenant (SQLAlchemy Core, so that another database is a URL away)."""

from __future__ import annotations

import sqlalchemy
from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, LargeBinary, MetaData, Table

String = sqlalchemy.String().with_variant(sqlalchemy.String(collation="C"), "postgresql")
"""Ordered by code point in every database, whatever its locale."""
Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
Integer = sqlalchemy.Integer().with_variant(BigInteger(), "postgresql")
"""Eight bytes in every database; in SQLite the name makes it the key of the rows."""

SCHEMA_VERSION = 5

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
    Column("cut", String, comment="how the texts in `chunks` are cut: a chunker's name"),
    Column(
        "governed", Integer, comment="1 once a release was promoted: from then on ingestions keep the live settings"
    ),
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
    Column("source_hash", String, nullable=False, comment="of the raw item"),
    Column(
        "mark", String, nullable=False, default="", comment="the item's version mark in its source; empty where unknown"
    ),
    Column("recipe", String, nullable=False, default="", comment="how item became text: another recipe, another look"),
    Column("parser", String, nullable=False, default="", comment="parser with its libraries' versions"),
    Column("parent", String, comment="document id of what it was attached to"),
    Column("pii", JSON, comment="type, start and end of what was found; never the value"),
    Column("class_id", Integer, ForeignKey("acl_classes.class_id"), nullable=False, comment="what its source says"),
    Column("rule", String, nullable=False, default="", comment="what in the source decided that"),
    Column(
        "text_hash", String, nullable=False, default="", comment="sha256 of the text alone; equal ones are duplicates"
    ),
    Column("text", Text, nullable=False),
    Column("ingested", String, nullable=False),
)
Index("documents_by_uri", documents.c.collection, documents.c.uri)
Index("documents_by_parent", documents.c.collection, documents.c.parent)
Index("documents_by_source_hash", documents.c.collection, documents.c.source_hash)

rights = Table(
    "rights",
    metadata,
    Column("collection", String, primary_key=True),
    Column("document_id", String, primary_key=True),
    Column("path", String, nullable=False),
    Column("source_class", Integer, nullable=False, comment="what its source says"),
    Column("class_id", Integer, nullable=False, comment="what holds: the source's, changed by acl_rules; -1 withdrawn"),
    Column("epoch", Integer, nullable=False, comment="of the collection when this changed last"),
    sqlite_with_rowid=False,
    comment="narrow, so that an edit over a hundred thousand documents rewrites no text",
)

Index(
    "rights_withdrawn", rights.c.collection, rights.c.document_id,
    sqlite_where=rights.c.class_id == -1, postgresql_where=rights.c.class_id == -1,
)  # fmt: skip

acl_rules = Table(
    "acl_rules",
    metadata,
    Column("rule_id", Integer, primary_key=True),
    Column("collection", String, nullable=False),
    Column("path", String, comment="pattern as in acl.yaml; null where it is for one document"),
    Column("document_id", String),
    Column("allow", JSON(none_as_null=True), comment="null: the rule only denies"),
    Column("deny", JSON, nullable=False),
    Column("created", String, nullable=False),
    Column("by", String, nullable=False, comment="subject of who set it; empty for the command line's operator"),
)

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

cut_chunks = Table(
    "cut_chunks",
    metadata,
    Column("collection", String, primary_key=True),
    Column("cut", String, primary_key=True, comment="a chunker's name, never that of `collections.cut`"),
    *(
        Column(c.name, c.type, primary_key=c.name == "chunk_id", nullable=False)
        for c in chunks.c
        if c.name != "collection"
    ),
    comment="the same documents cut in other ways, for releases that are not live",
)
Index("cut_chunks_by_chunk", cut_chunks.c.collection, cut_chunks.c.chunk_id)
Index("cut_chunks_by_document", cut_chunks.c.collection, cut_chunks.c.document_id)

text_uses = Table(
    "text_uses",
    metadata,
    Column("text_hash", String, primary_key=True, comment="of an embedding text, under any chunk size there ever was"),
    Column("collection", String, primary_key=True),
    Column("document_id", String, primary_key=True),
)
Index("text_uses_by_document", text_uses.c.collection, text_uses.c.document_id)

signatures = Table(
    "signatures",
    metadata,
    Column("collection", String, primary_key=True),
    Column("document_id", String, primary_key=True),
    Column("signature", LargeBinary, nullable=False, comment="MinHash of the text"),
)

bands = Table(
    "bands",
    metadata,
    Column("collection", String, primary_key=True),
    Column("band", LargeBinary, primary_key=True, comment="documents that share one may be near-duplicates"),
    Column("document_id", String, primary_key=True),
)
Index("bands_by_document", bands.c.collection, bands.c.document_id)

duplicates = Table(
    "duplicates",
    metadata,
    Column("collection", String, primary_key=True),
    Column("document_id", String, primary_key=True),
    Column("of", String, nullable=False, comment="the first of those with this text, by document id"),
    Column("similarity", Float, nullable=False, comment="1 for equal texts, else estimated Jaccard"),
)

sources = Table(
    "sources",
    metadata,
    Column("collection", String, primary_key=True),
    Column("name", String, primary_key=True, comment="identity of the source"),
    Column("spec", JSON, nullable=False, comment="how it was opened, under which rights and contract"),
    Column("ingested", String, nullable=False),
)

ingestions = Table(
    "ingestions",
    metadata,
    Column("id", String, primary_key=True),
    Column("collection", String, nullable=False),
    Column("subject", String, nullable=False, comment="who asked for it, and who may see how it went"),
    Column("status", String, nullable=False),
    Column("created", String, nullable=False),
    Column("ended", String),
    Column("report", JSON),
    Column("error", JSON),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("collection", String, primary_key=True),
    Column("uri", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("document_id", String, nullable=False),
    Column("source_hash", String, nullable=False),
    Column("mark", String, nullable=False, default=""),
    Column("recipe", String, nullable=False, default=""),
    Column("parent", String),
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
    Column("recipe", JSON, comment="the settings that it was made with"),
    Column("corpus", String, comment="digest of the documents that it is of"),
    Column("gone", Integer, comment="1: its files are not kept, so it cannot go live"),
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
    Column("gate", JSON(none_as_null=True), comment="the record that let it ship"),
    Column("prompt_hash", String),
    Column("generation", JSON, comment="settings of the generator"),
)

release_history = Table(
    "release_history",
    metadata,
    Column("seq", Integer, primary_key=True, comment="grows"),
    Column("collection", String, ForeignKey("collections.name"), nullable=False),
    Column("release_id", String, nullable=False, comment="what went live"),
    Column("previous", String, comment="what was live before"),
    Column("kind", String, nullable=False, comment="ingest, promote, force or rollback"),
    Column("at", String, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("gate", JSON(none_as_null=True)),
)
Index("release_history_by_collection", release_history.c.collection, release_history.c.seq)

gate_records = Table(
    "gate_records",
    metadata,
    Column("seq", Integer, primary_key=True, comment="grows"),
    Column("collection", String, ForeignKey("collections.name"), nullable=False),
    *(Column(name, String, nullable=False) for name in ("candidate", "baseline", "dataset", "verdict", "created")),
    *(Column(name, String, nullable=False) for name in ("gates", "report")),
)
Index("gate_records_by_candidate", gate_records.c.collection, gate_records.c.candidate)

feedback = Table(
    "feedback",
    metadata,
    Column("seq", Integer, primary_key=True, comment="grows; never shown, for its gaps tell of other people's ratings"),
    Column("id", String, nullable=False, unique=True),
    Column("collection", String, nullable=False),
    Column("subject", String, nullable=False, comment="who rated"),
    Column("groups", JSON, nullable=False, comment="of the subject, on that day"),
    Column("actor", String, comment="the administrator who rated in the subject's name"),
    Column("rating", String, nullable=False, comment="up, down or 1 to 5"),
    *(Column(name, Text, nullable=False) for name in ("question", "answer", "comment", "correction")),
    Column("release", String, nullable=False),
    Column("citations", JSON, nullable=False, comment="pairs of chunk id and document id"),
    Column("correct_document_ids", JSON, nullable=False),
    Column("answerable", Boolean, comment="false: the right answer is to abstain; null: not said"),
    Column("created", String, nullable=False),
)
Index("feedback_by_collection", feedback.c.collection, feedback.c.seq)
Index("feedback_by_subject", feedback.c.subject, feedback.c.seq)

evaluations = Table(
    "evaluations",
    metadata,
    Column("seq", Integer, primary_key=True, comment="grows"),
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False, comment="gate or run"),
    Column("collection", String, nullable=False),
    Column("subject", String, nullable=False, comment="who asked for it; operator for the command line's"),
    Column("status", String, nullable=False, comment="queued, running, done, failed or cancelled"),
    Column("asked", JSON, nullable=False, comment="releases and options, without the questions"),
    Column("created", String, nullable=False),
    Column("ended", String),
    Column("summary", JSON(none_as_null=True), comment="of the report: verdict and reasons, or the counts"),
    Column("error", JSON(none_as_null=True)),
)
Index("evaluations_by_collection", evaluations.c.collection, evaluations.c.seq)

embeddings = Table(
    "embeddings",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("text_hash", String, primary_key=True),
    Column("vector", LargeBinary, nullable=False, comment="float32, little-endian"),
)

# -- memory: times are microseconds since 1970, UTC ----------------------------------------------------------------------

memory_items = Table(
    "memory_items",
    metadata,
    Column("seq", Integer, primary_key=True, comment="grows, never used again"),
    Column("id", String, nullable=False, comment="of the item; its versions share it"),
    Column("class_id", Integer, nullable=False, comment="ACL class of its scope: who may read it"),
    Column("scope", String, nullable=False, comment="user, session, agent:NAME, team:NAME or tenant"),
    Column("kind", String, nullable=False, comment="episode, fact or profile"),
    Column("text", Text, nullable=False),
    *(Column(name, String, nullable=False, default="") for name in ("speaker", "role", "session")),
    *(
        Column(name, String, nullable=False, default="", comment="of facts")
        for name in ("subject", "relation", "relation_key", "value")
    ),
    *(
        Column(name, Boolean, nullable=False, default=False, comment="of facts")
        for name in ("negated", "single", "event")
    ),
    Column("time", BigInteger, nullable=False, comment="when it happened; of facts, that of the newest source"),
    Column("recorded", BigInteger, nullable=False, comment="when memory knew it: as it was said, or changed by hand"),
    Column("stored", BigInteger, nullable=False, comment="when this row was written"),
    Column("retired", BigInteger, comment="when memory stopped to say so"),
    Column("valid_from", BigInteger),
    Column("valid_to", BigInteger),
    Column("closed", BigInteger, comment="when memory learned of valid_to from something newer"),
    *(Column(name, Float, nullable=False) for name in ("trust", "importance", "confidence")),
    Column("metadata", JSON, nullable=False),
    Column("conflicts", JSON, nullable=False, comment="ids of items that say otherwise, undecided"),
    Column("reinforced", Integer, nullable=False, default=0, comment="how often it was said again"),
    Column("recalled", BigInteger, comment="when it was last recalled"),
    Column("by", String, nullable=False, comment="subject of who had it remembered or shared"),
    Column("shared_from", String, comment="id of the item that this is a copy of"),
    Column("changed", Integer, nullable=False, comment="epoch of its class at its last change"),
    sqlite_autoincrement=True,
)
Index(
    "memory_items_now", memory_items.c.id, unique=True,
    sqlite_where=memory_items.c.retired.is_(None), postgresql_where=memory_items.c.retired.is_(None),
)  # fmt: skip
Index("memory_items_by_id", memory_items.c.id)
Index("memory_items_by_change", memory_items.c.class_id, memory_items.c.changed)
Index("memory_items_by_session", memory_items.c.class_id, memory_items.c.session)
Index("memory_items_by_subject", memory_items.c.class_id, memory_items.c.subject, memory_items.c.relation_key)
Index("memory_items_by_origin", memory_items.c.shared_from)

memory_vectors = Table(
    "memory_vectors",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model_id", String, nullable=False),
    Column("vector", LargeBinary, nullable=False, comment="float32, little-endian"),
    Column("terms", LargeBinary, nullable=False, comment="uint32 digests of its terms, in order"),
    comment="what is searched; apart, so that a changed validity rewrites none of it",
)

memory_sources = Table(
    "memory_sources",
    metadata,
    Column("item_id", String, primary_key=True, comment="of a fact or a profile entry"),
    Column("episode_id", String, primary_key=True),
    sqlite_with_rowid=False,
)
Index("memory_sources_by_episode", memory_sources.c.episode_id)

memory_classes = Table(
    "memory_classes",
    metadata,
    Column("class_id", Integer, primary_key=True),
    Column("epoch", Integer, nullable=False, comment="grows with every change of its items"),
    Column("gone", Integer, nullable=False, comment="epoch of the last one that deleted rows"),
    comment="the ACL classes that hold memory",
)

memory_pending = Table(
    "memory_pending",
    metadata,
    Column("seq", Integer, primary_key=True, comment="of an episode from which no facts were derived yet"),
    Column("attempts", Integer, nullable=False, default=0),
    Column("error", String, nullable=False, default=""),
)

memory_events = Table(
    "memory_events",
    metadata,
    Column("seq", Integer, primary_key=True, comment="grows"),
    Column("event_id", String, nullable=False, comment="of a decision; it may touch several items, each has a row"),
    Column("item_id", String, nullable=False),
    Column("action", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", String, nullable=False, comment="subject, or auto"),
    Column("reason", String, nullable=False),
    Column("before", JSON(none_as_null=True), comment="the columns that changed, as they were; null: the item is new"),
    Column("undone", BigInteger),
    sqlite_autoincrement=True,
    comment="what was decided about items, so that it can be undone; goes with its item",
)
Index("memory_events_by_event", memory_events.c.event_id)
Index("memory_events_by_item", memory_events.c.item_id, memory_events.c.seq)

memory_writers = Table(
    "memory_writers",
    metadata,
    Column("scope", String, primary_key=True),
    Column("name", String, primary_key=True, comment="a subject or a group that may write there"),
    comment="granted by hand, above what follows from a scope",
)

# -- staging: what an ingestion prepares before its commit, in a database of its own that is attached as `staged` --------

staged = MetaData(schema="staged")


def _copy(table: Table) -> Table:
    return Table(table.name, staged, *(Column(c.name, c.type, primary_key=c.primary_key) for c in table.columns))


MOVED = (documents, chunks, text_uses, signatures, bands, quarantine)
"""Tables whose staged rows are moved over as they are."""

staged_documents, staged_chunks, staged_text_uses, staged_signatures, staged_bands, staged_quarantine = map(
    _copy, MOVED
)
staged_embeddings = _copy(embeddings)

staged_seen = Table("seen", staged, Column("document_id", String, primary_key=True))

staged_gone = Table(
    "gone",
    staged,
    Column("document_id", String, primary_key=True),
    Column("replaced", Boolean, nullable=False, comment="another version takes its place"),
    Column("same_text", Boolean, nullable=False, comment="what was embedded of it stays known"),
)

staged_touched = Table(
    "touched",
    staged,
    Column("document_id", String, primary_key=True),
    Column("source", String),
    Column("path", String),
    Column("uri", String),
    Column("mark", String),
    Column("class_id", Integer),
    Column("rule", String),
    Column("served", Boolean, comment="something that a search shows or filters by has changed"),
)
