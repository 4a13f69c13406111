"""How long until a new item can be recommended, in a catalogue of a million.

    python -m evals.bench.insert --items 1000000
    python -m evals.bench.insert --items 1000000 --agent --home DIR

From the new item's text to its place at the top of a slate, nothing retrained: embed the text,
take the nearest free semantic ID, insert it into the mask (a copy, so that slates being written
on the old one go on), append its vector, and write a slate under the new mask with the prior
alone. Meanwhile another thread decodes slates on whichever mask is current, as a server would.
The catalogue is drawn at random (float16 vectors, unique codes, codebooks of unit vectors).
With ``--agent`` it is measured as people meet it (``evals.bench.through_agent``): a table of that
size built by ``catalog.build``, an agent talking over it, rows brought in by ``catalog.update``.
The last line is JSON; exit status 1 when an item was not recommended or a decoder met a dead
end.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console

from catalog import semantic_ids
from catalog.embed import Embedder
from catalog.errors import ParleyError, SlateError
from catalog.trie import SlateMask
from evals.bench.slate_mask import random_codes
from evals.bench.through_agent import through_agent

WIDTH = 384
ROOM = 4096  #: rows that vectors and codes may grow by before their arrays are copied


class Live:
    """Codes, vectors and mask of a running catalogue. One writer; readers take ``mask``."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self.n = n
        self.vectors = np.zeros((n + ROOM, WIDTH), dtype=np.float16)
        for a in range(0, n, 50_000):
            b = min(a + 50_000, n)
            steps = rng.integers(-90, 91, (b - a, WIDTH), dtype=np.int8)
            self.vectors[a:b] = steps.astype(np.float16) / np.float16(1024)
        self.codes = np.zeros((n + ROOM, 3), dtype=np.uint8)
        self.codes[:n] = random_codes(n, rng)
        drawn = rng.normal(size=(3, 256, WIDTH)).astype(np.float32)
        self.codebooks = drawn / np.linalg.norm(drawn, axis=2, keepdims=True)
        self.mask = SlateMask(self.codes[:n])

    def add(self, vector: np.ndarray, times: dict[str, list[float]]) -> int:
        """Take in one item; its row. What each part took is added to ``times``, seconds."""
        began = time.perf_counter()
        code = semantic_ids.insert(vector[None], self.codes[: self.n], self.codebooks)
        assigned = time.perf_counter()
        grown = self.mask.insert(code)
        inserted = time.perf_counter()
        self.vectors[self.n], self.codes[self.n] = vector, code[0]
        self.mask = grown
        self.n += 1
        times["assign"].append(assigned - began)
        times["mask"].append(inserted - assigned)
        times["append"].append(time.perf_counter() - inserted)
        return self.n - 1


def top(mask: SlateMask, weights: np.ndarray) -> int:
    """The first item of a slate by the prior alone, greedy over the codes; its row."""
    batch = mask.batch([mask.filter(weights)])
    node = np.zeros(1, dtype=np.int64)
    for level in range(mask.levels):
        step = batch.step(level, [0], node)
        node = step.children[[0], step.weights.argmax(axis=1)].astype(np.int64)
    return int(mask.order[node[0]])


def decode_on(live: Live, stop: threading.Event, met: dict[str, int]) -> None:
    """Random slates under random filters on the mask of the moment, until told to stop."""
    rng = np.random.default_rng(1)
    while not stop.is_set():
        mask = live.mask
        bits = rng.random(len(mask), dtype=np.float32) < 0.2
        try:
            batch = mask.batch([mask.filter(bits)] * 20)
            for _ in range(10):
                nodes = np.zeros(20, dtype=np.int64)
                for level in range(mask.levels):
                    step = batch.step(level, np.arange(20), nodes)
                    drawn = (rng.random(step.weights.shape) * (step.weights > 0)).argmax(axis=1)
                    nodes = step.children[np.arange(20), drawn].astype(np.int64)
                batch.emit(np.arange(20), nodes)
                met["items"] += 20
                met["wrong"] += int((~bits[mask.order[nodes]]).sum())
        except SlateError:
            met["dead_ends"] += 1


def measure(items: int, inserts: int, seed: int) -> dict[str, Any]:
    """Insert new items one after the other and look for each at the top of a slate."""
    rng = np.random.default_rng(seed)
    live = Live(items, rng)
    embedder = Embedder()
    embedder.encode(["a first text, so that loading the encoder is not counted"])
    times: dict[str, list[float]] = {
        name: [] for name in ("embed", "assign", "mask", "append", "recommend", "whole")
    }
    met = {"items": 0, "wrong": 0, "dead_ends": 0}
    stop = threading.Event()
    reader = threading.Thread(target=decode_on, args=(live, stop, met))
    reader.start()
    found = 0
    for number in range(inserts):
        began = time.perf_counter()
        vector = embedder.encode([f"Lamp number {number}, brass, for a desk by the window"])[0]
        times["embed"].append(time.perf_counter() - began)
        row = live.add(vector, times)
        decided = time.perf_counter()
        weights = np.full(live.n, 1e-3 / live.n)
        weights[row] = 1.0
        found += int(top(live.mask, weights) == row)
        times["recommend"].append(time.perf_counter() - decided)
        times["whole"].append(time.perf_counter() - began)
    stop.set()
    reader.join()
    return {
        "items": items,
        "inserts": inserts,
        "recommended": found,
        "seconds_p50": round(float(np.median(times["whole"])), 4),
        "seconds_max": round(max(times["whole"]), 4),
        **{
            f"{k}_ms": round(float(np.median(v)) * 1000, 2)
            for k, v in times.items()
            if k != "whole"
        },
        "decoded_meanwhile": met["items"],
        "wrong": met["wrong"],
        "dead_ends": met["dead_ends"],
    }


def main(
    items: Annotated[int, typer.Option(min=1000, max=10_000_000)] = 1_000_000,
    inserts: Annotated[int, typer.Option(min=1, max=ROOM, help="one after the other")] = 30,
    seed: Annotated[int, typer.Option()] = 0,
    agent: Annotated[bool, typer.Option("--agent", help="through a running agent")] = False,
    home: Annotated[Path, typer.Option(help="with --agent: folder for some gigabytes")] = Path(
        "runs/insert"
    ),
) -> None:
    """Measure the way of a new item into slates."""
    torch.set_num_threads(1)
    try:
        result = through_agent(home, items, inserts) if agent else measure(items, inserts, seed)
    except ParleyError as error:
        typer.echo(f"bench: {error}", err=True)
        raise typer.Exit(2) from error
    Console().print(
        f"{items:,} items: a new one is recommended after {result['seconds_p50']:.3f} s (median), "
        f"{result['seconds_max']:.3f} s at most"
    )
    print(json.dumps(result))
    good = result["recommended"] == inserts and not result["wrong"] and not result["dead_ends"]
    raise typer.Exit(0 if good else 1)


if __name__ == "__main__":
    typer.run(main)
