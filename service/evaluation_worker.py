"""The worker that holds the gates and runs which `POST /v1/evaluations` accepted: one at a time, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from indexes.errors import ConfigError, LoremillError
from indexes.vocabulary import Principal
from service.worker import Worker, answer_of, run_job

if TYPE_CHECKING:
    from rag.loremill import Loremill

GATES = "gates.yaml"
"""Among an evaluation's inputs, beside NAME.jsonl with the questions of the dataset NAME@VERSION."""
_ADVICE = "ask for the evaluation again"


class EvaluationWorker(Worker):
    """Runs queued evaluations."""

    def __init__(self, mill: Loremill) -> None:
        super().__init__(mill, name="evaluations", module="service.evaluation_worker")
        self._current: tuple[str, str] | None = None

    def end(self, tenant: str, name: str) -> None:
        """End the process of an evaluation that is no longer wanted, if this is the one at hand."""
        if self._current == (tenant, name):
            self._end_process()

    def _recover(self, tenant: str) -> None:
        self._mill.evaluations(tenant).requeue()

    def _work(self, tenant: str) -> bool:
        store = self._mill.evaluations(tenant)
        taken = None if self._stopping else store.next()
        if taken is None:
            return False
        name = str(taken["id"])
        self._current = (tenant, name)
        try:
            out, code = self._process_job({"tenant": tenant, "evaluation": taken, "inputs": str(store.inputs(name))})
        finally:
            self._current = None
        if self._stopping and code:
            store.requeue()
            return False
        error = answer_of(out, code, _ADVICE).get("error")
        if error is not None:
            store.close(name, error=error)  # one that was cancelled meanwhile stays cancelled
        return True


def work(job: dict[str, Any]) -> dict[str, object]:
    """Hold one gate, or run one dataset; what it found is in the store when this returns, else its error is returned."""
    from eval.gate_command import gate_releases
    from eval.run_command import run_release
    from indexes.settings import Settings
    from rag.auditing import Caller, caller
    from rag.loremill import Loremill

    caller.set(
        Caller("evaluation", actor=job["evaluation"]["subject"])
    )  # the questions' principals have not asked themselves
    asked, inputs, tenant = job["evaluation"]["asked"], Path(job["inputs"]), job["tenant"]
    settings = Settings.model_validate(job["settings"] | {"cache_entries": 0})  # else the second to be asked is faster
    with Loremill(settings) as mill, TemporaryDirectory(prefix="loremill-evaluation-") as out:
        shared: dict[str, Any] = {
            "dataset": inputs / f"{asked['dataset'].rpartition('@')[0]}.jsonl",
            "out": Path(out),
            "collection": job["evaluation"]["collection"],
            "tenant": tenant,
            "canaries": asked["canaries"],
            "resolve": within(mill, tenant),
            "evaluation": job["evaluation"]["id"],
        }
        try:
            if job["evaluation"]["kind"] == "run":
                run_release(mill, asked["release"], **shared)
            else:
                gate_releases(
                    mill, asked["candidate"], asked["baseline"], gates=inputs / GATES, repeats=asked["repeats"],
                    concurrency=asked["concurrency"], **shared,
                )  # fmt: skip
        except LoremillError as error:
            return {"error": {"type": type(error).__name__, "detail": without_paths(str(error), inputs)}}
    return {}


def within(mill: Loremill, tenant: str) -> Callable[[str], Principal]:
    """Return what resolves the principals of a dataset to those of one tenant; any other name is as unknown as one that nobody has."""

    def resolve(name: str) -> Principal:
        try:
            principal = mill.directory.resolve(name)
        except LoremillError:
            principal = None
        if principal is None or principal.tenant != tenant:
            raise ConfigError(f"no principal {name!r} of this tenant that may ask")
        return principal

    return resolve


def without_paths(text: str, folder: Path) -> str:
    """Leave the folder out of an error's text: it is the server's own."""
    return text.replace(f"{folder}/", "")


if __name__ == "__main__":
    run_job(work)
