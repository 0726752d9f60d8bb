"""How results look to people: a function turns a command's JSON into a picture. Document text is never interpreted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a document must not steer the terminal
_SNIPPET = 280
Data = Mapping[str, Any]


def plain(value: object, style: str = "") -> Text:
    """Return text free of control characters and of markup."""
    return Text(_CONTROL.sub("", str(value)), style=style)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(plain("" if cell is None else cell) for cell in row))
    return table


def fields(data: Data) -> RenderableType:
    return _table(("field", "value"), data.items())


def snippet(text: str, query: str) -> Text:
    """Return the part of `text` around the first word of the query, with every query word emphasised."""
    words = [word for word in re.findall(r"\w+", query) if len(word) > 2]
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, words))})", re.IGNORECASE) if words else None
    flat = " ".join(_CONTROL.sub("", text).split())
    first = pattern.search(flat) if pattern else None
    start = max(0, first.start() - _SNIPPET // 3) if first and len(flat) > _SNIPPET else 0
    start = flat.rfind(" ", 0, start) + 1 if start else 0
    shown = Text(
        ("…" if start else "") + flat[start : start + _SNIPPET] + ("…" if start + _SNIPPET < len(flat) else "")
    )
    if pattern:
        shown.highlight_regex(pattern, "bold yellow")
    return shown


def found(data: Data) -> RenderableType:
    hits = data["hits"]
    if not hits:
        return Text("Nothing found.", style="yellow")
    parts: list[RenderableType] = []
    for hit in hits:
        head = Text.assemble(
            (f"{hit['rank']:>3}  ", "bold"),
            (f"{hit['score']:.3f}  ", "cyan"),
            plain(hit["title"] or hit["document_id"], "bold"),
        )
        parts += [
            head,
            Padding(plain(hit["uri"], "dim"), (0, 0, 0, 5)),
            Padding(snippet(hit["text"], data["query"]), (0, 0, 1, 5)),
        ]
    parts.append(
        Text(
            f"{len(hits)} hit{'s' * (len(hits) != 1)} for {data['principal']} in {data['timings_ms']['total']:.0f} ms",
            style="dim",
        )
    )
    return Group(*parts)


def answered(data: Data) -> RenderableType:
    answer = plain(data["answer"], "yellow" if data["abstained"] else "")
    answer.highlight_regex(r"\[\d+\]", "bold cyan")
    parts: list[RenderableType] = [answer]
    doubtful = [sentence["text"] for sentence in data["sentences"] if not sentence["supported"]]
    if doubtful:
        parts += [Text("\nNot supported by the sources:", style="bold red"), *(plain(f"  {text}") for text in doubtful)]
    if data.get("notice"):
        parts.append(plain(f"\nNote: {data['notice']}", "yellow"))
    if data["citations"]:
        parts.append(Text("\nSources", style="bold"))
    for citation in data["citations"]:
        parts.append(Text.assemble((f"[{citation['marker']}] ", "bold cyan"), plain(citation["uri"], "dim")))
        parts.append(Padding(plain("“" + " ".join(citation["quote"].split()) + "”"), (0, 0, 0, 4)))
    return Group(*parts)


def ingested(data: Data) -> RenderableType:
    head = Text.assemble(
        "Collection ", plain(data["collection"], "bold"), f", build {str(data['build'])[:12]}, {data['seconds']:.1f} s"
    )
    notes = [
        f"{data['moved']} of these only moved." if data.get("moved") else "",
        f"{data['duplicates']} documents repeat another one." if data.get("duplicates") else "",
    ]
    parts: list[RenderableType] = [head, *_counted(data), *(plain(note, "dim") for note in notes if note)]
    if data["quarantine"]:
        parts += [Text("Quarantined: not indexed", style="bold yellow"), _quarantine(data)]
    parts += [plain(f"Warning: {warning}", "yellow") for warning in data.get("warnings", ())]
    if data["unreadable_by_anyone"]:
        parts.append(
            Text(
                f"NOBODY MAY READ {data['unreadable_by_anyone']} OF THESE DOCUMENTS: no rule allows anyone. "
                "Put an acl.yaml beside them, or give --acl FILE or --allow everyone, and ingest again.",
                style="bold red",
            )
        )
    return Group(*parts)


def planned(data: Data) -> RenderableType:
    head = Text.assemble(
        "Nothing was changed. An ingestion into ", plain(data["collection"], "bold"),
        f" would take about {data['seconds']:.0f} s, {data['embed_seconds']:.0f} s of it to embed:",
    )  # fmt: skip
    parts: list[RenderableType] = [head, *_counted(data)]
    if data["quarantine"]:
        parts += [Text("Would be quarantined", style="bold yellow"), _quarantine(data)]
    return Group(*parts)


def _counted(data: Data) -> tuple[RenderableType, RenderableType]:
    return _table(("documents", ""), data["documents"].items()), _table(("chunks", ""), data["chunks"].items())


def _quarantine(data: Data) -> RenderableType:
    rows = [(item["uri"], item["stage"], item["error"], item["message"]) for item in data["quarantine"]]
    return _table(("uri", "stage", "error", "message"), rows)


def quarantined(data: Data) -> RenderableType:
    return _quarantine(data) if data["quarantine"] else Text("Nothing is in quarantine.", style="green")


def descended(data: Data) -> RenderableType:
    """Draw a chunk's lineage, the chunk first and its builds last."""
    parts: list[RenderableType] = [Text.assemble("Chunk ", plain(data["chunk_id"], "bold"))]
    parts += [
        _table((name.replace("_", " "), ""), data[name].items()) for name in ("chunk", "document", "source", "made_by")
    ]
    names = ("build", "live", "embedder", "chunker", "vector_index")
    return Group(*parts, _table(names, [[build[name] for name in names] for build in data["builds"]]))


def verified(data: Data) -> RenderableType:
    faults = data["faults"]
    notes = [plain(f"Not checked: {note}", "yellow") for note in data.get("unchecked", ())]
    if not faults:
        return Group(Text("Source, catalog, chunks, postings and vectors agree.", style="green"), *notes)
    return Group(Text(f"{len(faults)} faults:", style="bold red"), *(plain(f"  {fault}") for fault in faults), *notes)


def audited(data: Data) -> RenderableType:
    last = plain(f"{data['records']} records, the last is {data['seq']}; note its hash elsewhere: {data['head']}")
    if data["ok"]:
        return Group(Text("Every record is as it was written.", style="green"), last)
    lines = [
        plain(f"  {fault['segment']}{'' if fault['line'] is None else ':' + str(fault['line'])}: {fault['what']}")
        for fault in data["faults"]
    ]
    return Group(Text(f"{len(lines)} faults:", style="bold red"), *lines, last)


def erased(data: Data) -> RenderableType:
    """Draw a receipt: what is gone, and where the receipt lies."""
    rows = [(name.replace("_", " "), count) for name, count in data["counts"].items() if count]
    head = plain(f"{data['about']} of tenant {data['tenant']}, erased {data['at'][:19]}")
    table = _table(("erased", "how many"), rows) if rows else plain("Nothing of it was left.")
    return Group(head, table, plain(f"receipt: {data['file']}"), *_notes(data), *_sightings(data))


def erasure_verified(data: Data) -> RenderableType:
    head = plain(f"receipt {data['receipt']}: {data['about']}, {data['at'][:19]}")
    if not data["sealed"]:
        return Group(head, Text("The seal does not hold: it was changed, or another home issued it.", style="bold red"))
    looked = plain(f"{data['files']} files, {data['bytes']} bytes read")
    if data["ok"]:
        return Group(
            head, Text("As it was issued, and nothing of it is in any file.", style="green"), looked, *_notes(data)
        )
    unread = [plain(f"  not read: {each}") for each in data["unread"]]
    return Group(head, *_sightings(data), *unread, looked, *_notes(data))


def compacted(data: Data) -> RenderableType:
    return Group(plain("The catalog holds nothing of what was deleted."), *_notes(data))


def _notes(data: Data) -> list[RenderableType]:
    return [plain(f"  {note}") for note in data.get("notes", ())]


def _sightings(data: Data) -> list[RenderableType]:
    if not data["found"]:
        return []
    lines = [plain(f"  {each['file']}, {each['where']}: {each['bytes']} bytes") for each in data["found"][:50]]
    return [Text(f"Still found in {len(data['found'])} places:", style="bold red"), *lines]


def accesses(data: Data) -> RenderableType:
    """Draw audit events, a row for each chunk that was seen."""
    rows: list[Sequence[object]] = []
    for event in data["events"]:
        who = event["subject"] + (f" (really {event['actor']})" if event["actor"] else "")
        head = (event["seq"], event["time"][:19], who, event["kind"], event["via"], event["collection"])
        seen: list[Sequence[object]] = [
            (*head, one["document_id"], one["chunk_id"][:12], ", ".join(one["by"])) for one in event["chunks"]
        ]
        rows += seen or [(*head, event["detail"].get("document_id"), None, None)]
    columns = ("seq", "time", "who", "what", "via", "collection", "document", "chunk", "by rule")
    return _table(columns, rows) if rows else Text("No such events.", style="yellow")


def pruned(data: Data) -> RenderableType:
    return plain(f"{data['removed']} records removed.")


def imported(data: Data) -> RenderableType:
    return Text(f"{data['imported']} principals imported.")


def principals(data: Data) -> RenderableType:
    rows = [
        (row["name"], row["tenant"], row["subject"], ", ".join(row["groups"]), "yes" if row["active"] else "no")
        for row in data["principals"]
    ]
    return _table(("name", "tenant", "subject", "groups", "active"), rows)


def key_made(data: Data) -> RenderableType:
    return Group(
        Text.assemble(
            "Key ",
            plain(data["key_id"], "bold"),
            f" for {data['principal']} ({data['role']}). The secret is not shown again:",
        ),
        plain(data["secret"], "bold"),
    )


def key_revoked(data: Data) -> RenderableType:
    return plain(f"Key {data['key_id']} is revoked.")


def keys(data: Data) -> RenderableType:
    names = ("key_id", "principal", "role", "label", "created", "revoked")
    return _table(names, [[row[name] for name in names] for row in data["keys"]])


def releases(data: Data) -> RenderableType:
    names = ("id", "collection", "live", "build", "prompt", "generator", "created", "gate")
    return _table(names, [[row[name] for name in names] for row in data["releases"]])


def release_diff(data: Data) -> RenderableType:
    rows = [(name, change["before"], change["after"]) for name, change in data["changed"].items()]
    return _table(("", data["before"], data["after"]), rows) if rows else plain("They are made of the same.")


def moved(data: Data) -> RenderableType:
    if data["previous"] == data["release"]:
        return plain(f"{data['release']} is live in {data['collection']} already.")
    return plain(f"{data['release']} is live in {data['collection']} now, in place of {data['previous']}.")


def moves(data: Data) -> RenderableType:
    names = ("at", "kind", "release", "previous", "by", "reason")
    return _table(names, [[row[name] for name in names] for row in data["history"]])


def gates(data: Data) -> RenderableType:
    names = ("created", "verdict", "candidate", "baseline", "dataset")
    return _table(names, [[row[name] for name in names] for row in data["gates"]])


def ratings(data: Data) -> RenderableType:
    parts: list[RenderableType] = []
    for row in data["ratings"]:
        parts.append(plain(f"{row['id']}  {row['created'][:19]}  {row['principal']}  {row['rating']}", "bold"))
        parts += [
            plain(f"  {name}: {row[name]}") for name in ("question", "answer", "comment", "correction") if row[name]
        ]
    return Group(*parts) if parts else Text("No ratings.", style="yellow")


def measured(data: Data) -> RenderableType:
    """Draw an evaluation: its plain facts first, then each group of figures."""
    head = [(name, value) for name, value in data.items() if not isinstance(value, Mapping | list)]
    parts: list[RenderableType] = [_table(("", ""), head)]
    for name, group in data.items():
        if isinstance(group, Mapping) and group:
            parts.append(_table((name.replace("_", " "), ""), [(key, _figure(value)) for key, value in group.items()]))
        elif isinstance(group, list) and group:
            parts += [Text(f"{name}: {len(group)}", style="bold yellow"), *(plain(f"  {item}") for item in group)]
    return Group(*parts)


def gate(data: Data) -> RenderableType:
    """Draw a gate: the verdict and its reasons first, then the metrics, what was written, and where the time went."""
    style = {"PASS": "bold green", "FAIL": "bold red"}.get(data["verdict"], "bold yellow")
    rows = [
        (
            name,
            _figure(line["baseline"]),
            _figure(line["candidate"]),
            "" if line["interval"] is None else "{:+.3f} to {:+.3f}".format(*line["interval"]),
            f"{line['coverage']:.0%} of {line['questions']}",
            line["verdict"],
        )
        for name, line in data["metrics"].items()
    ]
    needed = [] if data["needed"] is None else [Text(f"{data['needed']} questions would settle what is open.")]
    return Group(
        Text(data["verdict"], style=style),
        *(plain(f"  {reason}") for reason in data["reasons"]),
        _table(("metric", "baseline", "candidate", "difference, interval", "judged", "verdict"), rows),
        *needed,
        _table(("seconds", ""), [(name, _figure(value)) for name, value in data["seconds"].items()]),
        *(plain(f"{name}: {path}") for name, path in data["reports"].items()),
    )


def trend(data: Data) -> RenderableType:
    """Draw past gates, oldest first: the runs, then each metric's values one below the other, then what could not be read."""
    names = ("created", "verdict", "candidate", "baseline", "dataset")
    runs = [[run[name] for name in names] for run in data["runs"]]
    metrics = dict.fromkeys(name for run in data["runs"] for name in run["metrics"])
    values = [
        (name, run["created"], run["metrics"][name]["verdict"], *_past(run["metrics"][name]))
        for name in metrics
        for run in data["runs"]
        if name in run["metrics"]
    ]
    broken = [plain(f"not read: {one['path']}: {one['error']}", "yellow") for one in data["broken"]]
    header = ("metric", "made", "verdict", "candidate", "interval")
    return Group(_table(("made", *names[1:]), runs), _table(header, values), *broken)


def _past(value: Data) -> tuple[str, str]:
    seen, ends = value["candidate"], value["interval"]
    return "-" if seen is None else f"{seen:.4g}", f"{ends[0]:.4g} to {ends[1]:.4g}" if ends else "-"


def checked_dataset(data: Data) -> RenderableType:
    """Draw a dataset's counts and its problems."""
    counts = {name: value for name, value in data.items() if name != "problems"}
    problems = [(row["line"] or "-", row["id"] or "-", row["problem"]) for row in data["problems"]]
    return Group(fields(counts), _table(("line", "id", "problem"), problems)) if problems else fields(counts)


def leak_audit(data: Data) -> RenderableType:
    """Draw a leak audit: what each door let out, the first faults, and the verdict last."""
    return _tried(data, "No leak in {} trials: with 95 % confidence fewer than {:.2%} leak.")


def crossings(data: Data) -> RenderableType:
    """Draw an audit of memory, likewise."""
    return _tried(data, "Nothing crossed a scope in {} trials: with 95 % confidence in fewer than {:.2%} does.")


def _tried(data: Data, well: str) -> RenderableType:
    names = ("trials", "leaks", "wrong", "errors", "told", "ms")
    doors = [(door, *(counts[name] for name in names)) for door, counts in data["doors"].items()]
    verdict = (
        Text(well.format(data["trials"], data["upper_bound_95"]), style="green")
        if data["ok"]
        else Text(
            "The audit failed." if data["first"] else "Nothing was at stake, which proves nothing.", style="bold red"
        )
    )
    return Group(_table(("door", *names), doors), *(plain(f"  {fault}", "red") for fault in data["first"]), verdict)


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_figure(inner)}" for name, inner in value.items())
    return str(value)


def examined(data: Data) -> RenderableType:
    marks = {(True, False): "ok", (True, True): "ok", (False, True): "not there", (False, False): "FAULT"}
    rows = [(check["name"], marks[check["ok"], check["optional"]], check["detail"]) for check in data["checks"]]
    return _table(("what", "", "detail"), rows)


def serving(data: Data) -> RenderableType:
    return plain(f"Serving at {data['url']} (OpenAPI: {data['url']}/openapi.json)")


def rule_changed(data: Data) -> RenderableType:
    return Group(
        acl_rules({"rules": [data["rule"]]}), plain(f"{data['documents']} documents have other rights now.", "green")
    )


def acl_rules(data: Data) -> RenderableType:
    if not data["rules"]:
        return Text("No rule stands above the sources' own.", style="yellow")
    rows = [
        (
            rule["rule_id"],
            rule["path"] or rule["document_id"],
            "as before" if rule["allow"] is None else ", ".join(rule["allow"]) or "nobody",
            ", ".join(rule["deny"]),
            rule["created"][:19],
            rule["by"],
        )
        for rule in data["rules"]
    ]
    return _table(("rule", "about", "allow", "deny", "set", "by"), rows)


def explained(data: Data) -> RenderableType:
    parts: list[RenderableType] = []
    for one in data["explained"]:
        said = {
            "document": f"{one['document_id']} ({one['collection']})",
            "principal": one["principal"],
            "because": one["because"],
            "through": " in ".join(one["group_path"]),
            "allow": ", ".join(one["acl"]["allow"]) or "nobody",
            "deny": ", ".join(one["acl"]["deny"]),
            "rules": "\n".join(one["rules"]),
        }
        parts.append(plain("may read" if one["readable"] else "may not read", "green" if one["readable"] else "red"))
        parts.append(fields({name: value for name, value in said.items() if value}))
    return Group(*parts)


def memory_measured(data: Data) -> RenderableType:
    """Draw an evaluation of memory: recall and answers by category, then what was stored, then times."""
    columns = ("", "evidence", "text@1000", "prompt@1000", "20 items", "questions", "contained", "F1", "abstained")
    rows = []
    for group, found in data["evidence"].items():
        answers = data["answers"][group]
        shares = [found["in_text@1000"], found["in_prompt@1000"], found["in_turns"]]
        said = [answers["contained"], answers["token_f1"], answers["abstained"]]
        cells = ["-" if share is None else f"{share:.3f}" for share in (*shares, *said)]
        rows.append((group, found["turns"], *cells[:3], answers["questions"], *cells[3:]))
    rest = {name: data[name] for name in ("file", "conversations", "unknown_evidence", "facts", "latency_ms")}
    return Group(_table(columns, rows), measured(rest))
