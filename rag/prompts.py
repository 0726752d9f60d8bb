"""Versioned prompts with named variables; whatever was retrieved enters them fenced, as data.

A prompt is a file `NAME@VERSION.md`, packaged or in the home's folder `prompts`: a `<!-- system -->` part, a `<!-- user -->` part, `{{variables}}`. A
changed prompt is a new version, never a changed file: releases name prompts by version and hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from indexes.errors import ConfigError
from indexes.vocabulary import digest
from ingest.clean import strip_invisible
from ingest.injection import tainted_spans
from rag.passages import Passage

ABSTAIN = "The documents available to you do not answer this question."

LEFT_OUT = "[...]"
"""Stands in a prompt where a passage talks to a model."""

_PARTS = re.compile(r"\s*<!-- system -->\n(?P<system>.*?)\n<!-- user -->\n(?P<user>.*?)\s*", re.DOTALL)
_VARIABLE = re.compile(r"\{\{(\w+)\}\}")
_NAME = re.compile(r"([a-z][a-z0-9_-]*)@(\d+)")
_OWN = frozenset({"boundary", "abstain"})  # filled in by `render` itself
_BOUNDARY_DIGITS = 24
ANSWER_VARIABLES = frozenset({"question", "passages"})

_CONTROL_TOKENS = re.compile(
    r"<[|｜][^<>\n]{0,40}[|｜]>|<{2,}/?SYS>{2,}|<{3,}|>{3,}|</?s>|</?(?:bos|eos|pad|unk|think|system|user|assistant|tool_call|tool_response)>"
    r"|<(?:start|end)_of_(?:turn|text)>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]",
    re.IGNORECASE,
)
_ROLE_LINE = re.compile(
    r"^(?=[ \t]*(?:#{1,6}[ \t]*)?(?:system|developer|assistant|user|human|instruction|response)[ \t]*:)", re.I | re.M
)
_DISARM = str.maketrans("<>[]", "‹›⟦⟧")


@dataclass(frozen=True, slots=True)
class Prompt:
    """Chat messages, `{"role": ..., "content": ...}` each, and the version of the template they come from."""

    messages: tuple[dict[str, str], ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """One version of one prompt. `content_hash` is the sha256 over its parts: what a release records."""

    name: str
    version: int
    content_hash: str
    system: str
    user: str

    @property
    def variables(self) -> frozenset[str]:
        """What `render` must be given."""
        return frozenset(_VARIABLE.findall(self.system + self.user)) - _OWN

    def render(self, *, history: Sequence[Mapping[str, str]] = (), **values: str | Sequence[Passage]) -> Prompt:
        """Return the messages for the given variables, with `history` between system and user: turns as `rag.history` lets them through.

        The fence's boundary is a digest of all that the prompt shows: no text can contain its own digest, equal
        requests give equal prompts, and any other request has another boundary.

        Raises:
            ConfigError: a variable is missing or unknown, or a turn of the history is malformed.
        """
        if wrong := self.variables ^ values.keys():
            missing, unknown = sorted(wrong & self.variables), sorted(wrong - self.variables)
            raise ConfigError(
                f"prompt {self.name}@{self.version}: missing variables {missing}, unknown variables {unknown}"
            )
        turns = [_turn(turn) for turn in history]
        shown = [part for value in values.values() for part in _texts(value)] + [turn["content"] for turn in turns]
        mark = boundary(shown)
        filled = {name: value if isinstance(value, str) else fence(value, mark) for name, value in values.items()}
        filled = {name: neutralise(text) if isinstance(values[name], str) else text for name, text in filled.items()}
        filled |= {"boundary": mark, "abstain": ABSTAIN}
        system, user = (
            {"role": role, "content": _fill(part, filled)}
            for role, part in (("system", self.system), ("user", self.user))
        )
        return Prompt((system, *turns, user), f"{self.name}@{self.version}")


def load_prompt(reference: str, *, home: Path | None = None) -> PromptTemplate:
    """Return the template called `NAME@VERSION`, such as `answer@1`: a packaged one, or one of the home's folder `prompts`.

    Raises:
        ConfigError: there is none, it cannot be read, or the home has another text under a packaged version.
    """
    packaged = _files(resources.files("rag") / "prompts")
    own = _files(home / "prompts") if home is not None and (home / "prompts").is_dir() else {}
    if not _NAME.fullmatch(reference) or reference not in {**packaged, **own}:
        raise ConfigError(f"no prompt {reference!r}; there are: {', '.join(sorted({**packaged, **own}))}")
    found = [parse_prompt(reference, _read(files[reference])) for files in (packaged, own) if reference in files]
    if len({one.content_hash for one in found}) > 1:
        raise ConfigError(
            f"prompt {reference} is packaged, and prompts/{reference}.md says something else: give it a version of its own"
        )
    return found[0]


def answer_prompt(reference: str, *, home: Path | None = None) -> PromptTemplate:
    """As `load_prompt`, for a prompt that answers questions.

    Raises:
        ConfigError: its variables are not `question` and `passages`.
    """
    template = load_prompt(reference, home=home)
    missing, unknown = sorted(ANSWER_VARIABLES - template.variables), sorted(template.variables - ANSWER_VARIABLES)
    if missing or unknown:
        raise ConfigError(
            f"prompt {reference}: missing variables {missing}, unknown variables {unknown}; "
            f"an answer's prompt has {sorted(ANSWER_VARIABLES)}, and may have {sorted(_OWN)}"
        )
    return template


def _files(folder: Traversable) -> dict[str, Traversable]:
    return {one.name.removesuffix(".md"): one for one in folder.iterdir() if one.name.endswith(".md")}


def _read(file: Traversable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"prompt {file.name} cannot be read: {error}") from error


def parse_prompt(reference: str, content: str) -> PromptTemplate:
    """Read a template file's text; ConfigError if its name or its two parts are not as the module says."""
    named, parts = _NAME.fullmatch(reference), _PARTS.fullmatch(content)
    if not named or not parts:
        raise ConfigError(
            f"prompt {reference!r} must be NAME@VERSION with a '<!-- system -->' and a '<!-- user -->' part"
        )
    return PromptTemplate(
        named[1], int(named[2]), digest(parts["system"], parts["user"]), parts["system"], parts["user"]
    )


def neutralise(text: str) -> str:
    """Return `text` with fence marks, chat-template tokens and role lines disarmed, legibly. Idempotent."""
    text = strip_invisible(text)
    while (disarmed := _CONTROL_TOKENS.sub(lambda token: token[0].translate(_DISARM), text)) != text:
        text = disarmed
    return _ROLE_LINE.sub("> ", text)


def fence(passages: Sequence[Passage], mark: str) -> str:
    """Return the passages as numbered, fenced data, without what in them talks to a model."""
    return "\n\n".join(
        f"<<<PASSAGE {passage.number} {mark}>>>\n"
        + (f"Title: {' '.join(neutralise(passage.hit.title).split())}\n" if passage.hit.title else "")
        + f"{as_data(passage.text)}\n<<<END {passage.number} {mark}>>>"
        for passage in passages
    )


def as_data(text: str) -> str:
    """Return a retrieved text as a prompt may show it: disarmed, and with a mark in place of what speaks to a model."""
    return neutralise(_unspoken(text))


def _unspoken(text: str) -> str:
    parts, at = [], 0
    for start, end in tainted_spans(text):
        parts += [text[at:start], LEFT_OUT]
        at = end
    return "".join([*parts, text[at:]])


def _texts(value: str | Sequence[Passage]) -> list[str]:
    return (
        [value] if isinstance(value, str) else [text for passage in value for text in (passage.hit.title, passage.text)]
    )


def boundary(shown: Iterable[str]) -> str:
    """Return what marks a fence's ends: a digest of all that the prompt shows, and found in none of it."""
    texts = list(shown)
    mark = digest(*texts)[:_BOUNDARY_DIGITS]
    while any(mark in text for text in texts):
        mark = digest(mark, *texts)[:_BOUNDARY_DIGITS]
    return mark


def _turn(turn: Mapping[str, str]) -> dict[str, str]:
    role, content = turn.get("role"), turn.get("content")
    if role not in {"user", "assistant"} or not isinstance(content, str):
        raise ConfigError(f"a history turn needs role user or assistant and a text content, got role {role!r}")
    return {"role": role, "content": neutralise(content)}


def _fill(part: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda variable: values[variable[1]], part)
