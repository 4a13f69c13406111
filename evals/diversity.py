"""What the dial "be more adventurous" does: unlikeness, fame and recall over its positions.

    python -m evals.diversity [--catalog DIR] [--n 200] [--positions 5] [--llm] [--out DIR]

The tasks are those of ``evals.withheld``: an item is drawn, two or three of its attributes are
stated in a conversation, and the item itself is withheld. At each position of the dial the same
tasks are answered; printed are the mean cosine distance between two items of a slate, the mean
popularity rank (1: the best known), how often the withheld item is among ten, and how many
different items were shown at all. Retrieval alone is fast; ``--llm`` adds the slate model.
``--out`` writes diversity.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from agent.recommending import Recommender
from agent.settings import Settings, stay_local
from catalog.embed import Embedder
from catalog.errors import ParleyError
from catalog.filters import compile
from catalog.items import Catalog
from catalog.store import VectorStore
from evals.withheld import Task, draw
from tools.candidates import Candidates
from tools.recommend import recommend
from tools.slate_decoder import InProcessSlates
from tools.small_model import load_small

SLATE, RECALL = 5, 10


def distance(vectors: np.ndarray) -> float:
    """Mean cosine distance between two different rows of ``(k, d)`` unit rows; k >= 2."""
    k = len(vectors)
    alike = vectors @ vectors.T
    return float(1 - (alike.sum() - np.trace(alike)) / (k * (k - 1)))


def trace(
    tasks: list[Task], recommender: Recommender, positions: list[float], *, llm: bool
) -> list[dict[str, float]]:
    """One row of figures a position of the dial."""
    catalog = recommender.catalog
    rank = np.empty(len(catalog))
    rank[np.argsort(-catalog.popularity, kind="stable")] = np.arange(1, len(catalog) + 1)
    rows = []
    for level in positions:
        far, known, hits, shown = [], [], [], set[int]()
        for task in track(tasks, f"dial at {level:g}", console=Console(stderr=True)):
            long = answer(task, recommender, level, RECALL, llm=llm)
            hits.append(task.row in long)
            short = answer(task, recommender, level, SLATE, llm=llm)
            shown.update(short)
            known.append(float(np.mean(np.log10(rank[short]))) if short else 0.0)
            if len(short) > 1:
                far.append(distance(catalog.vectors[short]))
        rows.append(
            {
                "dial": level,
                "distance": round(float(np.mean(far)), 3),
                "popularity_rank": round(10 ** float(np.mean(known))),
                "recall10": round(float(np.mean(hits)), 3),
                "different_items": len(shown),
            }
        )
    return rows


def answer(task: Task, recommender: Recommender, level: float, n: int, *, llm: bool) -> list[int]:
    """The slate of a task at a position of the dial, as catalogue rows."""
    catalog = recommender.catalog
    beliefs = task.beliefs.model_copy(update={"adventure": level})
    allowed = compile(catalog, beliefs.clauses)
    allowed[[catalog.row(m.item_id) for m in beliefs.mentions]] = False
    result = recommend(
        recommender.query(task.turns, beliefs),
        allowed,
        n,
        catalog=catalog,
        candidates=recommender.candidates,
        engine=recommender.engine if llm else None,
        loaded=recommender.loaded if llm else None,
        store=recommender.store,
        alpha=recommender.alpha,
        beam=recommender.beam,
        adventure=level,
    )
    return list(result.rows)


def run(
    folder: Path | None, n: int, positions: int, seed: int, *, llm: bool, threads: int = 1
) -> dict[str, Any]:
    """The figures over a catalogue (None: the one of the settings)."""
    settings = Settings.load(**({"catalog": folder} if folder else {}), threads=threads)
    catalog = Catalog.open(settings.catalog)
    embedder, loaded = Embedder(threads=threads), load_small(settings.model)
    loaded.bind(catalog.codebooks)
    with TemporaryDirectory() as home:
        recommender = Recommender(
            catalog,
            candidates=Candidates.open(catalog, embedder, settings.model / "ranker.npz"),
            engine=InProcessSlates(loaded, catalog.mask, lm_scale=settings.strength),
            loaded=loaded,
            store=VectorStore.open(catalog, Path(home)),
            embedder=embedder,
            alpha=settings.alpha,
            beam=settings.beam,
        )
        tasks = draw(catalog, n, seed)
        dial = [round(float(p), 3) for p in np.linspace(0, 1, positions)]
        rows = trace(tasks, recommender, dial, llm=llm)
    return {
        "catalog": catalog.domain.name,
        "items": len(catalog),
        "n": len(tasks),
        "seed": seed,
        "slates_by": "llm" if llm else "retrieval",
        "rows": rows,
    }


app = typer.Typer(add_completion=False)


@app.command()
def main(
    catalog: Annotated[Path | None, typer.Option(help="A built catalogue's folder.")] = None,
    n: Annotated[int, typer.Option(min=2, help="Tasks.")] = 200,
    positions: Annotated[int, typer.Option(min=2, max=21, help="Positions of the dial.")] = 5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    llm: Annotated[bool, typer.Option(help="Slates by the model, not by retrieval.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for diversity.json.")] = None,
) -> None:
    """Trace unlikeness, fame and recall over the dial."""
    stay_local()
    try:
        result = run(catalog, n, positions, seed, llm=llm)
    except ParleyError as error:
        typer.echo(f"diversity: {error}", err=True)
        raise typer.Exit(2) from error
    print(json.dumps(result, indent=1))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "diversity.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    app()
