"""What a server does beside its answers: a thread takes jobs, and each runs in a process of its own, at low priority.

A process of its own, so that neither a poisonous document nor the load of embedding reaches the people who ask: the
server's thread only starts it, waits, and writes down how it ended. `IngestionWorker` ingests what `POST /v1/ingestions` accepted and takes deleted
documents off the disk; `service.evaluation_worker` holds gates.
"""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import LoremillError
from service.schemas import for_editor
from service.telemetry import Metrics

if TYPE_CHECKING:
    from rag.loremill import Loremill

log = logging.getLogger("loremill.ingest")

_NICENESS = 10
_ADVICE = "submit the documents again"
_LOOK_S = 5.0
"""Another server on the same home may have stopped and left work; a submission here wakes the thread at once."""


class Worker:
    """Runs jobs one after another until `close`; a subclass says where they come from.

    Args:
        module: run as `python -m MODULE` for each job, where it calls `run_job`.
    """

    def __init__(self, mill: Loremill, *, name: str, module: str) -> None:
        self._mill = mill
        self._name, self._module = name, module
        self._wake = threading.Event()
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _recover(self, tenant: str) -> None:
        """Queue again what an earlier server left running."""
        raise NotImplementedError

    def _work(self, tenant: str) -> bool:
        """Do one job of a tenant; False where there is none."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin, first with what an earlier server left."""
        from rag.tenant import tenant_names

        for tenant in tenant_names(self._mill.home, self._mill.settings):
            self._recover(tenant)
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def close(self) -> None:
        """End the process at hand, whose job the next server begins again, and the thread."""
        self._stopping = True
        self._wake.set()
        self._end_process()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _end_process(self) -> None:
        if (process := self._process) is not None:
            with suppress(ProcessLookupError):
                process.terminate()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            busy = False
            for tenant in self._tenants():
                try:
                    busy |= self._work(tenant)
                except LoremillError as error:
                    log.error("%s of a tenant cannot be run: %s", self._name, error)
            if not busy:
                self._wake.wait(_LOOK_S)

    def _tenants(self) -> list[str]:
        """The tenants that there are; none while the catalogs' server is away, which ends no worker."""
        from rag.tenant import tenant_names

        try:
            return tenant_names(self._mill.home, self._mill.settings)
        except LoremillError as error:
            log.error("%s: tenants cannot be listed: %s", self._name, error)
            return []

    def _process_job(self, job: Mapping[str, Any]) -> tuple[bytes, int]:
        """Run one job in a process of its own; return what it printed and its code."""
        settings = json.loads(self._mill.settings.model_dump_json()) | {"home": str(self._mill.home)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
        )
        out, _ = self._process.communicate(json.dumps({**job, "settings": settings}).encode())
        return out, self._process.returncode


class IngestionWorker(Worker):
    """Runs queued ingestions and deletions."""

    def __init__(self, mill: Loremill, metrics: Metrics) -> None:
        super().__init__(mill, name="ingestions", module="service.worker")
        self._metrics = metrics

    def _recover(self, tenant: str) -> None:
        self._mill.inbox(tenant).requeue()

    def _run(self) -> None:
        try:
            self._mill.finish_erasures()
        except LoremillError as error:
            log.error("an erasure that was interrupted is not finished: %s", error)
        super()._run()

    def _work(self, tenant: str) -> bool:
        inbox = self._mill.inbox(tenant)
        taken = None if self._stopping else inbox.next()
        if taken is None:
            return self._remove_deleted(tenant)
        name, collection = taken
        out, code = self._process_job({"payload": str(inbox.payload(name)), "collection": collection, "tenant": tenant})
        if self._stopping and code:
            inbox.requeue()
            return False
        answer = answer_of(out, code, _ADVICE)
        report = answer.get("report")
        if report is not None:
            self._metrics.ingested(report, name_collections=False)
        inbox.close(name, report=None if report is None else for_editor(report, known=False), error=answer.get("error"))
        return True

    def _remove_deleted(self, tenant: str) -> bool:
        """Take off the disk what was deleted, once for all deletions so far; what cannot be done now is tried again."""
        collections = [] if self._stopping else self._mill.withdrawn(tenant)
        done = False
        for collection in collections:
            out, code = self._process_job({"collection": collection, "tenant": tenant})
            error = answer_of(out, code, _ADVICE).get("error")
            if error is not None and not self._stopping:
                log.warning("deleted documents of a collection are still on the disk: %s", error["detail"])
            done |= error is None
        return done


def answer_of(out: bytes, code: int, advice: str) -> dict[str, dict[str, Any]]:
    """Return what a job's process printed, or the error that it printed nothing of use."""
    try:
        answer = json.loads(out)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return answer
    return {"error": {"type": "InternalError", "detail": f"the worker ended with code {code}; {advice}"}}


def run_job(work: Callable[[dict[str, Any]], Mapping[str, object]]) -> None:
    """What a job's process does: read the job from stdin and print the answer."""
    os.nice(_NICENESS)
    print(json.dumps(work(json.load(sys.stdin))))


def work(job: dict[str, Any]) -> dict[str, object]:
    """Ingest one payload and return its report, or its error, as JSON; without a payload, take deleted documents off the disk."""
    from indexes.settings import Settings
    from rag.loremill import Loremill

    with Loremill(Settings.model_validate(job["settings"])) as mill:
        try:
            if "payload" not in job:
                mill.remove_withdrawn(job["collection"], tenant=job["tenant"])
                return {}
            report = mill.put_documents(
                Path(job["payload"]), collection=job["collection"], tenant=job["tenant"], wait_s=math.inf
            )
        except LoremillError as error:
            return {"error": {"type": type(error).__name__, "detail": str(error)}}
    return {"report": report.to_json()}


if __name__ == "__main__":
    run_job(work)
