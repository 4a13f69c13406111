"""The slate model on a catalogue it was never taught: withheld items, against retrieval alone.

A task withholds one item and says what a person who wants it might say: two or three of its
own values as clauses, a similar item as one they liked, and a value it does not have as one to
leave out. The question is at which place of the slate the withheld item stands. Three arms see
the same beliefs, the same mask and the same candidates:

* ``retrieval``: the prior's own order, no language model;
* ``tied``: the slate model, its code rows made for this catalogue from the codebooks;
* ``untied``: the slate model with the code rows of the films it was trained on.

Differences are paired, with 95 % bootstrap intervals over tasks. No test data is read: tasks
are drawn from the catalogue itself, with a seed.

    python -m evals.withheld --catalog catalog/data/books --n 300
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agent.phrases import clauses_text
from agent.recommending import Recommender
from agent.settings import Settings, stay_local
from agent.state import Beliefs, Mention, Turn
from catalog.embed import Embedder
from catalog.errors import CatalogError, ParleyError
from catalog.filters import Clause, compile
from catalog.items import Catalog, Facet, Item
from catalog.store import VectorStore
from tools.candidates import Candidates
from tools.recommend import recommend
from tools.slate_decoder import InProcessSlates
from tools.small_model import load_small

Arm = Literal["retrieval", "tied", "untied"]
ARMS: tuple[Arm, ...] = ("retrieval", "tied", "untied")
SLATE = 10
NEAR = 20  # the similar item is one of so many nearest ones
FEWEST = 12  # items that must be left to choose from, else the clauses alone give the answer
TRIES = 40
RESAMPLES = 2_000


class Task(NamedTuple):
    """One withheld item (its row) and what was said of it."""

    row: int
    beliefs: Beliefs
    turns: tuple[Turn, ...]
    allowed: int


class Interval(NamedTuple):
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def main(
    catalog: Annotated[Path, typer.Option(help="a built catalogue's folder")],
    n: Annotated[int, typer.Option(min=2, help="how many tasks")] = 300,
    seed: Annotated[int, typer.Option(help="of the tasks and of the bootstrap")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="of torch")] = 1,
    model: Annotated[Path | None, typer.Option(help="the model folder; the released one")] = None,
) -> None:
    """Withheld-attribute tasks over a catalogue; the last line is JSON."""
    stay_local()
    console = Console(stderr=True)
    try:
        report = measure(catalog, n, seed, threads, model)
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from error
    table = Table("arm", "hit@1", "hit@5", "hit@10", "MRR@10")
    for arm in ARMS:
        figures = report["arms"][arm]
        table.add_row(arm, *(f"{figures[k]:.3f}" for k in ("hit1", "hit5", "hit10", "mrr10")))
    console.print(table)
    print(json.dumps(report))


def measure(
    folder: Path, n: int, seed: int = 0, threads: int = 1, model: Path | None = None
) -> dict[str, Any]:
    """Run all arms. Raises ``CatalogError`` when the catalogue yields too few tasks."""
    chosen: dict[str, Any] = {"catalog": folder, "threads": threads}
    settings = Settings.load(**(chosen | ({"model": model} if model else {})))
    catalog = Catalog.open(folder)
    tasks = draw(catalog, n, seed)
    if len(tasks) < 2:
        raise CatalogError(f"{folder} yields {len(tasks)} tasks: items need two values or more.")
    ranks = {arm: np.zeros(len(tasks), dtype=np.int64) for arm in ARMS}
    embedder = Embedder(threads=threads)
    with TemporaryDirectory() as home:
        store = VectorStore.open(catalog, Path(home))
        for arm in ARMS:
            place = placer(arm, catalog, settings, embedder, store)
            for k, task in enumerate(track(tasks, arm, console=Console(stderr=True))):
                ranks[arm][k] = place(task)
    gains = {}
    for name, (a, b) in {
        "tied - retrieval": ("tied", "retrieval"),
        "tied - untied": ("tied", "untied"),
        "untied - retrieval": ("untied", "retrieval"),
    }.items():
        gains[name] = {
            key: paired(score(ranks[a]), score(ranks[b]), seed)._asdict()
            for key, score in (("hit10", hit10), ("mrr10", reciprocal))
        }
    return {
        "catalog": catalog.domain.name,
        "items": len(catalog),
        "n": len(tasks),
        "seed": seed,
        "alpha": settings.alpha,
        "strength": settings.strength,
        "beam": settings.beam,
        "mean_allowed": round(float(np.mean([t.allowed for t in tasks])), 1),
        "arms": {arm: figures(ranks[arm]) for arm in ARMS},
        "gains": gains,
    }


def placer(
    arm: Arm, catalog: Catalog, settings: Settings, embedder: Embedder, store: VectorStore
) -> Any:
    """A function from a task to the withheld item's place on the slate, -1 where it is not."""
    loaded = load_small(settings.model)
    if arm == "tied":
        loaded.bind(catalog.codebooks)
    engine = InProcessSlates(loaded, catalog.mask, lm_scale=settings.strength)
    candidates = Candidates.open(catalog, embedder, settings.model / "ranker.npz")
    recommender = Recommender(
        catalog, candidates=candidates, engine=engine, loaded=loaded, store=store,
        embedder=embedder, alpha=settings.alpha, beam=settings.beam,
    )  # fmt: skip

    def place(task: Task) -> int:
        allowed = compile(catalog, task.beliefs.clauses)
        allowed[[catalog.row(m.item_id) for m in task.beliefs.mentions]] = False
        result = recommend(
            recommender.query(task.turns, task.beliefs),
            allowed,
            SLATE,
            catalog=catalog,
            candidates=candidates,
            engine=None if arm == "retrieval" else engine,
            loaded=None if arm == "retrieval" else loaded,
            store=store,
            alpha=settings.alpha,
            beam=settings.beam,
        )
        return result.rows.index(task.row) if task.row in result.rows else -1

    return place


# ------------------------------------------------------------------------- tasks


def draw(catalog: Catalog, n: int, seed: int) -> list[Task]:
    """Up to ``n`` tasks on different items, popular ones likelier, as people's wishes are."""
    rng = random.Random(seed)
    weights = np.sqrt(np.asarray(catalog.popularity, dtype=np.float64) + 0.1)
    order = np.random.default_rng(seed).choice(
        len(catalog), size=min(len(catalog), 4 * n), replace=False, p=weights / weights.sum()
    )
    tasks = []
    for row in order:
        for _ in range(TRIES):
            if (task := one(catalog, int(row), rng)) is not None:
                tasks.append(task)
                break
        if len(tasks) == n:
            break
    return tasks


def one(catalog: Catalog, row: int, rng: random.Random) -> Task | None:
    """A task about one item; None where its values leave too little, or too little to choose."""
    item = catalog.item(catalog.ids[row])
    facets = [f for f in catalog.domain.facets if f.filterable and item.values.get(f.name)]
    usable = [f for f in facets if f.kind in ("number", "categories", "people")]
    if len(usable) < 2:
        return None
    stated = rng.sample(usable, k=min(len(usable), rng.choice((2, 2, 3))))
    clauses = [about(item, facet, catalog, rng) for facet in stated]
    if (spared := exclusion(item, catalog, rng, {f.name for f in stated})) is not None:
        clauses.append(spared)
    allowed = int(compile(catalog, clauses).sum())
    if allowed < FEWEST:
        return None
    liked = neighbour(catalog, row, rng)
    title = catalog.item(catalog.ids[liked]).title
    words = [text for _, text in clauses_text({f.name: f for f in catalog.domain.facets}, clauses)]
    said = f"I liked {title}. I am looking for {catalog.domain.noun_many} {', '.join(words)}."
    mention = Mention(
        item_id=catalog.ids[liked], said=title, attitude="like", turn=0, relative=True
    )
    beliefs = Beliefs(clauses=tuple(clauses), mentions=(mention,))
    return Task(row, beliefs, (Turn(role="user", text=said),), allowed)


def about(item: Item, facet: Facet, catalog: Catalog, rng: random.Random) -> Clause:
    """A clause that the item satisfies: one of its values, or a bound on its own side."""
    value = item.values[facet.name]
    if facet.kind != "number":
        values = value if isinstance(value, tuple) else (value,)
        return Clause(field=facet.name, op="any", values=(rng.choice(values),), turn=0)
    column = catalog.df[facet.name].drop_nulls()
    middle = float(column.median() or 0.0)  # type: ignore[arg-type]
    below = float(value) <= middle
    bounds = [float(column.quantile(q) or 0.0) for q in (0.25, 0.5, 0.75)]
    limit = next((b for b in bounds if b >= value), None) if below else None
    if limit is not None:
        return Clause(field=facet.name, op="le", values=(limit,), turn=0)
    limit = next((b for b in reversed(bounds) if b <= value), float(value))
    return Clause(field=facet.name, op="ge", values=(limit,), turn=0)


def exclusion(item: Item, catalog: Catalog, rng: random.Random, stated: set[str]) -> Clause | None:
    """A common value of some categories facet that the item does not have."""
    facets = [f for f in catalog.domain.facets if f.filterable and f.kind == "categories"]
    facets = [f for f in facets if f.name not in stated]
    rng.shuffle(facets)
    for facet in facets:
        held = item.values.get(facet.name) or ()
        common = [v for v in list(catalog.values(facet.name))[:12] if v not in held]
        if common:
            return Clause(field=facet.name, op="none", values=(rng.choice(common),), turn=0)
    return None


def neighbour(catalog: Catalog, row: int, rng: random.Random) -> int:
    """A similar item: one of the ``NEAR`` nearest by vector."""
    scores = catalog.vectors @ catalog.vectors[row]
    scores[row] = -np.inf
    near = np.argpartition(-scores, min(NEAR, len(scores) - 1))[:NEAR]
    return int(rng.choice([int(r) for r in near if r != row]))


# ----------------------------------------------------------------------- figures

Places = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]


def hit10(places: Places) -> Scores:
    return ((places >= 0) & (places < 10)).astype(np.float64)


def reciprocal(places: Places) -> Scores:
    """1 over the place counted from one; 0 where the item is not on the slate."""
    return np.where(places >= 0, 1.0 / (np.maximum(places, 0) + 1.0), 0.0)


def figures(places: Places) -> dict[str, float]:
    """Shares of tasks whose item stands within 1, 5, 10, and the mean reciprocal rank."""
    listed = places >= 0
    cuts = {f"hit{k}": round(float((listed & (places < k)).mean()), 4) for k in (1, 5, 10)}
    return cuts | {"mrr10": round(float(reciprocal(places).mean()), 4)}


def paired(a: Sequence[float] | Scores, b: Sequence[float] | Scores, seed: int) -> Interval:
    """Mean of ``a - b`` on the same tasks, with its 95 % bootstrap interval over tasks."""
    gain = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(gain), size=(RESAMPLES, len(gain)))
    low, high = np.quantile(gain[draws].mean(axis=1), (0.025, 0.975))
    return Interval(round(float(gain.mean()), 4), round(float(low), 4), round(float(high), 4))


if __name__ == "__main__":
    typer.run(main)
