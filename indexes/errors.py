"""The error tree. Every class says what went wrong, where, and what to do next.

    LoremillError
    +- ConfigError                              64   400
    |  +- ConfigFileError                       65   422
    +- DependencyMissing (also ImportError)     64   501
    +- IngestError                              65   422
    |  +- ParseError
    |  +- EncryptedDocument
    |  +- EmptyDocument
    |  +- TooLarge                              65   413
    |  +- TimedOut
    |  +- ContractViolation
    |  +- PiiFound
    |  +- InjectionFound
    |  +- Busy                                  65   409
    +- IndexBackendError                        70   500
    |  +- CollectionNotFound                    65   404
    |  +- ReleaseNotFound                       65   404
    |  +- ReceiptNotFound                       65   404
    |  +- MemoryNotFound                        65   404
    |  +- DimensionMismatch
    |  +- UnsupportedFilter                     64   400
    |  +- BuildCorrupt
    +- AccessDenied                             64   403
    +- ProviderError                            70   502
    |  +- EmbedderError
    |  +- GeneratorError
    |  +- IssuerUnavailable                     70   503
    +- PromotionRefused                          1   409
    +- DatasetError                             65   422

The two columns are the exit code of the command line and the HTTP status; a subclass without figures inherits them.
Abstaining is an `Answer` and a failed gate is a `GateResult`; neither is an error.
"""

from __future__ import annotations

from typing import ClassVar


class LoremillError(Exception):
    """Root of all errors that Loremill raises on purpose."""

    exit_code: ClassVar[int] = 70
    http_status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"


class ConfigError(LoremillError):
    """A setting, an argument or a file that configures Loremill is wrong."""

    exit_code = 64
    http_status = 400
    title = "Bad request"


class ConfigFileError(ConfigError):
    """A file of rights, principals or settings is missing or malformed; the message names file and line."""

    exit_code = 65
    http_status = 422
    title = "Bad file"


class DependencyMissing(LoremillError, ImportError):
    """An optional package is needed; `install` is the command that brings it: by Loremill's `extra`, else by itself."""

    exit_code = 64
    http_status = 501
    title = "Optional dependency missing"

    def __init__(self, package: str, *, extra: str = "") -> None:
        self.extra = extra
        self.install = f"pip install 'loremill[{extra}]'" if extra else f"pip install {package}"
        super().__init__(f"{package} is not installed; run: {self.install}")


class IngestError(LoremillError):
    """A source or one of its documents cannot be ingested."""

    exit_code = 65
    http_status = 422
    title = "Document cannot be ingested"


class ParseError(IngestError):
    """The bytes are not what their format promises."""


class EncryptedDocument(IngestError):
    """The document needs a password."""


class EmptyDocument(IngestError):
    """The document has no text."""


class TooLarge(IngestError):
    """The document or request passes a size limit."""

    http_status = 413
    title = "Too large"


class TimedOut(IngestError):
    """Parsing took longer than the limit."""


class ContractViolation(IngestError):
    """The document breaks its collection's contract; the message names each rule, what was found and what to do."""

    title = "Data contract violated"


class PiiFound(IngestError):
    """The document holds personal data, and its collection's contract keeps such documents out. Names types, no values."""

    title = "Personal data found"


class InjectionFound(IngestError):
    """The document talks to a model, and its collection's contract keeps such documents out. Says how often, never what."""

    title = "Planted instructions found"


class Busy(IngestError):
    """Another ingestion of the collection is running; nothing is wrong with what was asked."""

    http_status = 409
    title = "Another ingestion is running"


class IndexBackendError(LoremillError):
    """An index or the catalog failed."""

    title = "Index failure"


class CollectionNotFound(IndexBackendError):
    """No such collection in the principal's tenant."""

    exit_code = 65
    http_status = 404
    title = "Collection not found"


class ReleaseNotFound(IndexBackendError):
    """The collection has no such release, or its build is not kept any more."""

    exit_code = 65
    http_status = 404
    title = "Release not found"


class ReceiptNotFound(IndexBackendError):
    """There is no receipt of that id or in that file."""

    exit_code = 65
    http_status = 404
    title = "Receipt not found"


class MemoryNotFound(IndexBackendError):
    """Memory has no such item or decision that the principal may read. The text is the same whether it exists or not."""

    exit_code = 65
    http_status = 404
    title = "Memory not found"


class DimensionMismatch(IndexBackendError):
    """Vectors of one length met an index of another."""


class UnsupportedFilter(IndexBackendError):
    """A backend cannot apply a filter during the search, so it does not search at all."""

    exit_code = 64
    http_status = 400
    title = "Unsupported filter"


class BuildCorrupt(IndexBackendError):
    """A build's files do not agree with its manifest or with the catalog."""


class AccessDenied(LoremillError):
    """The principal may not do this. The text is the same whether the thing exists or not."""

    exit_code = 64
    http_status = 403
    title = "Access denied"

    def __init__(self, principal: object, message: str = "access denied") -> None:
        self.principal = principal
        super().__init__(message)


class ProviderError(LoremillError):
    """A model provider failed; `retry_after_s` is its own advice, where it gave one."""

    http_status = 502
    title = "Model provider failed"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class EmbedderError(ProviderError):
    """The embedder cannot be loaded or failed."""


class GeneratorError(ProviderError):
    """The generator cannot be loaded or failed."""


class IssuerUnavailable(ProviderError):
    """The keys that tokens are checked with cannot be had. Says nothing of the token, hence no 401."""

    http_status = 503
    title = "Tokens cannot be checked"


class PromotionRefused(LoremillError):
    """A release may not go live: no gate record lets it, or the documents have changed since it was made. Nothing has changed."""

    exit_code = 1
    http_status = 409
    title = "Promotion refused"


class DatasetError(LoremillError):
    """An evaluation file is malformed; `path` and `line` (1-based) say where."""

    exit_code = 65
    http_status = 422
    title = "Bad evaluation data"

    def __init__(self, message: str, *, path: str, line: int | None = None) -> None:
        self.path = path
        self.line = line
        where = path if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {message}")
