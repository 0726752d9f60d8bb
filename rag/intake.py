"""What a caller asks to be ingested becomes an order: the source opened, its rights and its contract read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import ConfigError, ConfigFileError
from indexes.vocabulary import Acl
from ingest.acl_file import AclRules
from ingest.contract import Contract
from ingest.rights import Rights
from ingest.scan import Order
from ingest.sources import Source, open_source, open_source_spec


@dataclass(frozen=True, slots=True)
class Intake:
    """An opened source with what decides over its documents.

    Args:
        acl: file of rules; None means acl.yaml in the source's root, if there is one.
        allow: who may read everything, where there are no rules.
        contract: file; None means contract.yaml in the source's root, if there is one.
    """

    source: Source
    acl: str | None = None
    allow: tuple[str, ...] | None = None
    contract: str | None = None

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        format: str = "auto",
        query: str | None = None,
        acl: str | Path | None = None,
        allow: Sequence[str] | None = None,
        contract: str | Path | None = None,
    ) -> Intake:
        """Open the source.

        Raises:
            IngestError: it is missing or empty.
            ConfigError: an argument is wrong, or two contradict each other.
        """
        if acl is not None and allow is not None:
            raise ConfigError("give either an ACL file or names to allow, not both")
        return cls(
            open_source(location, format=format, query=query),
            _absolute(acl),
            None if allow is None else Acl(tuple(allow)).allow,
            _absolute(contract),
        )

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Intake:
        """Open again what `spec` wrote down."""
        allow = spec.get("allow")
        return cls(
            open_source_spec(spec["source"]),
            spec.get("acl"),
            None if allow is None else tuple(allow),
            spec.get("contract"),
        )

    @property
    def spec(self) -> dict[str, Any]:
        """How to open this again, as JSON; empty for a source that cannot be."""
        if not self.source.spec:
            return {}
        allow = None if self.allow is None else list(self.allow)
        return {"source": dict(self.source.spec), "acl": self.acl, "allow": allow, "contract": self.contract}

    def order(self, *, full: bool = False, retry: frozenset[str] = frozenset()) -> tuple[Order, str | None]:
        """Return what `Ingestion.run` takes, and the tenant that the ACL file names.

        Raises:
            ConfigFileError: a file of rights or the contract is missing or malformed.
        """
        rules = self._rules()
        order = Order(
            self.source, Rights(rules, self.allow), contract=self._contract(), spec=self.spec, full=full, retry=retry
        )
        return order, None if rules is None else rules.tenant

    def _rules(self) -> AclRules | None:
        if self.acl is not None:
            return AclRules.load(self.acl)
        beside = self._beside("acl.yaml")
        if beside is not None and self.allow is not None:
            raise ConfigError(
                f"{self._name('acl.yaml')} says who may read these documents: leave out --allow, or name a file with --acl"
            )
        return None if beside is None else AclRules.parse(beside, name=self._name("acl.yaml"))

    def _contract(self) -> Contract:
        if self.contract is not None:
            return Contract.load(self.contract)
        beside = self._beside("contract.yaml")
        return Contract() if beside is None else Contract.parse(beside, name=self._name("contract.yaml"))

    def _beside(self, name: str) -> str | None:
        data = self.source.read_control(name)
        try:
            return None if data is None else data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigFileError(f"{self._name(name)} cannot be read: {error}") from error

    def _name(self, name: str) -> str:
        return f"{name} of {self.source.name}"


def _absolute(path: str | Path | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())
