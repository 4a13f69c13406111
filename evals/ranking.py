"""How well does it rank? Recall and NDCG on what people were really recommended next.

    python -m evals.ranking --dataset redial --data DIR [--model models/parley-small]
    python -m evals.ranking --dataset jsonl --data FILE

At each recommender turn of ReDial's test split that newly names a film, the context is all
earlier turns, the targets the newly named films; films already named are removed. Beside
the slate stand the cheap baselines and the learnt order of the very candidates the slate is
written from, with the paired difference: above 0, the language model adds something.
Statistics come from training and validation only. The last line is JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agent.settings import Settings
from catalog.embed import Embedder
from catalog.errors import ParleyError
from catalog.items import Catalog
from catalog.vectors import embed
from evals.baselines import BASELINES, baseline_scores, best
from evals.metrics import (
    CUTS,
    NDCG_CUTS,
    Interval,
    Ranked,
    ndcg,
    paired_ndcg,
    paired_recall,
    ranks_of,
    recall,
    recall_interval,
)
from evals.questions import Question, from_jsonl, from_redial
from tools.candidates import Candidates
from tools.recommend import recommend, slate_prompt
from tools.slate_decoder import InProcessSlates, SlateRequest
from tools.small_model import LoadedModel, load_small

SLATE = 20
BLOCK = 64
BATCH = 16  # slates decoded side by side
CATALOG = Path(__file__).parent.parent / "catalog" / "data" / "movies"
MODEL = Path(__file__).parent.parent / "models" / "parley-small"
LEARNT, WRITTEN = "ranker", "slate"
#: The dials that the chat itself uses, unless the command line says otherwise.
ALPHA: float = Settings.model_fields["alpha"].default
STRENGTH: float = Settings.model_fields["strength"].default
BEAM: int = Settings.model_fields["beam"].default


class Run(NamedTuple):
    """Ranks of every ranker on every question, and how the slates came out."""

    ranked: dict[str, list[Ranked]]
    groups: list[str]
    valid_share: float  #: slate places that hold an allowed, new item of the catalogue
    seconds: list[float]


def play(
    questions: list[Question],
    catalog: Catalog,
    candidates: Candidates,
    vectors: np.ndarray,
    loaded: LoadedModel | None,
    alpha: float,
    beam: int,
    strength: float = 1.0,
) -> Run:
    """Rank every question with every ranker. ``vectors``: of the questions' last turns.

    ``strength`` scales the model's logits: 0 leaves the prior alone, exactly.
    """
    names = (*BASELINES, LEARNT, *([WRITTEN] if loaded else []))
    run = Run({name: [] for name in names}, [], 0.0, [])
    engine = InProcessSlates(loaded, catalog.mask, lm_scale=strength) if loaded else None
    places = good = 0
    for start in track(range(0, len(questions), BLOCK), description="ranking"):
        block = questions[start : start + BLOCK]
        ready = candidates.features.prepare(
            [q.query for q in block], vectors[start : start + BLOCK]
        )
        asked: list[SlateRequest] = []
        results = []
        for question, prepared in zip(block, ready, strict=True):
            query, targets = question.query, question.targets
            named = query.named + query.disliked
            allowed = np.ones(len(catalog), dtype=np.bool_)
            allowed[list(named)] = False
            for name, scores in baseline_scores(candidates.features, query, prepared).items():
                order = best(scores, named, max(CUTS))
                run.ranked[name].append(ranks_of(order, targets))
            began = time.perf_counter()
            result = recommend(
                query,
                allowed,
                SLATE,
                catalog=catalog,
                candidates=candidates,
                engine=None,
                loaded=None,
                ready=prepared,
            )
            run.ranked[LEARNT].append(ranks_of(result.candidates, targets))
            if loaded is not None:
                prior = result.prior
                prompt = slate_prompt(query, prior, catalog, candidates, loaded, prepared)
                asked.append(SlateRequest(prompt, prior.weights, SLATE, alpha=alpha, beam=beam))
            run.seconds.append(time.perf_counter() - began)
            results.append((result, allowed))
            run.groups.append(question.group)
        slates = [list(result.rows) for result, _ in results]
        if engine is not None:  # shared passes give what each request alone would give
            began = time.perf_counter()
            made = [
                slate
                for k in range(0, len(asked), BATCH)
                for slate in engine.slates(asked[k : k + BATCH])
            ]
            slates = [slate.rows for slate in made]
            each = (time.perf_counter() - began) / len(asked)
            run.seconds[-len(asked) :] = [seconds + each for seconds in run.seconds[-len(asked) :]]
            run.ranked[WRITTEN] += [
                ranks_of(rows, question.targets)
                for rows, question in zip(slates, block, strict=True)
            ]
        for rows, (result, allowed) in zip(slates, results, strict=True):
            places += min(SLATE, result.allowed_count)
            good += len({row for row in rows if allowed[row]})
    return run._replace(valid_share=good / places if places else 0.0)


def report(run: Run, missing: int, console: Console) -> dict[str, Any]:
    """Print the tables; return the JSON summary."""
    pairs = sum(len(r.ranks) for r in run.ranked[LEARNT])
    console.print(
        f"{len(run.groups)} turns of {len(set(run.groups))} conversations, {pairs} (turn, item) "
        f"pairs, {missing} of them not in this catalogue (misses for every row)"
    )
    heads = [f"R@{k}" for k in CUTS] + [f"NDCG@{k}" for k in NDCG_CUTS]
    table = Table("", *heads)
    rows: dict[str, dict[str, float]] = {}
    for name, ranked in run.ranked.items():
        cuts = [k for k in CUTS if name != WRITTEN or k <= SLATE]
        row = {f"recall@{k}": recall(ranked, k) for k in cuts}
        row |= {f"ndcg@{k}": ndcg(ranked, k) for k in NDCG_CUTS}
        rows[name] = row
        cells = [row.get(f"recall@{k}") for k in CUTS] + [row[f"ndcg@{k}"] for k in NDCG_CUTS]
        table.add_row(_LABELS.get(name, name), *("" if c is None else f"{c:.4f}" for c in cells))
    console.print(table)
    ours = WRITTEN if WRITTEN in run.ranked else LEARNT
    against = LEARNT if ours == WRITTEN else "sum"
    paired: dict[str, Any] = {"of": f"{ours} minus {against}"}
    differences = Table(f"{ours} minus {against}", "mean", "95 % interval (paired bootstrap)")
    for label, interval in _paired(run, ours, against):
        paired[label] = list(interval)
        low_high = f"{interval.low:+.4f} … {interval.high:+.4f}"
        differences.add_row(label, f"{interval.mean:+.4f}", low_high)
    console.print(differences)
    whole = recall_interval(run.ranked[ours], 10, run.groups)
    milliseconds = np.array(run.seconds) * 1000
    p50, p95 = np.quantile(milliseconds, (0.5, 0.95))
    console.print(
        f"{ours}: recall@10 {whole.mean:.4f} ({whole.low:.4f} … {whole.high:.4f}); "
        f"catalogue-valid {run.valid_share:.4f}; {p50:.0f} ms a turn, p95 {p95:.0f} ms "
        f"(without the text encoder; slates {BATCH} at a time)"
    )
    return {
        "n": pairs,
        "turns": len(run.groups),
        "ranker": ours,
        **rows[ours],
        "interval@10": [whole.low, whole.high],
        "valid": run.valid_share,
        "ms_p50": round(float(p50), 1),
        "ms_p95": round(float(p95), 1),
        "baselines": {name: row for name, row in rows.items() if name != ours},
        "paired": paired,
        "commit": commit(),
    }


_LABELS = {
    LEARNT: "learning to rank (slate without the LLM's order)",
    WRITTEN: "slate (LLM x prior)",
    "sum": "sum of the four",
}


def _paired(run: Run, ours: str, against: str) -> list[tuple[str, Interval]]:
    a, b = run.ranked[ours], run.ranked[against]
    found = [(f"recall@{k}", paired_recall(a, b, k, run.groups)) for k in (1, 5, 10, 20)]
    return [*found, *((f"ndcg@{k}", paired_ndcg(a, b, k, run.groups)) for k in NDCG_CUTS)]


def commit() -> str:
    """The commit this ran on, "+" when the tree was changed; "unknown" outside git."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        options: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], **options)
        changed = subprocess.run([*git, "status", "--porcelain"], **options)
    except OSError:
        return "unknown"
    if head.returncode != 0:
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def main(
    data: Annotated[Path, typer.Option(help="ReDial folder, or a JSON-lines file")],
    dataset: Annotated[Literal["redial", "jsonl"], typer.Option(help="what DATA is")] = "redial",
    catalog: Annotated[Path, typer.Option(help="built catalogue")] = CATALOG,
    model: Annotated[Path, typer.Option(help="parley-small folder with ranker.npz")] = MODEL,
    llm: Annotated[bool, typer.Option(help="--no-llm: the learnt order only")] = True,
    limit: Annotated[int | None, typer.Option(help="only the first N turns")] = None,
    alpha: Annotated[float, typer.Option(help="strength of the prior")] = ALPHA,
    beam: Annotated[int, typer.Option(help="beams of the slate decoder")] = BEAM,
    strength: Annotated[
        float, typer.Option(help="of the model's logits; 0: prior alone")
    ] = STRENGTH,
    cache: Annotated[Path | None, typer.Option(help="npz of text vectors to keep")] = None,
) -> None:
    """Measure ranking and print the tables; the last line is JSON."""
    console = Console()
    torch.set_num_threads(1)
    try:
        opened = Catalog.open(catalog)
        load = from_redial if dataset == "redial" else from_jsonl
        questions = load(data, opened)[:limit]
        embedder = Embedder()
        candidates = Candidates.open(opened, embedder, model / "ranker.npz")
        loaded = load_small(model) if llm else None
    except ParleyError as error:
        Console(stderr=True).print(f"[red]{error}[/red]")
        sys.exit(1)
    if loaded is not None and loaded.projection is not None:
        loaded.bind(opened.codebooks)
    vectors = embed([question.query.text() for question in questions], cache)
    run = play(questions, opened, candidates, vectors, loaded, alpha, beam, strength)
    missing = sum(target is None for question in questions for target in question.targets)
    print(json.dumps(report(run, missing, console)))


if __name__ == "__main__":
    typer.run(main)
