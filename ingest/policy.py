"""What a collection's contract says of personal data, done to a document before anything of it is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ingest.contract import Contract


@dataclass(frozen=True, slots=True)
class Screened:
    """Title, text and metadata as they may be stored, and where in the text PII stands or stood: never its value."""

    title: str
    text: str
    metadata: dict[str, Any]
    spans: tuple[dict[str, Any], ...] = ()


def screen(contract: Contract, *, title: str, text: str, metadata: Mapping[str, Any]) -> Screened:
    """Apply the policy on personal data to all of a document. The types found stand under the metadata key `pii`.

    Raises:
        PiiFound: there is some, and the policy is quarantine.
    """
    if contract.pii.policy == "off":
        return Screened(title, text, dict(metadata))
    types: set[str] = set()

    def one(value: str) -> str:
        kept, spans = contract.screen(value)
        types.update(span.type for span in spans)
        return kept

    text, spans = contract.screen(text)
    types.update(span.type for span in spans)
    kept = _mapped(metadata, one)
    title = one(title)
    if types:
        kept["pii"] = sorted(types)
    return Screened(title, text, kept, tuple({"type": s.type, "start": s.start, "end": s.end} for s in spans))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The JSON value with each of its strings changed, keys of objects included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_mapped(key, change): _mapped(part, change) for key, part in value.items()}
    return [_mapped(part, change) for part in value] if isinstance(value, list | tuple) else value
