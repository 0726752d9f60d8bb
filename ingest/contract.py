"""contract.yaml: what a collection lets in, and what it does with personal data and duplicates.

    require: [owner, department]          # metadata that must be there and not empty
    languages: [en, de]                   # ISO 639-1; a text too short to tell is let in
    types: [md, pdf, docx]                # formats as in ingest.parse.FORMATS, or file extensions
    size: {max_bytes: 20000000, min_chars: 20, max_chars: 2000000}
    freshness: {field: updated, max_age_days: 365, optional: false}
    pii: {policy: redact, types: [EMAIL_ADDRESS, CREDIT_CARD], threshold: 0.5}
    injection: quarantine                 # documents that talk to a model: flag (default), quarantine, off
    duplicates: {exact: true, near: 0.9}

Every key may be missing, and what is not said is allowed: an empty contract lets everything in. The short forms
`pii: redact` and `near: off` do as well. Languages, personal data and near-duplicates need the extra `policy`.

The file decides what is kept out and what is redacted, so it is read strictly: an unknown or repeated key or a wrong
type is an error with its line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ValidationError, field_validator

from indexes.errors import ConfigFileError, ContractViolation, InjectionFound
from ingest.contract_rules import Duplicates, Freshness, Part, Pii, Size, false_is_off, is_empty
from ingest.injection import planted
from ingest.language import LANGUAGES, detect
from ingest.parse import FORMATS, format_of
from ingest.pii import PiiSpan
from ingest.yaml_lines import LineOf, parse_mapping, read_mapping

_PARTS: dict[str, type[Part]] = {"size": Size, "freshness": Freshness, "pii": Pii, "duplicates": Duplicates}
_PLAIN = {  # of pydantic's messages those that speak of Python
    "tuple_type": "must be a list such as [a, b]",
    "model_type": "must be a mapping such as {key: value}",
    "missing": "is missing",
}


def _policy_alone(value: object) -> object:
    return value if isinstance(value, Mapping | Pii) else {"policy": value}


class Contract(Part):
    """The rules of one collection. `Contract()` has none."""

    require: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    size: Size = Size()
    freshness: Freshness | None = None
    pii: Annotated[Pii, BeforeValidator(_policy_alone)] = Pii()
    injection: Annotated[Literal["off", "flag", "quarantine"], BeforeValidator(false_is_off)] = "flag"
    duplicates: Duplicates = Duplicates()

    @field_validator("require")
    @classmethod
    def _one_order(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(names)))

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        codes = tuple("no" if code in {"nb", "nn"} else code for code in codes)
        if unknown := sorted(set(codes) - LANGUAGES):
            raise ValueError(
                f"{', '.join(unknown)}: no language that can be told; there are {', '.join(sorted(LANGUAGES))}"
            )
        return tuple(sorted(set(codes)))

    @field_validator("types")
    @classmethod
    def _known_types(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(name for name in types if _format(name) not in FORMATS):
            raise ValueError(f"{', '.join(unknown)}: no such format; there are {', '.join(sorted(FORMATS))}")
        return tuple(sorted({_format(name) for name in types}))

    @classmethod
    def load(cls, path: str | Path) -> Contract:
        """Read a contract.yaml.

        Raises:
            ConfigFileError: it cannot be read, is not YAML, or is not of the form above; names file, line, key and what
                is expected.
            DependencyMissing: it names personal data that presidio finds, and presidio is not installed.
        """
        return cls._checked(*read_mapping(Path(path)), name=str(path))

    @classmethod
    def parse(cls, text: str, *, name: str = "contract.yaml") -> Contract:
        """Read the text of a contract.yaml; `name` stands in the errors. Raises as `load` does."""
        return cls._checked(*parse_mapping(text, name=name), name=name)

    @classmethod
    def _checked(cls, values: dict[Any, Any], line_of: LineOf, *, name: str) -> Contract:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = (f"{name}:{line_of(fault['loc'])}: {_explain(fault)}" for fault in error.errors())
            raise ConfigFileError("; ".join(faults)) from error

    @property
    def name(self) -> str:
        """Twelve hexadecimal digits of the rules, the same in whatever order they are written; "" where there are none."""
        rules = self.model_dump(mode="json", exclude_defaults=True)
        canonical = json.dumps(rules, sort_keys=True, separators=(",", ":")).encode()
        return hashlib.sha256(canonical).hexdigest()[:12] if rules else ""

    def check_item(self, *, format: str, size: int) -> None:
        """Check what is known before an item is read: its format (a key of FORMATS or an extension) and size in bytes.

        Raises:
            ContractViolation: names every rule that is broken, what was found and what to do.
        """
        _refuse([*self._format_faults(format), *self.size.faults_of_item(size)])

    def check_document(self, *, text: str, metadata: Mapping[str, object], format: str) -> None:
        """Check a parsed document: format, metadata, characters, language. Its date is checked by `check_freshness`.

        Raises:
            ContractViolation: names every rule that is broken, what was found and what to do.
        """
        faults = (
            self._format_faults(format),
            self._metadata_faults(metadata),
            self.size.faults_of_text(text),
            self._language_faults(text),
        )
        _refuse(chain.from_iterable(faults))

    def check_freshness(self, metadata: Mapping[str, object], *, today: date) -> None:
        """Check the document's own date. Time passes, so this is for every run, unchanged documents included.

        The date is a date, a datetime or a text of ISO 8601; a time with an offset counts by its day in UTC, and a date
        to come is fresh.

        Raises:
            ContractViolation: the date is too long ago; or it is missing or unreadable, and not `optional`.
        """
        if self.freshness:
            _refuse(self.freshness.faults(metadata, today))

    def screen(self, text: str) -> tuple[str, tuple[PiiSpan, ...]]:
        """Apply the policy on personal data to a text.

        Returns:
            The text as it is to be stored, and where in it personal data (tag) or its replacements (redact) stand.
        Raises:
            PiiFound: there is some, and the policy is quarantine; names types and counts, never a value.
        """
        return self.pii.screen(text)

    def count_planted(self, *texts: str) -> int:
        """Return how many spans of the texts talk to a model; 0 where the policy is off.

        Raises:
            InjectionFound: there are some, and the policy is quarantine.
        """
        if self.injection == "off":
            return 0
        spans = sum(len(planted(text)) for text in texts)
        if spans and self.injection == "quarantine":
            raise InjectionFound(
                f"{spans} {'span' if spans == 1 else 'spans'} of its text, shown or hidden, talk to a model; remove them at the source, "
                "or set the contract's injection policy to flag"
            )
        return spans

    def _format_faults(self, format: str) -> Iterator[str]:
        if self.types and _format(format) not in self.types:
            yield f"types: the format is {format or 'unknown'}, allowed are {', '.join(self.types)}; convert or exclude it"

    def _metadata_faults(self, metadata: Mapping[str, object]) -> Iterator[str]:
        if absent := [key for key in self.require if is_empty(metadata.get(key))]:
            yield f"require: metadata without {', '.join(absent)}; add it at the source"

    def _language_faults(self, text: str) -> Iterator[str]:
        language = detect(text) if self.languages else None
        if language and language not in self.languages:
            yield f"languages: the text is in {language}, allowed are {', '.join(self.languages)}; translate or exclude it"


def _refuse(faults: Iterable[str]) -> None:
    if message := "; ".join(faults):
        raise ContractViolation(message)


def _format(name: str) -> str:
    return name if name in FORMATS else format_of(f"x.{name.removeprefix('.')}")


def _explain(fault: Mapping[str, Any]) -> str:
    """Return one of pydantic's faults as a sentence that names the key and what is expected."""
    key = ".".join(map(str, fault["loc"])) or "the file"
    if fault["type"] == "extra_forbidden":
        model = _PARTS[fault["loc"][0]] if len(fault["loc"]) > 1 else Contract
        return f"{key}: unknown key; there are {', '.join(model.model_fields)}"
    message = _PLAIN.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    if isinstance(fault["input"], bool) and "string" in message:
        message += "; YAML reads a bare yes, no, on and off as true and false: write it in quotes"
    return f"{key}: {message}"
