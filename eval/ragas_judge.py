"""ragas's judged measures, run by ragas's own code, with our judge behind them.

Between the two stands an `Examiner`: it shows the judge each of ragas's tasks with the material fenced, reads the reply strictly, and checks that the
output answers all of the input. Some measures of ragas swallow an error and score what is left; so the examiner remembers each fault, and one fault
fails the judgement whatever value came out.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

from eval.judge import Judge
from eval.judge_prompt import judge_messages
from eval.judge_reply import read_reply
from eval.judgement import JudgementFailed
from eval.ragas_checks import check_output
from indexes.embedder import Embedder
from indexes.errors import DependencyMissing


@dataclass(frozen=True, slots=True)
class JudgedMeasure:
    """One of ragas's measures: its class, what it needs of a row, and which way is better."""

    ragas_class: str
    needs: tuple[str, ...]
    direction: str = "higher"
    options: Mapping[str, Any] = field(default_factory=dict)
    embeds: bool = False


_RCR: Final = ("user_input", "response", "retrieved_contexts")
JUDGED: Final[Mapping[str, JudgedMeasure]] = {
    "faithfulness": JudgedMeasure("Faithfulness", _RCR),
    "answer_relevancy": JudgedMeasure("AnswerRelevancy", ("user_input", "response"), embeds=True),
    "context_precision": JudgedMeasure("ContextPrecision", ("user_input", "reference", "retrieved_contexts")),
    "context_recall": JudgedMeasure("ContextRecall", ("user_input", "reference", "retrieved_contexts")),
    "factual_correctness": JudgedMeasure("FactualCorrectness", ("response", "reference")),
    "noise_sensitivity": JudgedMeasure("NoiseSensitivity", (*_RCR, "reference"), direction="lower"),
    "nv_accuracy": JudgedMeasure("AnswerAccuracy", ("user_input", "response", "reference"), options={"max_retries": 1}),
    "nv_context_relevance": JudgedMeasure(
        "ContextRelevance", ("user_input", "retrieved_contexts"), options={"max_retries": 1}
    ),
    "nv_response_groundedness": JudgedMeasure(
        "ResponseGroundedness", ("response", "retrieved_contexts"), options={"max_retries": 1}
    ),
}
"""Source: Es et al., arXiv:2309.15217; ragas 0.4.3. The options keep ragas from asking a judge again until it says something valid."""


@lru_cache(maxsize=1)
def collections() -> ModuleType:
    """Return ragas's module of measures, with its telemetry off.

    Raises:
        DependencyMissing: ragas is not installed.
    """
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"
    try:
        from ragas.embeddings.base import BaseRagasEmbedding
        from ragas.llms.base import InstructorBaseRagasLLM
        from ragas.metrics import collections as measures
    except ImportError as error:
        raise DependencyMissing("ragas", extra="eval") from error
    InstructorBaseRagasLLM.register(Examiner)  # abstract classes of ragas's: registered, so that none need be imported
    BaseRagasEmbedding.register(RagasEmbedder)
    module: ModuleType = measures
    return module


async def score_row(
    name: str, row: Mapping[str, Any], *, judge: Judge, embedder: Embedder | None = None, draw: str = ""
) -> float:
    """Return one measure of one row.

    A row in which the system left blank what is to be judged (no response, nothing retrieved) has the measure's worst
    value, and the judge is not asked.

    Args:
        name: a key of `JUDGED`.
        row: the columns that the measure needs, under ragas's names.
        embedder: for `answer_relevancy`.
        draw: tells repeats apart.
    Returns:
        a value in [0, 1]; `answer_relevancy` is a cosine and may be below 0.
    Raises:
        JudgementFailed: some exchange with the judge failed, or the value is no number.
        ProviderError, DependencyMissing: see `Judge.reply`, `collections`.
    """
    measure = JUDGED[name]
    if any(not _there(row[column]) for column in measure.needs if column in {"response", "retrieved_contexts"}):
        return 0.0 if measure.direction == "higher" else 1.0
    examiner = Examiner(judge, draw)
    parts: dict[str, Any] = {"llm": examiner, **measure.options}
    if measure.embeds:
        if embedder is None:
            raise ValueError(f"{name} needs an embedder")
        parts["embeddings"] = RagasEmbedder(embedder)
    scorer = getattr(collections(), measure.ragas_class)(**parts)
    _show_to_examiner(scorer)
    try:
        result = await scorer.ascore(**{column: row[column] for column in measure.needs})
    except JudgementFailed:
        raise
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        LookupError,
    ) as error:  # ragas's own; the server's are the examiner's
        raise JudgementFailed(f"ragas: {type(error).__name__}: {error}"[:300]) from error
    examiner.raise_faults()
    value = float(result.value)
    if not math.isfinite(value):
        raise JudgementFailed("the measure has no value")
    return value


class Examiner:
    """Stands where ragas expects a language model; one for each judgement, so that its faults are of that one alone."""

    def __init__(self, judge: Judge, draw: str) -> None:
        self._judge, self._draw = judge, draw
        self._faults: list[BaseException] = []
        self._asked: Counter[tuple[str, ...]] = Counter()

    def generate(self, prompt: Task, response_model: Any) -> Any:
        raise NotImplementedError("only asynchronous measures are used")

    async def agenerate(self, prompt: Task, response_model: Any) -> Any:
        """Return a checked `response_model`; JudgementFailed and ProviderError are remembered besides being raised."""
        try:
            messages = judge_messages(prompt.text, prompt.material)
            shown = tuple(message["content"] for message in messages)
            self._asked[shown] += 1  # answer relevancy asks the same thing three times and wants three replies
            draw = f"{self._draw}/{self._asked[shown]}"
            reply = await self._judge.reply(messages, schema=response_model.model_json_schema(), draw=draw)
            output = read_reply(reply, response_model.model_validate)
            check_output(prompt.asked, output)
        except Exception as error:
            self._faults.append(error)
            raise
        return output

    def raise_faults(self) -> None:
        """Raise what went wrong on the way, if anything did."""
        if self._faults:
            raise self._faults[0]


class RagasEmbedder:
    """Our embedder where ragas expects one of its own."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def embed_text(self, text: str, **options: Any) -> list[float]:
        return self.embed_texts([text])[0]

    def embed_texts(self, texts: Sequence[str], **options: Any) -> list[list[float]]:
        rows: list[list[float]] = self._embedder.embed_queries(list(texts)).tolist()
        return rows

    async def aembed_text(self, text: str, **options: Any) -> list[float]:
        return self.embed_text(text)

    async def aembed_texts(self, texts: Sequence[str], **options: Any) -> list[list[float]]:
        return self.embed_texts(texts)


@dataclass(frozen=True, slots=True)
class Task:
    """One of ragas's prompts taken apart: the task with its schema and examples, and the input it is put to."""

    text: str
    material: Mapping[str, Any]
    asked: Any


@dataclass(frozen=True, slots=True)
class _Prompt:
    """Stands for a prompt of ragas's; what its measure takes for a string is a `Task`."""

    prompt: Any

    def to_string(self, asked: Any) -> Task:
        tail = (
            "Now perform the same with the following input\n"
            f"input: {asked.model_dump_json(indent=4, exclude_none=True)}\nOutput: "
        )
        whole = self.prompt.to_string(asked)
        if not whole.endswith(tail):  # never guess where the task ends: the input may hold anything
            raise JudgementFailed("this version of ragas puts its prompts together in another way; 0.4.3 is supported")
        return Task(whole.removesuffix(tail), asked.model_dump(exclude_none=True), asked)


@dataclass(frozen=True, slots=True)
class _Renamed:
    """A prompt of `Faithfulness` in place of the equal task that noise sensitivity words for itself."""

    prompt: _Prompt
    input_model: Any

    def to_string(self, asked: Any) -> Task:
        fields = asked.model_dump()
        if "text" in fields:
            fields["answer"] = fields.pop("text")
        return self.prompt.to_string(self.input_model(**fields))


def _show_to_examiner(scorer: Any) -> None:
    from ragas.metrics.collections.faithfulness import util
    from ragas.prompt.metrics.base_prompt import BasePrompt

    for name, value in list(vars(scorer).items()):
        if isinstance(value, BasePrompt):
            setattr(scorer, name, _Prompt(value))
    if type(scorer).__name__ == "NoiseSensitivity":
        scorer.statement_prompt = _Renamed(_Prompt(util.StatementGeneratorPrompt()), util.StatementGeneratorInput)
        scorer.faithfulness_prompt = _Renamed(_Prompt(util.NLIStatementPrompt()), util.NLIStatementInput)


def _there(value: str | Sequence[str]) -> bool:
    return bool(value.strip()) if isinstance(value, str) else any(text.strip() for text in value)
