"""The doors of memory over HTTP, MCP and on the command line, for `loremill audit leaks`: those of the library, by other ways in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any

from eval.audit import Door, Trial
from eval.audit.memory_doors import memory_doors
from eval.audit.search_doors import any_words
from eval.audit.trial import ToolFailed
from indexes.errors import LoremillError
from rag.lore.items import Episode, MemoryItem, Receipt
from rag.lore.wire import from_json, to_json
from rag.remote import error_of
from rag.remote_memory import RemoteMemory
from service.audit_http import Http

if TYPE_CHECKING:
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

    def forget(self, *, id: str) -> Receipt:
        return from_json(Receipt, self._call("forget", id=id))


class OnTheCommandLine:
    """Memory by `loremill memory`."""

    def __init__(self, mill: Loremill, trial: Trial) -> None:
        self._mill, self._trial = mill, trial

    def remember(self, text: str, *, scope: str, session: str | None, metadata: Any) -> Episode:
        chat = ["--session", session] if session else []
        done = self._run("remember", "--scope", scope, "--metadata", json.dumps(metadata), *chat, "--", text)
        return from_json(Episode, done["episodes"][0])

    def recall(
        self,
        query: str,
        *,
        top_k: int,
        session: str | None = None,
        scopes: Sequence[str] = (),
        kinds: Sequence[str] = (),
    ) -> list[MemoryItem]:
        chat = ["--session", session] if session else []
        only = [option for scope in scopes for option in ("--scope", scope)]
        only += [option for kind in kinds for option in ("--kind", kind)]
        found = self._run("recall", "--top-k", str(top_k), *chat, *only, "--", query)
        return [from_json(MemoryItem, one) for one in found["memories"]]

    def _run(self, command: str, *arguments: str) -> Any:
        """Run a command as the person by name; stdout and stderr are heard."""
        from service.cli import main

        out, err = StringIO(), StringIO()
        told = ["--as", self._trial.person.name, "--home", str(self._mill.home), "--json"]
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["memory", command, *told, *arguments])
        self._trial.hear((out.getvalue(), err.getvalue()), said=arguments)
        data = json.loads(out.getvalue())
        if "error" in data:
            self._trial.expect(f"defects of the command {command}", code, 64)
            raise LoremillError(data["error"]["detail"])
        return data


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
