"""The CUDA encoder against sentence-transformers' `encode` with its defaults on the same device.

    python -m eval.bench.gpu                                                     # a GPU: 300 M parameters, a million short texts
    python -m eval.bench.gpu --device cpu --shape tiny --texts 200               # the same steps where there is none

The model has random weights of the shape asked for: speed does not depend on them. The same hits as on the CPU are checked with the
packaged MiniLM, whose weights are real. The busy share is the device's, sampled by its driver every 50 ms (`nvidia-smi`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eval.bench.embedding import sets_of_texts
from eval.report import table
from indexes.device import cuda_devices
from indexes.minilm import MiniLM
from indexes.torch_encoder import TorchEncoder

SHAPES = {"tiny": (128, 2, 2), "minilm": (384, 6, 12), "300m": (1024, 22, 16)}
"""Hidden size, layers, heads; the feed-forward part is four times as wide as the hidden size."""
_PARTS = 5
Row = tuple[str, float, str]


@dataclass(frozen=True, slots=True)
class Workload:
    """Texts, with their tokens counted once."""

    texts: Sequence[str]
    tokens: int


def random_model(shape: str, folder: Path, device: str) -> Any:
    """Return a SentenceTransformer of BERT's architecture with random weights and the tokenizer in `folder`."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel

    hidden, layers, heads = SHAPES[shape]
    config = BertConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden
    )
    body = Transformer(str(folder), max_seq_length=256)
    body.model = BertModel(config)
    return SentenceTransformer(modules=[body, Pooling(hidden)], device=device)


def flops_a_token(model: Any, tokens: float) -> float:
    """Floating point operations of one token in a text of `tokens`: two a weight of the layers, and attention's products."""
    body = model[0].model
    weights = sum(parameter.numel() for parameter in body.encoder.parameters())
    return float(2 * weights + 4 * body.config.num_hidden_layers * body.config.hidden_size * tokens)


def peak_flops(device: str, *, size: int, repeats: int = 20) -> float:
    """Measure the matrix product's peak: operations a second of `size` x `size` products in the precision that is used there."""
    import torch

    kind = torch.float16 if device.startswith("cuda") else torch.float32
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))

    def products() -> None:
        for _ in range(repeats):
            left @ right

    products()
    return 2 * size**3 * repeats / min(seconds(products, device) for _ in range(3))


def seconds(work: Callable[[], object], device: str) -> float:
    """Return the wall time of `work`, with all that it queued on the device."""
    import torch

    on_cuda = device.startswith("cuda")
    if on_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if on_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def busy_share(work: Callable[[], object]) -> float:
    """Return the mean share of time, in [0, 1], in which the GPU ran a kernel while `work` did; NaN without nvidia-smi."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", "0", "-lms", "50"]
    try:
        sampler = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        work()
        return float("nan")
    try:
        work()
    finally:
        sampler.terminate()
        samples = [float(line) for line in sampler.communicate()[0].split()]
    return float(np.mean(samples)) / 100 if samples else float("nan")


def speed(ours: Any, theirs: Any, load: Workload, *, device: str, peak: float) -> list[Row]:
    """Compare tokens a second, part by part in turn, and with the peak. Both models have the same weights."""
    encoder = TorchEncoder(ours)
    size = -(-len(load.texts) // _PARTS)
    parts = [load.texts[at : at + size] for at in range(0, len(load.texts), size)]
    encoder.embed(parts[0]), theirs.encode(list(parts[0][:256]), show_progress_bar=False)
    mine: list[float] = []
    reference: list[float] = []
    for part in parts:
        mine.append(seconds(lambda part=part: encoder.embed(part), device))  # type: ignore[misc]
        reference.append(seconds(lambda part=part: theirs.encode(list(part), show_progress_bar=False), device))  # type: ignore[misc]
    a_second = load.tokens / sum(mine)
    operations = flops_a_token(ours, load.tokens / len(load.texts))
    return [
        ("tokens a second, sentence-transformers", load.tokens / sum(reference), ""),
        ("tokens a second, ours", a_second, ""),
        ("ratio, median of the parts", median(b / a for a, b in zip(mine, reference, strict=True)), "x"),
        ("matrix product, measured peak", peak / 1e12, "TFLOP/s"),
        ("of the peak", a_second * operations / peak, "share"),
        ("device busy", busy_share(lambda: encoder.embed(load.texts)), "share (nan: no nvidia-smi)"),
    ]


def same_hits(minilm: MiniLM, texts: Sequence[str], device: str) -> list[Row]:
    """Compare the vectors and the ten nearest neighbours of each text with those of the CPU's exact setting."""
    from sentence_transformers import SentenceTransformer

    there = TorchEncoder(SentenceTransformer(str(minilm._folder), device=device)).embed(texts)
    here = minilm.embed_passages(texts)
    nearest = [np.argsort(-(rows @ rows.T), axis=1, kind="stable")[:, :10] for rows in (here, there)]
    same = np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(*nearest, strict=True)])
    return [
        ("least cosine to the CPU's vectors", float((here * there).sum(axis=1).min()), ""),
        ("of ten hits on the CPU, the same on the device", float(same), "share"),
    ]


def measure(given: argparse.Namespace) -> list[Row]:
    """Take every figure."""
    minilm = MiniLM(cache=given.cache, device="cpu")
    kinds = sets_of_texts(given.data, min(given.texts, 2000))
    some = next((texts for name, texts in kinds.items() if name.endswith("chunks")), [])
    short = [" ".join(text.split()[at : at + 16]) for text in some for at in range(0, 128, 16)]
    texts = [f"{number} {short[number % len(short)]}" for number in range(given.texts)]
    load = Workload(texts, sum(minilm.count_tokens(texts)) + 2 * len(texts))
    theirs = random_model(given.shape, minilm._folder, given.device)
    ours = random_model(given.shape, minilm._folder, given.device)
    ours.load_state_dict(theirs.state_dict())
    peak = peak_flops(given.device, size=8192 if given.device.startswith("cuda") else 1024)
    return speed(ours, theirs, load, device=given.device, peak=peak) + same_hits(minilm, some[:200], given.device)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try the script")
    arguments.add_argument("--shape", choices=SHAPES, default="300m")
    arguments.add_argument("--texts", type=int, default=1_000_000)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data/scifact"), help="SciFact, for real words")
    arguments.add_argument("--cache", type=Path, default=Path("~/.loremill/models").expanduser())
    given = arguments.parse_args()
    if given.device.startswith("cuda") and not cuda_devices():
        print("no CUDA device is visible; try --device cpu --shape tiny --texts 200", file=sys.stderr)
        raise SystemExit(64)
    print(table(("figure", "value", ""), measure(given)))


if __name__ == "__main__":
    main()
