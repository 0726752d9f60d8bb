"""LangGraph's long-term store over memory: `LoremillStore(mill, principal=...)` wherever a `BaseStore` goes.

A value is an episode of the principal's memory whose text says what the value says, so that recall finds it by other doors, too; the value
itself, its namespace and key are the episode's metadata. Whoever holds the store reads and writes with the principal's rights and no others.

    namespace ("prefs", "food")        the store's scope, by default the principal's own
    namespace ("team:ops", "runbook")  a first label that is a scope (team:NAME, agent:NAME, tenant) means that scope

What an agent notes is no statement of its user: it has the role `assistant`, and rules derive no facts from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from indexes.errors import ConfigError, DependencyMissing
from indexes.vocabulary import digest
from rag.lore.items import MemoryItem

try:
    from langgraph.store.base import (
        BaseStore,
        GetOp,
        Item,
        ListNamespacesOp,
        MatchCondition,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        validate_op_namespace,
    )
    from langgraph.store.base.embed import get_text_at_path
except ImportError as error:
    raise DependencyMissing("langgraph", extra="langchain") from error

if TYPE_CHECKING:
    from indexes.vocabulary import Principal
    from rag.loremill import Loremill
    from rag.remote import RemoteLoremill

Namespace = tuple[str, ...]
Place = tuple[Namespace, str]
_PAGE = 1000
_MOST = 1000
"""A search by words looks at so many of the best, then filters by values."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A value as memory holds it."""

    item: MemoryItem

    @property
    def namespace(self) -> Namespace:
        return tuple(self.item.metadata["store_namespace"])

    @property
    def key(self) -> str:
        return str(self.item.metadata["store_key"])

    def fields(self) -> dict[str, Any]:
        known = self.item.metadata
        return {
            "namespace": self.namespace,
            "key": self.key,
            "value": known["store_value"],
            "created_at": known["store_created"],
            "updated_at": known["store_updated"],
        }


class LoremillStore(BaseStore):
    """A store of one principal.

    Args:
        mill: an open mill, or a client of a server.
        principal: whose rights hold; a server's client goes by its token.
        scope: of namespaces that name none: `user`, `agent:NAME`, `team:NAME` or `tenant`.
    Raises:
        ConfigError: the scope is `session`, which no store can have.
    """

    def __init__(self, mill: Loremill | RemoteLoremill, *, principal: Principal, scope: str = "user") -> None:
        if scope == "session":
            raise ConfigError("a store has no session; use the scope user, agent:NAME, team:NAME or tenant")
        self._memory: Any = mill.memory
        self._principal = principal
        self._scope = scope

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do all: what reads sees what was there before the batch; of several puts to one place the last counts."""
        asked = list(ops)
        puts: dict[Place, PutOp] = {}
        results: list[Result] = []
        for op in asked:
            validate_op_namespace(op)
            if isinstance(op, PutOp):
                puts[op.namespace, op.key] = op
                results.append(None)
            else:
                results.append(self._read(op))
        for op in puts.values():
            self._put(op)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`, in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _read(self, op: GetOp | SearchOp | ListNamespacesOp) -> Result:
        if isinstance(op, GetOp):
            there = self._find(op.namespace, op.key)
            return Item(**there[0].fields()) if there else None
        return self._search(op) if isinstance(op, SearchOp) else self._namespaces(op)

    def _find(self, namespace: Namespace, key: str) -> list[_Kept]:
        """Return what is kept at a place, oldest first: more than one only where two put there at the same time."""
        found = self._memory.list(
            principal=self._principal, scopes=[self._scope_of(namespace)], session=_session(namespace, key), limit=_PAGE
        )
        kept = [_Kept(item) for item in found if "store_value" in item.metadata]
        return [one for one in kept if (one.namespace, one.key) == (namespace, key)]

    def _put(self, op: PutOp) -> None:
        there = self._find(op.namespace, op.key)
        for kept in there if op.value is None else there[1:]:
            self._memory.forget(principal=self._principal, id=kept.item.id)
        if op.value is None:
            return
        kept_at = there[0].item if there else None
        now = datetime.now(UTC).isoformat()
        metadata = {
            "store_namespace": list(op.namespace),
            "store_prefixes": [".".join(op.namespace[: end + 1]) for end in range(len(op.namespace))],
            "store_key": op.key,
            "store_value": dict(op.value),
            "store_searched": op.index is not False,
            "store_created": now if kept_at is None else kept_at.metadata["store_created"],
            "store_updated": now,
        }
        text = _text(op) or op.key
        if kept_at is not None:
            self._memory.update(kept_at.id, text, principal=self._principal, metadata=metadata)
            return
        self._memory.remember(
            [{"role": "assistant", "content": text}], principal=self._principal, scope=self._scope_of(op.namespace),
            session=_session(op.namespace, op.key), metadata=metadata,
        )  # fmt: skip

    def _search(self, op: SearchOp) -> list[SearchItem]:
        """Return what is under the prefix and passes the filter: best first if there is a query, else in the order of its making."""
        if op.query and op.query.strip():
            within: dict[str, Any] = {"store_searched": True}
            if op.namespace_prefix:
                within["store_prefixes"] = ".".join(op.namespace_prefix)
            scopes = self._scopes(op.namespace_prefix)
            items = self._memory.recall(
                op.query, principal=self._principal, scopes=scopes, kinds=["episode"], where=within, top_k=_MOST
            )
            found: Iterator[_Kept] = map(_Kept, items)
            scored = True
        else:
            found, scored = self._all(op.namespace_prefix), False
        passing = [one for one in found if _passes(one.item.metadata["store_value"], op.filter or {})]
        return [
            SearchItem(**one.fields(), score=one.item.score if scored else None)
            for one in passing[op.offset : op.offset + op.limit]
        ]

    def _namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        matching = {
            one.namespace[: op.max_depth]
            for one in self._all(())
            if all(_matches(condition, one.namespace) for condition in op.match_conditions or ())
        }
        return sorted(matching)[op.offset : op.offset + op.limit]

    def _all(self, prefix: Namespace) -> Iterator[_Kept]:
        """Yield all values under a prefix, oldest first. Cost: reads every episode of the scopes."""
        after: str | None = None
        while True:
            page = self._memory.list(
                principal=self._principal, scopes=self._scopes(prefix), kinds=["episode"], limit=_PAGE, after=after
            )
            for item in page:
                if "store_value" in item.metadata and _Kept(item).namespace[: len(prefix)] == prefix:
                    yield _Kept(item)
            if len(page) < _PAGE:
                return
            after = page[-1].id

    def _scope_of(self, namespace: Namespace) -> str:
        return namespace[0] if _is_scope(namespace[0]) else self._scope

    def _scopes(self, prefix: Namespace) -> list[str] | None:
        """Return where to look for what is under a prefix: under none, wherever the principal may read."""
        return [self._scope_of(prefix)] if prefix else None


def _session(namespace: Namespace, key: str) -> str:
    """Return a place's own session, by which its value is found without a search."""
    return "store:" + digest(*namespace, "", key)[:32]


def _is_scope(label: str) -> bool:
    return label == "tenant" or label.startswith(("team:", "agent:"))


def _text(op: PutOp) -> str:
    """Return what a value says, to be searched: the fields that the put names, else every text and number in it, under its name."""
    assert op.value is not None
    if isinstance(op.index, list):
        return "\n".join(text for path in op.index for text in get_text_at_path(op.value, path))
    said = list(_leaves(op.value, ""))
    return said[0][1] if len(said) == 1 else "\n".join(f"{name}: {text}" for name, text in said)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, one in value.items():
            yield from _leaves(one, f"{name}.{inner}" if name else str(inner))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one, name)
    elif value is not None and str(value).strip():
        yield name, str(value)


def _passes(value: Any, wanted: Any) -> bool:
    """Return whether a value has what a filter asks, as LangGraph's own stores understand it."""
    if isinstance(wanted, Mapping) and any(str(name).startswith("$") for name in wanted):
        return all(_compares(value, str(name), operand) for name, operand in wanted.items())
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(_passes(value.get(name), one) for name, one in wanted.items())
    if isinstance(wanted, list | tuple):
        return isinstance(value, list | tuple) and len(value) == len(wanted) and all(map(_passes, value, wanted))
    return bool(value == wanted)


def _compares(value: Any, name: str, operand: Any) -> bool:
    if name in {"$eq", "$ne"}:
        return bool(value == operand) is (name == "$eq")
    if name not in {"$gt", "$gte", "$lt", "$lte"}:
        raise ConfigError(f"filter operator {name!r} is unknown: use $eq, $ne, $gt, $gte, $lt, $lte")
    try:
        left, right = float(value), float(operand)
    except (TypeError, ValueError):
        return False
    return {"$gt": left > right, "$gte": left >= right, "$lt": left < right, "$lte": left <= right}[name]


def _matches(condition: MatchCondition, namespace: Namespace) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    ends = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", label) for wanted, label in zip(path, ends, strict=True))
