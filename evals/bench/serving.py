"""What the slate mask costs a vLLM server: constrained slates against unconstrained text.

    python -m evals.bench.serving --items 20000,1000000 --requests 320

Starts `python -m agent.serve` on a catalogue of each size (made up: random codes, five genres
and a year), warms it up, and sends the same requests 16 at a time, in turns: without the mask
(tokens of any kind, the same number), with the mask alone, and with clauses, exclusions and a
prior of 300 candidates. Both sides write 30 tokens from prompts of 150. Rounds of the three
alternate, so that a busy machine troubles all alike; medians over rounds are compared.

``overhead`` is the time of a constrained round over an unconstrained one, less one. The last
line is a JSON list, one entry a size; exit status 1 when a slate broke its constraints.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import polars as pl
import scipy.sparse as sp
import typer
import yaml
from rich.console import Console

from agent.settings import ROOT
from catalog import folder
from catalog.items import Catalog
from evals.bench.slate_mask import random_codes
from tools.slate_wire import Compiler, Limits, encode

TOKENS, PROMPT, TOP = 30, 150, 300
GENRES = ("Comedy", "Drama", "Horror", "Family", "Crime")


def made_up(out: Path, n: int, source: Path) -> None:
    """A catalogue of ``n`` invented items with random codes, in a folder vLLM can open."""
    rng = np.random.default_rng(n)
    like = Catalog.open(source)
    genres = rng.integers(0, len(GENRES), (n, 2))
    frame = pl.DataFrame(
        {
            "id": [f"i{k}" for k in range(n)],
            "title": [f"Item {k}" for k in range(n)],
            "link": pl.Series([None] * n, dtype=pl.String),
            "popularity": rng.gamma(0.3, 20, n).astype(np.float32),
            "editorial": pl.Series([[]] * n, dtype=pl.List(pl.String)),
            "year": rng.integers(1960, 2026, n),
            "genres": [[GENRES[a], GENRES[b]] if a != b else [GENRES[a]] for a, b in genres],
        }
    )
    domain = like.domain.model_dump(mode="json")
    domain["facets"] = [f for f in domain["facets"] if f["name"] in ("year", "genres")]
    domain |= {"scales": [], "vector_text": [], "about_text": []}

    def fill(new: Path) -> dict[str, Any]:
        frame.write_parquet(new / "items.parquet")
        (new / "domain.yaml").write_text(yaml.safe_dump(domain), "utf-8")
        # Nothing here reads vectors: one column is enough to be counted.
        np.savez(new / "vectors.npz", rows=np.ones((n, 1), np.int8), scale=np.ones(n, np.float16))
        none = {"rows": np.zeros((0, 1), np.int8), "scale": np.zeros(0, np.float16)}
        np.savez(new / "about.npz", items=np.zeros(0, np.int64), **none)
        codes = random_codes(n, rng)
        np.savez(new / "semantic_ids.npz", codes=codes, codebooks=like.codebooks.astype(np.float16))
        np.savez(new / "scales.npz", names=np.array([], "U32"), values=np.zeros((n, 0), np.uint8))
        sp.save_npz(new / "related.npz", sp.csr_matrix((n, n), dtype=np.float32))
        return {"name": "bench", "items": n}

    folder.write(out, fill)


@contextmanager
def serving(catalog: Path, model: Path, python: Path | None, words: list[str]) -> Iterator[str]:
    """A server over this catalogue; its URL. The output of one that fails is shown."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "agent.serve", "--model", str(model), "--port", str(port)]
    command += ["--catalog", str(catalog), "--quiet"]
    command += ["--python", str(python)] if python else []
    process = subprocess.Popen(
        [*command, "--", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if not any(line.startswith("Healthy:") for line in process.stdout):
            raise typer.Exit(2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


class Load:
    """The requests of one size, and how to send a round of them."""

    def __init__(self, url: str, catalog: Catalog, model: str, requests: int, at_once: int) -> None:
        self.catalog, self.at_once, self.requests = catalog, at_once, requests
        self.client = httpx.Client(base_url=url, timeout=600)
        self.model = model
        self.compiler = Compiler(catalog)
        self.violations = 0
        rng = np.random.default_rng(0)
        self.prompts = rng.integers(0, 8000, (requests, PROMPT)).tolist()
        self.sent = [self._sent(k, np.random.default_rng(k)) for k in range(requests)]

    def _sent(self, k: int, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        """A slate request of the agent's own form: words for clauses, numbers for 300 items."""
        clauses = [
            {"field": "year", "op": "ge", "values": [float(1970 + 5 * (k % 8))]},
            {"field": "genres", "op": "any", "values": [GENRES[k % 5]]},
        ][: 1 + k % 2]
        limits = Limits(tuple(_clause(c) for c in clauses))
        weights = 0.001 * self.compiler.base(limits).values
        allowed = np.flatnonzero(weights > 0)
        top = rng.choice(allowed, min(TOP, len(allowed)), replace=False)
        weights[top] = np.exp(rng.normal(size=len(top)))
        weights[rng.choice(allowed, 10)] = 0.0
        return encode(weights, TOKENS // 3, 2.0, self.compiler, limits), weights > 0

    def send(self, k: int, sent: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": self.prompts[k],
            "max_tokens": TOKENS,
            "temperature": 0,
            "ignore_eos": True,
            "return_token_ids": True,
        }
        if sent is not None:
            body["vllm_xargs"] = {"slate": sent}
        answer = self.client.post("/completions", json=body)
        answer.raise_for_status()
        choice: dict[str, Any] = answer.json()["choices"][0]
        return choice

    def round(self, sent: Callable[[int], str | None]) -> tuple[float, list[dict[str, Any]]]:
        """Seconds for all requests, ``at_once`` side by side, and what was written."""
        start = time.perf_counter()
        with ThreadPoolExecutor(self.at_once) as pool:
            done = list(pool.map(lambda k: self.send(k, sent(k)), range(self.requests)))
        return time.perf_counter() - start, done

    def check(self, done: list[dict[str, Any]], base: int) -> None:
        """Count items that are not in the catalogue, repeated, or not allowed."""
        mask = self.catalog.mask
        by_codes = dict(zip(mask.keys.tolist(), mask.order.tolist(), strict=True))
        for (_, allowed), choice in zip(self.sent, done, strict=True):
            ids = choice["token_ids"][:TOKENS]
            rows = []
            for at in range(0, len(ids) - 2, 3):
                a, b, c = (ids[at + level] - base - 256 * level for level in range(3))
                rows.append(by_codes.get(a << 16 | b << 8 | c, -1))
            self.violations += sum(row < 0 or not allowed[row] for row in rows)
            self.violations += len(rows) - len(set(rows))


def _clause(given: dict[str, Any]) -> Any:
    from catalog.filters import Clause

    return Clause.model_validate(given)


def measured(load: Load, rounds: int, base: int, console: Console) -> dict[str, Any]:
    """Medians over alternating rounds of the three kinds of requests."""
    whole = json.dumps({"n": TOKENS // 3})
    kinds: dict[str, Callable[[int], str | None]] = {
        "unconstrained": lambda k: None,
        "mask": lambda k: whole,
        "mask, clauses and prior": lambda k: load.sent[k][0],
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds + 1):
        for name, sent in kinds.items():
            seconds, done = load.round(sent)
            if number:  # the first round warms up: constraints are compiled in it
                times[name].append(seconds)
            if name.endswith("prior"):
                load.check(done, base)
        console.print({name: [round(t, 2) for t in held] for name, held in times.items()})
    free = float(np.median(times["unconstrained"]))
    out: dict[str, Any] = {"items": len(load.catalog), "violations": load.violations}
    for name, held in times.items():
        out[name] = {"requests_s": round(load.requests / float(np.median(held)), 1)}
        if name != "unconstrained":
            # Of neighbouring rounds, so that what else runs on the machine weighs on both.
            ratios = np.array(held) / np.array(times["unconstrained"])
            out[name]["overhead"] = round(float(np.median(ratios)) - 1, 4)
    out["tokens_s"] = round(load.requests * TOKENS / free, 1)
    return out


def main(
    items: Annotated[str, typer.Option(help="Catalogue sizes.")] = "20000,1000000",
    requests: Annotated[int, typer.Option(min=1, help="Requests a round.")] = 160,
    at_once: Annotated[int, typer.Option(min=1, help="Of them side by side.")] = 16,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    model: Annotated[Path, typer.Option()] = ROOT / "models" / "parley-small",
    catalog: Annotated[Path, typer.Option()] = ROOT / "catalog" / "data" / "movies",
    python: Annotated[Path | None, typer.Option(help="An interpreter that has vLLM.")] = None,
    url: Annotated[str, typer.Option(help="A server that runs over --catalog already.")] = "",
    vllm: Annotated[list[str] | None, typer.Argument(help="Words for vLLM, behind --.")] = None,
) -> None:
    """Measure the mask's overhead on a real server at several sizes."""
    from tools.small_model import load_small

    console, out = Console(stderr=True), []
    base = load_small(model).sid_base
    if url:
        load = Load(url, Catalog.open(catalog), model.name, requests, at_once)
        out.append(measured(load, rounds, base, console))
        items = ""
    for size in (int(word) for word in items.split(",") if word):
        made = Path(tempfile.mkdtemp(prefix="parley-bench-"))
        try:
            made_up(made / "catalog", size, catalog)
            with serving(made / "catalog", model, python, list(vllm or ())) as url:
                over = Catalog.open(made / "catalog")
                load = Load(url, over, model.name, requests, at_once)
                out.append(measured(load, rounds, base, console))
        finally:
            shutil.rmtree(made, ignore_errors=True)
    print(json.dumps(out))
    raise typer.Exit(int(any(entry["violations"] for entry in out)))


if __name__ == "__main__":
    typer.run(main)
