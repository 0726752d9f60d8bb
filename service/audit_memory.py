"""The doors of memory over HTTP, MCP and on the command line, for `loremill audit leaks`: those of the library, by other ways in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any

from eval.audit import Door, Trial
from eval.audit.memory_doors import memory_doors
from eval.audit.memory_ways import Way, library_ways
from eval.audit.search_doors import any_words
from eval.audit.trial import ToolFailed
from indexes.errors import LoremillError
from rag.lore.consolidate import ConsolidationReport
from rag.lore.items import Episode, MemoryEvent, MemoryItem, Receipt
from rag.lore.wire import from_json, to_json
from rag.remote import RemoteLoremill, error_of
from rag.remote_memory import RemoteMemory
from service.audit_http import Http
from service.console import INTERNAL

if TYPE_CHECKING:
    from indexes.embedder import Embedder
    from rag.loremill import Loremill

_PAGE = 100


def over_http(http: Http, trial: Trial) -> RemoteMemory:
    """Memory by the client of `/v1/memories`."""

    def send(method: str, path: str, *, body: Any = None, params: Any = None) -> Any:
        reply = http.ask(trial, method, path, json=body, params=params)
        if reply.status >= 400:
            raise error_of(reply.status, reply.json)
        return reply.json

    return RemoteMemory(send)


class Connected(RemoteLoremill):
    """The client of a server, which is in this process: requests and replies are heard as they are on the wire."""

    def __init__(self, http: Http, trial: Trial) -> None:
        self._client: Any = _Connection(partial(http.request, trial))


@dataclass(frozen=True, slots=True)
class _Connection:
    request: Callable[..., Any]
    base_url: str = "http://testserver"


def by_the_client(http: Http, trial: Trial) -> RemoteMemory:
    """`RemoteLoremill.memory`."""
    return Connected(http, trial).memory


class OverMcp:
    """Memory by the tools of MCP."""

    def __init__(self, http: Http, trial: Trial) -> None:
        self._call = partial(http.call_tool, trial)

    def remember(self, text: str, **given: Any) -> Episode:
        (episode,) = self._call("remember", messages=text, **_said(given))["episodes"]
        return from_json(Episode, episode)

    def recall(self, query: str, *, top_k: int, **given: Any) -> list[MemoryItem]:
        found = self._call("recall", query=query, top_k=min(top_k, _PAGE), **_said(given))
        return [from_json(MemoryItem, one) for one in found["memories"]]

    def forget(self, **given: Any) -> Receipt:
        return from_json(Receipt, self._call("forget", **given))


class OnTheCommandLine:
    """Memory by `loremill memory`, each command with a mill of its own, which is lent the embedder."""

    def __init__(self, mill: Loremill, trial: Trial) -> None:
        self._mill, self._trial = mill, trial

    def remember(self, text: str, *, metadata: Any, **given: Any) -> Episode:
        done = self._run("remember", *_options(given), "--metadata", json.dumps(metadata), "--", text)
        return from_json(Episode, done["episodes"][0])

    def recall(self, query: str, *, top_k: int, as_prompt: bool = False, **given: Any) -> Any:
        asked = [*_options(given), *(["--prompt"] if as_prompt else [])]
        found = self._run("recall", "--top-k", str(top_k), *asked, "--", query)
        return found["prompt"] if as_prompt else [from_json(MemoryItem, one) for one in found["memories"]]

    def list(self, **given: Any) -> Any:
        return [from_json(MemoryItem, one) for one in self._run("list", *_options(given))["memories"]]

    def get(self, id: str) -> MemoryItem | None:
        found = self._run("get", id)["memory"]
        return None if found is None else from_json(MemoryItem, found)

    def history(self, id: str) -> Any:
        return [from_json(MemoryEvent, one) for one in self._run("history", id)["events"]]

    def update(self, id: str, text: str) -> MemoryItem:
        return from_json(MemoryItem, self._run("update", id, "--", text)["memory"])

    def restore(self, event_id: str) -> MemoryItem:
        return from_json(MemoryItem, self._run("restore", event_id)["memory"])

    def share(self, id: str, *, scope: str) -> MemoryItem:
        return from_json(MemoryItem, self._run("share", id, "--scope", scope)["memory"])

    def forget(self, *, id: str | None = None, **given: Any) -> Receipt:
        return from_json(Receipt, self._run("forget", *([id] if id else []), *_options(given)))

    def consolidate(self, *, scope: str) -> ConsolidationReport:
        return from_json(ConsolidationReport, self._run("consolidate", "--scope", scope))

    def _run(self, command: str, *arguments: str) -> Any:
        """Run a command as the person by name; stdout and stderr are heard."""
        from service.cli import main

        out, err = StringIO(), StringIO()
        told = ["--as", self._trial.person.name, "--home", str(self._mill.home), "--json"]
        with redirect_stdout(out), redirect_stderr(err), _lent(self._mill.embedder):
            code = main(["memory", command, *told, *arguments])
        self._trial.hear((out.getvalue(), err.getvalue()), said=arguments)
        self._trial.expect(f"defects of the command {command}", code == INTERNAL, False)
        data = json.loads(out.getvalue())
        if "error" in data:
            raise LoremillError(data["error"]["detail"])
        return data


@contextmanager
def _lent(loaded: Embedder) -> Iterator[None]:
    """Let whoever opens a home meanwhile have the embedder that is loaded already."""
    from indexes import embedder

    whole = embedder.make_embedder
    embedder.make_embedder = lambda *_, **__: loaded
    try:
        yield
    finally:
        embedder.make_embedder = whole


def _options(given: dict[str, Any]) -> list[str]:
    """Return arguments as options; of lists each."""
    options = []
    for name, value in given.items():
        option = f"--{name.removesuffix('s') if name in {'scopes', 'kinds'} else name.replace('_', '-')}"
        for each in value if isinstance(value, list) else [value]:
            options += [] if each is None else [option, str(each)]
    return options


def foreign_names(http: Http, trial: Trial) -> None:
    """Who is named beside the key, and is somebody else, is answered as one that never was."""
    other = trial.rng.choice([one.subject for one in trial.world.people if one.subject != trial.person.subject])
    field = "agent_id" if other.startswith("agent:") else "user_id"
    for method, path, body in (
        ("POST", "/search", {"query": "memo"}), ("POST", "", {"messages": "It was me."}), ("GET", "", {}), ("DELETE", "", {}),
    ):  # fmt: skip
        replies = []
        for name in (other, f"{other.partition(':')[0]}:{trial.never()}"):
            given: dict[str, Any] = {"json" if method == "POST" else "params": {**body, field: name}}
            reply = http.ask(trial, method, f"/v1/memories{path}", **given)
            replies.append((reply.status, reply.text))
        trial.expect(f"{method} {path} for another", replies[0], replies[1])
        trial.expect("its status", replies[0][0], 404)


def tools_of_documents(http: Http, trial: Trial) -> None:
    """The tools over documents find and answer from what may be read."""
    words = any_words(trial)
    asked = {"query": words, "collection": trial.collection, "mode": "dense", "top_k": _PAGE}
    found = {hit["document_id"] for hit in http.call_tool(trial, "search", **asked)["hits"]}
    wanted = {one.document_id for one in trial.readable}
    trial.expect("documents found by a tool", found, wanted)
    if trial.rng.random() < 0.1:
        http.call_tool(trial, "ask", question=f"What is said about {words}?", collection=trial.collection)
    try:
        http.call_tool(trial, "search", query=words)
    except ToolFailed:  # it names the collections that may be read, which was heard
        several = len({one.collection for one in trial.world.readable(trial.person)}) != 1
        trial.expect("asked which collection", several, True)


def _said(given: dict[str, Any]) -> dict[str, Any]:
    return {name: to_json(value) for name, value in given.items() if value is not None}


def wire_doors(mill: Loremill, http: Http) -> dict[str, tuple[Door, float]]:
    """Return memory's doors over the wire, each with its weight."""
    commands = partial(OnTheCommandLine, mill)
    return {
        **memory_doors("http memory", partial(over_http, http), weight=0.5),
        **memory_doors(
            "mcp memory", partial(OverMcp, http), only=("remember", "recall", "where", "forget"), weight=0.2
        ),
        **memory_doors("cli memory", commands, only=("remember", "recall"), weight=0.05),
        "http memory names": (partial(foreign_names, http), 2.0),
        "mcp documents": (partial(tools_of_documents, http), 1.0),
    }


@contextmanager
def memory_ways(mill: Loremill) -> Iterator[Mapping[str, Way]]:
    """Open every way into memory that this installation has, for `eval.audit.crossings`."""
    commands = [
        "remember",
        "recall",
        "prompt",
        "list",
        "get",
        "history",
        "update",
        "restore",
        "share",
        "forget",
        "consolidate",
    ]
    tools = frozenset({"remember", "recall", "where", "as of", "forget"})
    with Http(mill) as http:
        yield {
            **library_ways(),
            "http": Way(partial(over_http, http), 2),
            "client": Way(partial(by_the_client, http), 0.7),
            "mcp": Way(partial(OverMcp, http), 1, tools, _PAGE),
            "cli": Way(partial(OnTheCommandLine, mill), 0.05, frozenset({*commands, "as of"})),
        }
