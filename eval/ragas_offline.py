"""ragas's measures that need no judge: over document ids, over strings, over embeddings. Run by ragas's own code, offline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eval.ragas_judge import RagasEmbedder, collections
from indexes.embedder import Embedder
from indexes.errors import ConfigError, DependencyMissing


@dataclass(frozen=True, slots=True)
class OfflineRow:
    """One question with what the system made of it, under ragas's names; ids are those of documents."""

    id: str
    response: str = ""
    reference: str = ""
    retrieved_contexts: tuple[str, ...] = ()
    reference_contexts: tuple[str, ...] = ()
    retrieved_context_ids: tuple[str, ...] = ()
    reference_context_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OfflineMeasure:
    """A class of `ragas.metrics`, the column of the system's that it scores, and that of the dataset it scores it by."""

    ragas_class: str
    scored: str
    by: str
    options: Mapping[str, Any] = field(default_factory=dict)


OFFLINE: Final[Mapping[str, OfflineMeasure]] = {
    "id_based_context_precision": OfflineMeasure(
        "IDBasedContextPrecision", "retrieved_context_ids", "reference_context_ids"
    ),
    "id_based_context_recall": OfflineMeasure("IDBasedContextRecall", "retrieved_context_ids", "reference_context_ids"),
    "non_llm_context_precision_with_reference": OfflineMeasure(
        "NonLLMContextPrecisionWithReference", "retrieved_contexts", "reference_contexts"
    ),
    "non_llm_context_recall": OfflineMeasure("NonLLMContextRecall", "retrieved_contexts", "reference_contexts"),
    "non_llm_string_similarity": OfflineMeasure("NonLLMStringSimilarity", "response", "reference"),
    "rouge_score": OfflineMeasure("RougeScore", "response", "reference"),
    "chrf_score": OfflineMeasure("ChrfScore", "response", "reference"),
    "exact_match": OfflineMeasure("ExactMatch", "response", "reference"),
    "string_present": OfflineMeasure("StringPresence", "response", "reference"),
    "semantic_similarity": OfflineMeasure("SemanticSimilarity", "response", "reference"),
}
"""Higher is better, in [0, 1] (`semantic_similarity` is a cosine). ragas's BLEU is left out: it fails where answer and
reference differ in their number of sentences."""


def score_offline(
    rows: Sequence[OfflineRow], *, measures: Sequence[str], embedder: Embedder | None = None
) -> dict[str, dict[str, float]]:
    """Return measure -> question id -> value, for the questions whose column of the dataset the measure needs is filled.

    A row in which the system's column is empty (nothing retrieved, no response) has 0, where ragas would say NaN or raise.

    Raises:
        ConfigError: a measure is unknown, or `semantic_similarity` has no embedder.
        DependencyMissing: ragas, or a package that one of its measures needs, is not installed.
    """
    if unknown := [name for name in measures if name not in OFFLINE]:
        raise ConfigError(f"no offline measure {unknown[0]!r}; there are: {', '.join(OFFLINE)}")
    if "semantic_similarity" in measures and embedder is None:
        raise ConfigError("semantic_similarity needs an embedder")
    return asyncio.run(_scored(rows, measures, embedder))


async def _scored(
    rows: Sequence[OfflineRow], measures: Sequence[str], embedder: Embedder | None
) -> dict[str, dict[str, float]]:
    scores: dict[str, dict[str, float]] = {}
    for name in measures:
        measure = OFFLINE[name]
        score = _scorer(measure, embedder)
        scores[name] = {
            row.id: await score(row) if _filled(getattr(row, measure.scored)) else 0.0
            for row in rows
            if _filled(getattr(row, measure.by))
        }
    return scores


def _scorer(measure: OfflineMeasure, embedder: Embedder | None) -> Any:
    modern = collections()  # also tells ragas not to report
    if measure.ragas_class == "SemanticSimilarity":
        assert embedder is not None
        similarity = modern.SemanticSimilarity(embeddings=RagasEmbedder(embedder))

        async def similar(row: OfflineRow) -> float:
            return _number((await similarity.ascore(reference=row.reference, response=row.response)).value)

        return similar
    import warnings

    from ragas import metrics
    from ragas.dataset_schema import SingleTurnSample

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that judged measures moved; these have not
        ragas_class = getattr(metrics, measure.ragas_class)
    try:
        metric = ragas_class(**measure.options)
    except ImportError as error:
        raise DependencyMissing(error.name or "a package of ragas's", extra="eval") from error

    async def scored(row: OfflineRow) -> float:
        columns = {name: getattr(row, name) for name in (measure.scored, measure.by)}
        sample = SingleTurnSample(
            **{name: list(value) if isinstance(value, tuple) else value for name, value in columns.items()}
        )
        return _number(await metric.single_turn_ascore(sample))

    return scored


def _filled(value: str | Sequence[str]) -> bool:
    return bool(value.strip()) if isinstance(value, str) else bool(value)


def _number(value: Any) -> float:
    if not math.isfinite(number := float(value)):
        raise ArithmeticError("ragas returned no number for a row with all it needs")
    return number
