"""What `POST /v1/evaluations` does with a request: all that can be checked before the first question is, and the rest waits for the worker."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from indexes.errors import ConfigFileError, DatasetError
from indexes.vocabulary import Principal, check_name
from service.evaluation_worker import GATES, without_paths
from service.schemas import EvaluationRequest

if TYPE_CHECKING:
    from rag.loremill import Loremill


def submit(mill: Loremill, body: EvaluationRequest, *, principal: Principal) -> dict[str, Any]:
    """Queue the evaluation and return how it stands.

    Raises:
        ReleaseNotFound, CollectionNotFound: of the principal's tenant.
        ConfigError: the gates ask for what there is not.
        ConfigFileError: the dataset is not there, or not fit for use; the message names the line, which is the question's number.
    """
    from eval.gates import parse_gates

    tenant = principal.tenant
    named = {"collection": body.collection, "tenant": tenant}
    asked: dict[str, Any] = {"canaries": body.canaries}
    files: dict[str, str] = {}
    if body.kind == "gate":
        parse_gates(body.gates)
        files[GATES] = json.dumps(body.gates)
        asked |= {"candidate": mill.release(str(body.candidate), **named).id, "concurrency": body.concurrency}
        asked |= {"baseline": mill.release(body.baseline, **named).id, "repeats": body.repeats}
    else:
        asked["release"] = mill.release(str(body.release), **named).id
    text = _uploaded(body) if body.questions is not None else _kept(mill, tenant, body.dataset)
    files[f"{body.dataset}.jsonl"] = text
    asked["dataset"] = _checked(text, body.dataset, gate=body.kind == "gate")
    return mill.submit_evaluation(body.kind, collection=body.collection, principal=principal, asked=asked, files=files)


def _uploaded(body: EvaluationRequest) -> str:
    return "".join(json.dumps(row) + "\n" for row in body.questions or ())


def _kept(mill: Loremill, tenant: str, name: str) -> str:
    """Return a dataset that the operator has put into the tenant's folder `datasets`."""
    from rag.tenant import tenant_folder

    try:
        return (tenant_folder(mill.home, tenant) / "datasets" / f"{name}.jsonl").read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ConfigFileError(f"there is no dataset {name!r} here: send its questions, or ask the operator") from None


def _checked(text: str, name: str, *, gate: bool) -> str:
    """Return NAME@VERSION of a dataset that is fit for use."""
    from eval.dataset_check import check_dataset

    with TemporaryDirectory(prefix="loremill-dataset-") as folder:
        path = Path(folder) / f"{check_name(name, 'dataset')}.jsonl"
        path.write_text(text, encoding="utf-8")
        try:
            return str(check_dataset(path, gate=gate).require())
        except DatasetError as error:
            raise ConfigFileError(without_paths(str(error), Path(folder))) from None
