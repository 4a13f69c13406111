"""What a decoding step costs under the slate mask, and whether the mask is ever wrong.

    python -m evals.bench.slate_mask --items 12101,1000000,10000000

Three ways to say which codes may follow, on the same logits and the same beams, one thread,
batch 20: ours (four different filters and each request's own exclusions on, on the level's
slice of the vocabulary), transformers' PrefixConstrainedLogitsProcessor over a dict trie, and a
plain static CSR on the slice. The latter two know the catalogue only: no filter, no
exclusions. Medians over many steps; the mean of the three levels is given.

Checked in the same run: all three masks against each other, ours against brute force, and
100,000 random slates a size for items that are invalid, repeated, filtered or excluded. The
last line is a JSON list; exit status 1 when anything was invalid.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from transformers import PrefixConstrainedLogitsProcessor

from catalog.trie import SlateMask
from catalog.trie_batch import CODES, Batch

VOCABULARY, FIRST = 152_960, 151_936  # a large model's, our codes at its end
BATCH, SLATE, LEVELS = 20, 10, 3
DICT_LIMIT = 2_000_000  # a dict trie takes 0.4 GB a million items
EXCLUDED = 20
Ints = np.ndarray[Any, np.dtype[np.int64]]


class Steps(NamedTuple):
    """One recorded decoding: at each level the nodes of the batch, and the codes chosen."""

    nodes: list[Ints]
    codes: list[Ints]


def random_codes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Unique codes, some used more than others while there is room for that. ``(n, 3)`` uint8."""
    if n > 4_000_000:
        keys = rng.permutation(1 << 24)[:n]
    else:
        keys = np.zeros(0, dtype=np.int64)
        while len(keys) < n:
            drawn = (CODES * rng.random((n, LEVELS)) ** 1.3).astype(np.int64)
            keys = np.unique(np.r_[keys, drawn @ [1 << 16, 1 << 8, 1]])
        keys = rng.permutation(keys)[:n]
    return np.stack([keys >> 16, keys >> 8 & 255, keys & 255], axis=1).astype(np.uint8)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


class StaticCsr:
    """The plain form: row pointers and codes a level, nothing else."""

    def __init__(self, mask: SlateMask) -> None:
        last = (mask.keys & 255).astype(np.uint8)
        self.levels = list(zip(mask.kids, [*mask.tokens, last], strict=True))
        self.columns = np.arange(CODES)

    def step(self, level: int, nodes: Ints, logits: np.ndarray) -> np.ndarray:
        """Logits ``(J, 256)`` of a level's slice, ``-inf`` where no child is."""
        starts, codes = self.levels[level]
        at = starts[nodes][:, None] + self.columns
        row, column = np.nonzero(at < starts[nodes + 1][:, None])
        token = codes[at[row, column]]
        out = np.full(logits.shape, -np.inf, dtype=np.float32)
        out[row, token] = logits[row, token]
        return out


def dict_trie(codes: np.ndarray) -> dict[int, Any]:
    """The nested dict that people hand to transformers."""
    root: dict[int, Any] = {}
    for a, b, c in (codes.astype(np.int64) + FIRST + CODES * np.arange(LEVELS)).tolist():
        root.setdefault(a, {}).setdefault(b, {})[c] = {}
    return root


def hf_processor(root: dict[int, Any]) -> PrefixConstrainedLogitsProcessor:
    def allowed(_: int, sentence: torch.Tensor) -> list[int]:
        node = root
        for token in sentence.tolist()[1:]:  # behind the one token of the prompt
            node = node[token]
        return list(node)

    return PrefixConstrainedLogitsProcessor(allowed, num_beams=1)


def record(batch: Batch, rng: np.random.Generator) -> Steps:
    """One random item for every request of the batch, nothing emitted."""
    owners = np.arange(len(batch))
    nodes, chosen = [np.zeros(len(batch), dtype=np.int64)], []
    for level in range(LEVELS):
        step = batch.step(level, owners, nodes[-1])
        codes = (rng.random(step.weights.shape) * (step.weights > 0)).argmax(axis=1)
        chosen.append(codes)
        nodes.append(step.children[owners, codes].astype(np.int64))
    return Steps(nodes, chosen)


def slices(logits: np.ndarray, level: int) -> np.ndarray:
    first = FIRST + CODES * level
    return logits[:, first : first + CODES]


def race(
    mask: SlateMask, codes: np.ndarray, batch: Batch, rng: np.random.Generator, repeats: int
) -> tuple[dict[str, float | None], int]:
    """Milliseconds a step of the three on the same steps, and how many masks differed."""
    owners = np.arange(BATCH)
    logits = rng.normal(size=(BATCH, VOCABULARY)).astype(np.float32)
    scores = torch.from_numpy(logits)
    static = StaticCsr(mask)
    bare = mask.batch([mask.filter(np.ones(len(mask), dtype=np.bool_))] * BATCH)
    hf = hf_processor(dict_trie(codes)) if len(mask) <= DICT_LIMIT else None
    times: dict[str, list[float]] = {"ours": [], "static": [], "hf": []}
    differ = 0
    for repeat in range(repeats):
        steps = record(batch, rng)
        total = dict.fromkeys(times, 0.0)
        for level in range(LEVELS):
            nodes, part = steps.nodes[level], slices(logits, level)

            def ours(nodes: Ints = nodes, level: int = level, part: np.ndarray = part) -> Any:
                return np.where(batch.step(level, owners, nodes).weights > 0, part, -np.inf)

            took, _ = timed(ours)
            total["ours"] += took
            took, plain = timed(lambda: static.step(level, nodes, part))  # noqa: B023
            total["static"] += took
            if repeat < 5:
                differ += int(
                    ((bare.step(level, owners, nodes).weights > 0) != (plain > -1e30)).sum()
                )
            if hf is not None and repeat < 20:  # slow, and steady
                written = [FIRST + CODES * k + steps.codes[k] for k in range(level)]
                ids = torch.from_numpy(np.stack([np.zeros(BATCH, np.int64), *written], axis=1))
                took, full = timed(lambda: hf(ids, scores))  # noqa: B023
                total["hf"] += took
                if repeat < 5:
                    open_ = torch.isfinite(full).numpy()
                    differ += int((slices(open_, level) != (plain > -1e30)).sum())
                    differ += int(open_.sum() - slices(open_, level).sum())
        for name, took in total.items():
            if took:
                times[name].append(took / LEVELS * 1000)
    return {k: round(float(np.median(v)), 4) if v else None for k, v in times.items()}, differ


def against_brute_force(
    codes: np.ndarray, batch: Batch, bits: list[np.ndarray], gone: list[np.ndarray], steps: Steps
) -> int:
    """How many masks of these steps differ from a look at every item. One request a level."""
    differ = 0
    for level in range(LEVELS):
        for owner in (level, BATCH - 1 - level):
            free = bits[owner].copy()
            free[gone[owner]] = False
            for k in range(level):
                free &= codes[:, k] == steps.codes[k][owner]
            want = np.zeros(CODES, dtype=np.bool_)
            want[codes[free, level]] = True
            got = batch.step(level, [owner], steps.nodes[level][[owner]]).weights[0] > 0
            differ += int((got != want).any())
    return differ


def broken_slates(
    mask: SlateMask, bits: list[np.ndarray], slates: int, rng: np.random.Generator
) -> int:
    """Decode random slates under random filters and exclusions; how many broke a rule."""
    filters = [mask.filter(b) for b in bits]
    if (room := min(f.allowed for f in filters)) < SLATE + EXCLUDED:
        raise typer.BadParameter(f"a filter leaves {room} items: too few for the slates.")
    broken, size = 0, 500
    for _ in track(range(-(-slates // size)), description=f"slates over {len(mask):,} items"):
        which = rng.integers(len(bits), size=size)
        gone = [rng.integers(len(mask), size=EXCLUDED) for _ in range(size)]
        batch = mask.batch([filters[w] for w in which], gone)
        owners = np.arange(size)
        written = np.zeros((size, SLATE), dtype=np.int64)
        for rank in range(SLATE):
            nodes = np.zeros(size, dtype=np.int64)
            for level in range(LEVELS):
                step = batch.step(level, owners, nodes)
                noise = rng.random(step.weights.shape, dtype=np.float32) * (step.weights > 0)
                nodes = step.children[owners, noise.argmax(axis=1)].astype(np.int64)
            batch.emit(owners, nodes)
            written[:, rank] = mask.order[nodes]
        bad = (np.diff(np.sort(written, axis=1), axis=1) == 0).any(axis=1)
        for k, filter_bits in enumerate(bits):
            bad[which == k] |= ~filter_bits[written[which == k]].all(axis=1)
        bad |= (written[:, :, None] == np.array(gone)[:, None, :]).any(axis=(1, 2))
        broken += int(bad.sum())
    return broken


def measure(n: int, repeats: int, slates: int, seed: int) -> dict[str, Any]:
    """All figures of one catalogue size."""
    rng = np.random.default_rng(seed)
    codes = random_codes(n, rng)
    builds = [timed(lambda: SlateMask(codes))[0] for _ in range(3)]
    mask = SlateMask(codes)
    bits = [rng.random(n, dtype=np.float32) < share for share in (0.05, 0.3, 0.6, 0.95)]
    made = [timed(lambda one=one: mask.filter(one)) for one in bits]
    filters = [result for _, result in made]
    which = np.arange(BATCH) % len(bits)
    gone = [rng.choice(n, EXCLUDED, replace=False) for _ in range(BATCH)]
    batch = mask.batch([filters[w] for w in which], gone)
    times, invalid = race(mask, codes, batch, rng, repeats)
    for _ in range(3):
        steps = record(batch, rng)
        invalid += against_brute_force(codes, batch, [bits[w] for w in which], gone, steps)
    invalid += broken_slates(mask, bits, slates, rng)
    return {
        "items": n,
        "ours_ms": times["ours"],
        "hf_ms": times["hf"],
        "static_csr_ms": times["static"],
        "build_s": round(float(np.median(builds)), 3),
        "mb": round(mask.nbytes / 1e6, 2),
        "filter_ms": round(float(np.median([took for took, _ in made])) * 1000, 2),
        "invalid": invalid,
    }


def main(
    items: Annotated[str, typer.Option(help="catalogue sizes, with commas")] = "12101,1000000",
    repeats: Annotated[int, typer.Option(min=5, help="timed items a size")] = 200,
    slates: Annotated[int, typer.Option(min=1, help="random slates a size")] = 100_000,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Race the three masks and check ours."""
    console = Console()
    torch.set_num_threads(1)
    try:
        sizes = [int(part) for part in items.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{items!r}: whole numbers with commas are needed.") from error
    if bad := [n for n in sizes if not 1000 <= n <= 16_000_000]:
        raise typer.BadParameter(f"{bad[0]} items: 1000 to 16000000 fit three levels of codes.")
    results = []
    for n in sizes:
        result = measure(n, repeats, slates, seed)
        results.append(result)
        console.print(f"{n:,} items: {result['invalid']} invalid", highlight=False)
        if result["hf_ms"] is None:
            console.print(f"{n:,} items: no dict trie above {DICT_LIMIT:,} (0.4 GB a million)")
        else:
            ratio = result["hf_ms"] / result["ours_ms"]
            console.print(f"{n:,} items: transformers' processor takes {ratio:.0f} times as long")
    print(json.dumps(results))
    raise typer.Exit(1 if any(result["invalid"] for result in results) else 0)


if __name__ == "__main__":
    typer.run(main)
