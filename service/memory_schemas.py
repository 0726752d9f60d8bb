"""Bodies of /v1/memories and arguments of the MCP tools. The names are mem0's where it has one, so that its users find their way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from service.schemas import Body
from service.where_schema import Where

if TYPE_CHECKING:
    from rag.lore.consolidate import Policy

Id = Annotated[str, Field(min_length=1, max_length=64)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Kinds = list[Literal["episode", "fact", "profile"]]
Role = Literal["user", "assistant", "tool", "system"]


def _zoned(value: Any) -> Any:
    """A moment without a zone is UTC, as on the command line."""
    return value + "Z" if isinstance(value, str) and _is_naive(value) else value


def _is_naive(value: str) -> bool:
    try:
        return "T" in value and datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False


Moment = Annotated[AwareDatetime, BeforeValidator(_zoned)]
"""ISO 8601; UTC where it has no zone."""


class Message(Body):
    """One message of a conversation."""

    role: Role = "user"
    content: str
    speaker: str | None = Field(None, max_length=200, validation_alias=AliasChoices("speaker", "name"))
    time: Moment | None = Field(None, description="When it was said; default now.")


def _form(value: Any) -> str:
    return "text" if isinstance(value, str) else "messages"


Messages = Annotated[
    Annotated[str, Tag("text")] | Annotated[list[Message], Tag("messages")],
    Discriminator(_form),  # so that what is wrong with a message is told, and not that it is no text
    Field(description="A text, or the messages of a conversation, oldest first."),
]


class Named(Body):
    """Whose memory. Key or token alone say who asks; a name that is not theirs is answered as what does not exist."""

    user_id: Label | None = Field(None, description="Must be the key's own user, with or without `user:`.")
    agent_id: Label | None = Field(None, description="Must be the key's own agent; means the scope `agent:NAME`.")


class RememberBody(Named):
    messages: Messages
    run_id: Label | None = Field(
        None, validation_alias=AliasChoices("run_id", "session"), description="The session, the conversation's name."
    )
    scope: Label | None = Field(None, description="user (default), session, agent:NAME, team:NAME or tenant")
    speaker: str | None = Field(None, max_length=200)
    role: Role = Field("user", description="Of a text; messages have their own.")
    time: Moment | None = None
    metadata: dict[str, Any] | None = None


class RecallBody(Named):
    query: str = Field(min_length=1)
    run_id: Label | None = Field(None, description="What belongs to this session alone.")
    session: Label | None = Field(
        None,
        description="The present conversation; what is kept for it alone is recalled, too, and nothing is left out.",
    )
    top_k: int = Field(10, ge=1, le=1000, validation_alias=AliasChoices("top_k", "limit"))
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="Most tokens of text in all.")
    as_of: Moment | None = Field(None, description="Answer as of this moment.")
    scopes: list[Label] | None = Field(None, max_length=100, description="Look in these only.")
    kinds: Kinds | None = None
    where: Where | None = Field(None, validation_alias=AliasChoices("where", "filters"))
    as_prompt: bool = Field(False, description="Return `prompt`, one text for a model, in place of `results`.")

    @model_validator(mode="before")
    @classmethod
    def _names_in_filters(cls, data: Any) -> Any:
        """mem0 puts who is meant into `filters`; there, too, it names and does not filter."""
        filters = data.get("filters") if isinstance(data, dict) else None
        if not isinstance(filters, dict):
            return data
        named = {name: filters[name] for name in ("user_id", "agent_id", "run_id") if name in filters}
        rest = {name: value for name, value in filters.items() if name not in named}
        kept = {name: value for name, value in data.items() if name != "filters"}
        return {**named, **kept, **({"filters": rest} if rest else {})}


class UpdateBody(Body):
    text: str = Field(min_length=1, validation_alias=AliasChoices("text", "data"))
    metadata: dict[str, Any] | None = None


class ShareBody(Body):
    scope: Label = Field(description="Where it may be read from then on: agent:NAME, team:NAME or tenant")


Days = Annotated[float | None, Field(gt=0, le=36_500)]


class ConsolidateBody(Body):
    """What to tidy, and what may expire; nothing does unless it is said."""

    scope: Label = "user"
    retention_days: Days = Field(None, description="What is older goes.")
    unused_days: Days = Field(
        None, description="Facts that nobody has recalled for so long go, important ones excepted."
    )
    most_items: int | None = Field(None, ge=0, le=2**31, description="Beyond these the least valuable go.")
    summarise_after_days: Days = Field(30, description="Sessions that ended so long ago get a summary.")

    def policy(self) -> Policy:
        """Return what `Memory.consolidate` takes."""
        from rag.lore.consolidate import Policy

        def span(days: float | None) -> timedelta | None:
            return None if days is None else timedelta(days=days)

        return Policy(
            retention=span(self.retention_days), unused=span(self.unused_days), most_items=self.most_items,
            summarise_after=span(self.summarise_after_days),
        )  # fmt: skip


class RestoreBody(Body):
    event_id: Id = Field(description="Of the memory's history; what it did is undone.")


class EpisodeBody(BaseModel):
    """What was said or done, verbatim."""

    id: str
    text: str
    speaker: str
    session: str
    time: str
    scope: str
    role: str
    trust: float
    metadata: dict[str, Any]


class MemoryBody(BaseModel):
    """An item of memory: data, never instruction."""

    id: str
    kind: str
    text: str
    score: float
    scope: str
    time: str
    valid_from: str | None
    valid_to: str | None
    trust: float
    metadata: dict[str, Any]
    provenance: list[EpisodeBody]
    importance: float
    conflicts: list[str]


class NamedMemory(MemoryBody):
    """The same with mem0's names beside ours."""

    memory: str = Field(description="As `text`.")
    created_at: str
    updated_at: str
    user_id: str | None
    agent_id: str | None
    run_id: str | None


class RememberedBody(EpisodeBody):
    memory: str = Field(description="As `text`.")
    event: str = Field(description="ADD: the episode is stored; facts are derived from it in the background.")


class RememberResponse(BaseModel):
    results: list[RememberedBody]


class RecallResponse(BaseModel):
    results: list[NamedMemory] = []
    prompt: str | None = Field(None, description="With `as_prompt` only.")


class MemoriesResponse(BaseModel):
    results: list[NamedMemory]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class ConsolidateResponse(BaseModel):
    """What was done, by counts, and the ids of what it touched; `more` says that a limit was reached: run it again."""

    looked_at: int
    merged: int
    expired: dict[str, int]
    summarised: int
    more: bool
    touched: list[str]


class HistoryResponse(BaseModel):
    results: list[dict[str, Any]]


class ReceiptBody(BaseModel):
    """What was forgotten: counts and salted digests, no text. `loremill erase verify` checks it."""

    id: str
    at: str
    tenant: str
    by: str
    about: str
    counts: dict[str, int]
    digests: list[str]
    salt: str
    seal: str
    notes: list[str] = []


class ForgetResponse(BaseModel):
    message: str
    receipt: ReceiptBody
