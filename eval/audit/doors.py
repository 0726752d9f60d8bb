"""All doors of the facade: each a function that asks as one person and lets the trial judge everything that comes out."""

from __future__ import annotations

from eval.audit.answer_doors import ANSWER_DOORS
from eval.audit.listing_doors import LISTING_DOORS
from eval.audit.memory_doors import Library, memory_doors
from eval.audit.refusal_doors import REFUSAL_DOORS
from eval.audit.search_doors import SEARCH_DOORS
from eval.audit.trial import Door

DOORS: dict[str, tuple[Door, float]] = {
    **SEARCH_DOORS, **LISTING_DOORS, **REFUSAL_DOORS, **ANSWER_DOORS, **memory_doors("memory", Library)
}  # fmt: skip
"""Each door with its weight: cheap ones often, answers seldom."""
