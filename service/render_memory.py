"""How results of memory look to people, as `service.render` draws the others."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from service.render import Data, _table, fields, plain, snippet


def remembered(data: Data) -> RenderableType:
    rows = [(one["id"], one["scope"], one["session"], one["speaker"], one["time"][:19]) for one in data["episodes"]]
    return _table(("remembered", "scope", "session", "speaker", "time"), rows)


def items(data: Data) -> RenderableType:
    """Draw items, each with what it is and rests on above its text."""
    if not data["memories"]:
        return Text("Nothing is remembered.", style="yellow")
    parts: list[RenderableType] = []
    for one in data["memories"]:
        parts += [_head(one), Padding(snippet(one["text"], data.get("query", "")), (0, 0, 1, 5))]
    return Group(*parts)


def item(data: Data) -> RenderableType:
    one = data["memory"]
    if one is None:
        return Text("There is no such memory.", style="yellow")
    sources = [
        plain(f"  {source['time'][:19]}  {source['speaker'] or '?'}: {source['text']}", "dim")
        for source in one["provenance"]
    ]
    return Group(_head(one), Padding(plain(one["text"]), (0, 0, 1, 5)), *sources)


def events(data: Data) -> RenderableType:
    if not data["events"]:
        return Text("Nothing was decided about it.", style="yellow")
    names = tuple(name for name in data["events"][0] if name not in {"item_id", "before"})
    return _table(names, [[event[name] for name in names] for event in data["events"]])


def forgotten(data: Data) -> RenderableType:
    counts = ", ".join(f"{count} {name}" for name, count in data["counts"].items()) or "nothing"
    return Group(plain(f"Forgotten: {counts}.", "green"), fields({"receipt": data["id"], "at": data["at"]}))


def _head(one: Data) -> Text:
    ends = f" until {one['valid_to'][:10]}" if one["valid_to"] else ""
    return Text.assemble(
        (f"{one['kind']:<8}", "bold"),
        (f"{one['score']:.3f}  ", "cyan"),
        plain(f"{one['time'][:10]}{ends}  {one['scope']}  "),
        plain(one["id"], "dim"),
        ("  contradicted" if one["conflicts"] else "", "yellow"),
    )
