"""Personal data in text: find it, and write the text without it.

Seven rules of our own cover what stands in every organisation's documents; presidio-analyzer's pattern recognisers add
sixty identifiers of single countries on request. Names of people, places and organisations need a language model and
are not found: a text without finds is not an anonymous text.
"""

from ingest.pii.find import RULES, THRESHOLD, TYPES, check_types, find
from ingest.pii.spans import PiiSpan, redact

__all__ = ["RULES", "THRESHOLD", "TYPES", "PiiSpan", "check_types", "find", "redact"]
