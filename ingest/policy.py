"""What a collection's contract says of personal data and of text that talks to a model, done to a document before anything of it is stored."""

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


INJECTION = "prompt_injection"
"""The metadata key of documents that talk to a model; no document can set it itself."""


def flag(contract: Contract, metadata: Mapping[str, Any], *texts: str) -> dict[str, Any]:
    """Return the metadata with `INJECTION: {"spans": n}` where n > 0 spans of the texts talk to a model.

    Raises:
        InjectionFound: there are some, and the policy is quarantine.
    """
    if contract.injection == "off":
        return dict(metadata)
    kept = {key: value for key, value in metadata.items() if key != INJECTION}
    spans = contract.count_planted(*texts)
    return kept | ({INJECTION: {"spans": spans}} if spans else {})


def is_flagged(contract: Contract, metadata: Mapping[str, Any]) -> bool:
    """Whether `flag` found something in the document with this metadata."""
    return contract.injection != "off" and INJECTION in metadata


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The JSON value with each of its strings changed, keys of objects included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_mapped(key, change): _mapped(part, change) for key, part in value.items()}
    return [_mapped(part, change) for part in value] if isinstance(value, list | tuple) else value
