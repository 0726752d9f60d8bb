"""Bodies of requests, checked; bodies of responses, for OpenAPI. The fields are those of the command line's JSON."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.where_schema import Where

Mode = Literal["hybrid", "dense", "lexical"]
Name = Field(min_length=1, max_length=128)


class Body(BaseModel):
    """A request; an unknown field is an error, so nothing is silently ignored (a principal least of all)."""

    model_config = ConfigDict(extra="forbid")


AskedRelease = Annotated[
    str | None,
    Field(min_length=1, max_length=64, description="Ask this one in place of the live one; takes a curator's key."),
]


class SearchRequest(Body):
    query: str = Field(min_length=1)
    collection: str = Name
    top_k: int = Field(10, ge=1, le=1000)
    mode: Mode = "hybrid"
    where: Where | None = None
    release: AskedRelease = None


class Turn(Body):
    """One earlier message of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class AskRequest(Body):
    question: str = Field(min_length=1)
    collection: str = Name
    generator: str | None = Field(None, description="extractive, openai or gguf; the server's default if null")
    history: list[Turn] = Field(default=[], max_length=100)
    stream: bool = Field(False, description="Answer with server-sent events.")
    release: AskedRelease = None


class ChatPart(BaseModel):
    type: str
    text: str = ""


class ChatMessage(BaseModel):
    role: str
    content: str | list[ChatPart] | None = None


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """OpenAI's body. Sampling options and whatever else clients send are accepted and have no effect."""

    model: str = Field(min_length=1, max_length=128, description="A collection's name.")
    messages: list[ChatMessage] = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None


class AclBody(Body):
    allow: list[str]
    deny: list[str] = []


class AclChange(Body):
    acl: AclBody | None = Field(description="Who may read from now on; null for what the document's source says.")


class DocumentRequest(Body):
    collection: str = Name
    document_id: str = Field(min_length=1, max_length=1000)
    text: str = Field(min_length=1)
    acl: AclBody
    title: str = ""
    format: str = Field("md", max_length=20)
    metadata: dict[str, Any] = {}


class IngestedDocument(Body):
    """One document of an ingestion: `text`, or `content_base64` for the bytes of any supported format."""

    document_id: str = Field(min_length=1, max_length=1000)
    acl: AclBody
    text: str | None = Field(None, min_length=1)
    content_base64: str | None = Field(None, min_length=1)
    title: str = ""
    format: str = Field("md", max_length=20)
    metadata: dict[str, Any] = {}

    @model_validator(mode="after")
    def _has_one_content(self) -> IngestedDocument:
        if (self.text is None) == (self.content_base64 is None):
            raise ValueError("give either text or content_base64")
        if self.content_base64 is not None:
            try:
                base64.b64decode(self.content_base64, validate=True)
            except ValueError as error:
                raise ValueError("content_base64 is not base64") from error
        return self


class IngestionRequest(Body):
    collection: str = Name
    documents: list[IngestedDocument] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _ids_differ(self) -> IngestionRequest:
        ids = [document.document_id for document in self.documents]
        if len(set(ids)) < len(ids):
            raise ValueError("two documents have the same document_id")
        return self


class IngestionResponse(BaseModel):
    id: str
    collection: str
    status: Literal["queued", "running", "done", "failed"]
    created: str
    ended: str | None
    report: dict[str, Any] | None
    error: dict[str, str] | None


class HitBody(BaseModel):
    rank: int
    score: float
    document_id: str
    chunk_id: str
    uri: str
    title: str
    text: str
    start: int
    end: int
    metadata: dict[str, Any]


class PlanBody(BaseModel):
    """How vectors were searched. Readers are told the number of their own chunks alone."""

    readable: int = Field(description="Chunks that the principal may read and that pass `where`.")
    name: str | None = Field(None, description="The backend's word for what it did; to administrators.")
    scanned: int | None = Field(
        None, description="Chunks whose score was computed, -1 if the backend does not say; to administrators."
    )


class SearchResponse(BaseModel):
    query: str
    collection: str
    principal: str
    build: str
    hits: list[HitBody]
    timings_ms: dict[str, float]
    plan: PlanBody | None = Field(description="Null where no vectors were searched: in lexical mode.")


class SentenceBody(BaseModel):
    text: str
    citations: list[int]
    supported: bool
    support: float


class CitationBody(BaseModel):
    marker: int
    document_id: str
    chunk_id: str
    uri: str
    quote: str
    start: int
    end: int


class AskResponse(BaseModel):
    question: str
    answer: str
    abstained: bool
    release: str
    sentences: list[SentenceBody]
    citations: list[CitationBody]
    usage: dict[str, int]
    timings_ms: dict[str, float]


class DocumentResponse(BaseModel):
    document_id: str
    uri: str
    title: str
    format: str
    metadata: dict[str, Any]
    content_hash: str
    chunks: int


class DocumentsResponse(BaseModel):
    documents: list[DocumentResponse]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class ReleasesResponse(BaseModel):
    releases: list[dict[str, Any]]


class ReleaseRequest(Body):
    collection: str = Name
    base: str = Field("live", min_length=1, max_length=64, description="What it is but for what is given.")
    index: dict[str, Any] = Field({}, description="chunk_tokens, chunk_overlap, embedder, vector_index, lexical_index")
    retrieval: dict[str, Any] = Field({}, description="passages, candidates, dense_weight, rerank, ...")
    prompt: str | None = Field(None, max_length=128, description="NAME@VERSION")
    generator: str | None = None
    generation: dict[str, Any] = Field({}, description="model, max_answer_tokens")


class PromoteRequest(Body):
    collection: str = Name
    dataset: str | None = Field(None, description="NAME@VERSION: the gate on this one counts alone.")
    force: bool = Field(False, description="Without a gate; takes a reason, and an administrator's key.")
    reason: str = Field("", max_length=1000)


class RollbackRequest(Body):
    collection: str = Name
    reason: str = Field(min_length=1, max_length=1000)
    to: str | None = Field(None, max_length=64, description="A release that was live once.")


class ErasureRequest(Body):
    document: str | None = Field(None, min_length=1, max_length=2000, description="Its id or its uri; or")
    subject: str | None = Field(None, min_length=1, max_length=200, description="user:x, agent:x or service:x.")
    collection: str | None = Field(None, min_length=1, max_length=128, description="Look for the document here alone.")


class CitedChunk(BaseModel):
    """A citation as `/v1/ask` shows it; its chunk alone is looked at."""

    model_config = ConfigDict(extra="allow")

    chunk_id: str = Field(min_length=1, max_length=64)


ChunkId = Annotated[str, Field(min_length=1, max_length=64)]
DocumentId = Annotated[str, Field(min_length=1, max_length=1000)]


class FeedbackRequest(Body):
    """An answer as `/v1/ask` gave it (question, answer, release, citations), and what one thinks of it."""

    collection: str = Name
    question: str = Field(min_length=1)
    answer: str = Field("", max_length=40_000)
    release: str = Field(min_length=1, max_length=64)
    citations: list[CitedChunk | ChunkId] = Field(
        [], max_length=200, description="As `/v1/ask` shows them, or chunk ids."
    )
    rating: Literal["up", "down", 1, 2, 3, 4, 5] = Field(description="5 is best.")
    comment: str = Field("", max_length=4_000)
    correction: str = Field("", max_length=20_000, description="What the right answer is.")
    correct_document_ids: list[DocumentId] = Field([], max_length=100, description="Where it stands.")
    answerable: bool | None = Field(None, description="False where the right answer is to abstain.")


class RatedChunk(BaseModel):
    chunk_id: str
    document_id: str


class RatingResponse(BaseModel):
    id: str
    collection: str
    principal: str
    actor: str | None = Field(description="The administrator who rated in the principal's name.")
    rating: str | int
    question: str
    answer: str | None = Field(description="Null where it cites what one may not read now.")
    answer_id: str | None = Field(
        description="The same for all who got this answer to this question from this release."
    )
    release: str
    citations: list[RatedChunk]
    comment: str
    correction: str
    correct_document_ids: list[str]
    answerable: bool | None
    created: str


class FeedbackPage(BaseModel):
    ratings: list[RatingResponse]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class AuditResponse(BaseModel):
    events: list[dict[str, Any]]
    next: int | None = Field(description="Give it as `after` for the next page; null on the last.")


def for_editor(report: dict[str, Any], *, known: bool) -> dict[str, Any]:
    """Return an ingestion's report without what would tell an editor of documents that it may not read.

    Whether a text had to be embedded, or repeats another one, says whether somebody else has that very text; whether a
    document was there before says that it exists.

    Args:
        known: the editor could read what was replaced, so it may know what became of it; else all counts as added.
    """
    hidden = {"duplicates", "stages", "chunks"}
    shown = {name: value for name, value in report.items() if name not in hidden}
    if known:
        return shown | {"chunks": {name: report["chunks"][name] for name in ("added", "removed")}}
    counts = report["documents"]
    accepted = sum(counts[name] for name in ("added", "updated", "unchanged"))
    new = {"added": accepted, "updated": 0, "unchanged": 0, "deleted": 0, "quarantined": counts["quarantined"]}
    return shown | {"documents": new}
