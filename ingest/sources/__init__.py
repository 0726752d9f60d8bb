"""Where documents come from, behind one protocol: `open_source` gives a Source, which lists SourceItems."""

from ingest.sources.base import CONTROL_FILES, Source, SourceItem
from ingest.sources.factory import open_source, open_source_spec
from ingest.sources.push import PushedBatch, PushedDocument
from ingest.sources.watch import changes

__all__ = [
    "CONTROL_FILES",
    "PushedBatch",
    "PushedDocument",
    "Source",
    "SourceItem",
    "changes",
    "open_source",
    "open_source_spec",
]
