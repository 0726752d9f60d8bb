"""`loremill memory`: what agents and people have told Loremill to remember, as one principal."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from indexes.errors import ConfigError, ConfigFileError
from service import render, render_memory
from service.console import As, Home, Json, emit, opened, split_list, unicode_text
from service.where_option import parse_where


def to_json(value: Any) -> Any:
    """As `rag.lore.wire.to_json`, which is loaded once a command is known."""
    from rag.lore import wire

    return wire.to_json(value)


memory = typer.Typer(help="What is remembered, for whom, since when.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of an item, as recall and list show it.", callback=unicode_text)]
Session = Annotated[str | None, typer.Option("--session", metavar="S", help="The conversation's name.")]
Scope = Annotated[
    str | None, typer.Option("--scope", metavar="SCOPE", help="user, session, agent:NAME, team:NAME or tenant.")
]
Scopes = Annotated[
    list[str] | None, typer.Option("--scope", metavar="SCOPE", help="These only: user, session, agent:NAME, ...")
]
Kinds = Annotated[list[str] | None, typer.Option("--kind", metavar="KIND", help="episode, fact or profile.")]
Metadata = Annotated[str | None, typer.Option("--metadata", metavar="JSON", help='Such as {"source": "chat"}.')]


@memory.command("remember")
def remember(
    as_: As,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", callback=lambda text: text and unicode_text(text))
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="JSONL, a message a line, or a JSON list of messages.")
    ] = None,
    scope: Annotated[str, typer.Option("--scope", metavar="SCOPE", help="user, session, agent:NAME, ...")] = "user",
    session: Session = None,
    speaker: Annotated[str | None, typer.Option("--speaker", metavar="NAME", help="Who said it.")] = None,
    time: Annotated[str | None, typer.Option("--time", metavar="ISO", help="When; default now.")] = None,
    metadata: Metadata = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Remember a text, or the messages of a conversation. Facts are derived before the command ends."""
    if (text is None) == (file is None):
        raise ConfigError("give either a TEXT or --file")
    said: Any = text if file is None else _messages(file)
    with opened(home) as mill:
        made = mill.memory.remember(
            said, principal=mill.directory.resolve(as_), scope=scope, session=session, speaker=speaker, time=time,
            metadata=_object(metadata),
        )  # fmt: skip
        mill.memory.settle()
    emit(
        {"episodes": to_json(made if isinstance(made, list) else [made])}, as_json=json, human=render_memory.remembered
    )


@memory.command("recall")
def recall(
    query: Annotated[str, typer.Argument(metavar="QUERY", callback=unicode_text)],
    as_: As,
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=1000, help="Most items wanted.")] = 10,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Most tokens in all.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="ISO", help="As it was at this moment.")] = None,
    scope: Scopes = None,
    session: Session = None,
    kind: Kinds = None,
    where: Annotated[list[str] | None, typer.Option("--where", metavar="k=v", help="As for search.")] = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="Print one text for a model.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Find what is remembered about a question."""
    with opened(home) as mill:
        found = mill.memory.recall(
            query, principal=mill.directory.resolve(as_), top_k=top_k, max_tokens=max_tokens, as_of=as_of,
            scopes=split_list(scope), session=session, kinds=split_list(kind), where=parse_where(where), as_prompt=prompt,
        )  # fmt: skip
    if isinstance(found, str):
        emit({"query": query, "prompt": found}, as_json=json, human=lambda data: render.plain(data["prompt"]))
    else:
        emit({"query": query, "memories": to_json(found)}, as_json=json, human=render_memory.items)


@memory.command("list")
def list_items(
    as_: As,
    scope: Scopes = None,
    session: Session = None,
    kind: Kinds = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="The last item of the page before.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List what is remembered, in the order in which it was."""
    with opened(home) as mill:
        found = mill.memory.list(
            principal=mill.directory.resolve(as_), scopes=split_list(scope), session=session, kinds=split_list(kind),
            limit=limit, after=after,
        )  # fmt: skip
    emit({"memories": to_json(found)}, as_json=json, human=render_memory.items)


@memory.command("get")
def get(id: Id, as_: As, home: Home = None, json: Json = False) -> None:
    """Show one item with its sources. Exit code 1 if there is none that the principal may read."""
    with opened(home) as mill:
        found = mill.memory.get(id, principal=mill.directory.resolve(as_))
    emit({"memory": to_json(found)}, as_json=json, human=render_memory.item)
    if found is None:
        raise typer.Exit(1)


@memory.command("update")
def update(
    id: Id,
    text: Annotated[str, typer.Argument(metavar="TEXT", callback=unicode_text)],
    as_: As,
    metadata: Metadata = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Put another text in an item's place. What it was stays in its history."""
    with opened(home) as mill:
        principal = mill.directory.resolve(as_)
        changed = mill.memory.update(id, text, principal=principal, metadata=_object(metadata))
        mill.memory.settle()
    emit({"memory": to_json(changed)}, as_json=json, human=render_memory.item)


@memory.command("history")
def history(id: Id, as_: As, home: Home = None, json: Json = False) -> None:
    """Tell what was decided about an item and why, oldest first."""
    with opened(home) as mill:
        events = mill.memory.history(id, principal=mill.directory.resolve(as_))
    emit({"id": id, "events": to_json(events)}, as_json=json, human=render_memory.events)


@memory.command("restore")
def restore(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Its id, as history shows it.")],
    as_: As,
    home: Home = None,
    json: Json = False,
) -> None:
    """Undo a decision."""
    with opened(home) as mill:
        restored = mill.memory.restore(event, principal=mill.directory.resolve(as_))
    emit({"memory": to_json(restored)}, as_json=json, human=render_memory.item)


@memory.command("share")
def share(
    id: Id,
    as_: As,
    scope: Annotated[str, typer.Option("--scope", metavar="SCOPE", help="agent:NAME, team:NAME or tenant.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Copy an item into another scope; the copy goes when the item is forgotten. It is written into the audit log."""
    with opened(home) as mill:
        shared = mill.memory.share(id, principal=mill.directory.resolve(as_), scope=scope)
    emit({"memory": to_json(shared)}, as_json=json, human=render_memory.item)


@memory.command("grant")
def grant(
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="tenant, team:NAME or agent:NAME.")],
    to: Annotated[str, typer.Argument(metavar="NAME", help="user:x, agent:y or group:z.")],
    tenant: Annotated[str, typer.Option("--tenant", metavar="T", help="Whose.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it back.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Let somebody write in a scope, or no longer. Reading stays what the scope says."""
    with opened(home) as mill:
        mill.memory.grant(scope, to, tenant=tenant, revoke=revoke)
    emit({"scope": scope, "to": to, "tenant": tenant, "granted": not revoke}, as_json=json, human=render.fields)


@memory.command("forget")
def forget(
    as_: As,
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One item.")] = None,
    query: Annotated[str | None, typer.Option("--query", metavar="TEXT", help="What is about this.")] = None,
    session: Session = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="NAME", help="What is about this one.")] = None,
    scope: Scope = None,
    before: Annotated[str | None, typer.Option("--before", metavar="ISO", help="What is older.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Forget for good what all the conditions given hold for, with the facts that rest on it. Prints a receipt."""
    with opened(home) as mill:
        receipt = mill.memory.forget(
            principal=mill.directory.resolve(as_), id=id, query=query, session=session, subject=subject, scope=scope,
            before=before,
        )  # fmt: skip
        mill.memory.settle()
    emit(to_json(receipt), as_json=json, human=render_memory.forgotten)


@memory.command("consolidate")
def consolidate(
    as_: As,
    scope: Annotated[str, typer.Option("--scope", metavar="SCOPE", help="user, session, agent:NAME, ...")] = "user",
    summarise_after: Annotated[
        float,
        typer.Option(
            "--summarise-after", metavar="DAYS", max=36_500, help="Sessions that ended so long ago get a summary."
        ),
    ] = 30,
    retention: Annotated[
        float | None, typer.Option("--retention", metavar="DAYS", max=36_500, help="What is older goes.")
    ] = None,
    unused: Annotated[
        float | None,
        typer.Option("--unused", metavar="DAYS", max=36_500, help="Facts that nobody has recalled for so long go."),
    ] = None,
    most_items: Annotated[int | None, typer.Option("--most-items", metavar="N", help="Beyond these some go.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Merge duplicates, summarise old sessions, let expire what is said, and report it. Again changes nothing."""
    from datetime import timedelta

    from rag.lore.consolidate import Policy

    policy = Policy(
        summarise_after=timedelta(days=summarise_after), most_items=most_items,
        retention=None if retention is None else timedelta(days=retention),
        unused=None if unused is None else timedelta(days=unused),
    )  # fmt: skip
    with opened(home) as mill:
        report = mill.memory.consolidate(principal=mill.directory.resolve(as_), scope=scope, policy=policy)
        mill.memory.settle()
    emit(to_json(report), as_json=json, human=render.fields)


def _object(text: str | None) -> dict[str, Any] | None:
    try:
        data = None if text is None else jsonlib.loads(text)
    except ValueError as error:
        raise ConfigError(f"--metadata is no JSON: {error}") from error
    if data is not None and not isinstance(data, dict):
        raise ConfigError('--metadata must be an object such as {"source": "chat"}')
    return data


def _messages(file: Path) -> list[Any]:
    """Return the messages of a JSON list or of JSON lines."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError(f"{file} cannot be read: {error}") from error
    if text.lstrip().startswith("["):
        return list(_line(file, 1, text))
    return [_line(file, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _line(file: Path, number: int, text: str) -> Any:
    try:
        return jsonlib.loads(text)
    except ValueError as error:
        raise ConfigFileError(f"{file}:{number}: no JSON: {error}") from error
