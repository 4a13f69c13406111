"""Teach parley-small one catalogue: half an hour on two cores, measured before and after.

The released model orders slates of any catalogue through codes tied to centroids, without
having seen it. This trains the slate role on the catalogue's own facts and, where there are
any, interactions (``training.adapt_rows``), with the retrieval prior in the loss: what is
learnt is what retrieval does not know. The talker is left alone: the result is a second
model folder for the slate role only.

    python -m training.adapt --catalog DIR --out DIR/../adapted --minutes 30
    PARLEY_RECOMMENDER=ADAPTED make chat CATALOG=DIR

Held-out requests and people are ranked by retrieval alone, by the model as it was, and by
the adapted one; the last line is JSON. Use the new folder only if it is better.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import typer
from transformers.utils.logging import disable_progress_bar

from catalog.embed import Embedder
from catalog.errors import ParleyError
from catalog.items import Catalog
from tools.candidates import Candidates
from tools.recommend import slate_prompt
from tools.slate_decoder import InProcessSlates
from tools.slate_prompt import SlatePrompts
from tools.small_model import LoadedModel, load_small
from training import slate_eval
from training.adapt_rows import histories, read_histories, requests
from training.loop import Optimiser, Trainer, console, run
from training.make_slate_rows import Book, Maker, Sample
from training.sft import TwoRoles, batches_of, validate
from training.sft_data import Ids, Plan, Task

MODEL = Path(__file__).parent.parent / "models" / "parley-small"
LISTED = 10


class Measured(NamedTuple):
    """Ranks of the held-out targets, 0 first, -1 beyond the list; one array an arm."""

    retrieval: npt.NDArray[np.int64]
    slate: npt.NDArray[np.int64]

    def figures(self, name: str) -> dict[str, float]:
        found = {}
        for k in (1, LISTED):
            found[f"{name}_R@{k}"] = round(float(hits(self.slate, k).mean()), 4)
        return found


def hits(ranks: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.float64]:
    return ((ranks >= 0) & (ranks < k)).astype(np.float64)


def paired(
    a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], k: int = LISTED
) -> tuple[float, float, float]:
    """Recall@k of ``a`` minus ``b`` with its 95 % bootstrap interval over samples."""
    return slate_eval.paired(hits(a, k), hits(b, k))


def measure(
    samples: list[Sample], candidates: Candidates, loaded: LoadedModel, alpha: float
) -> Measured:
    """Where each sample's first target stands, by retrieval alone and on the slate."""
    catalog = candidates.catalog
    engine = InProcessSlates(loaded, catalog.mask)
    retrieval, slate = [], []
    for sample in samples:
        target = sample.targets[0]
        listed = [int(r) for r in sample.prior.top[:LISTED]]
        prompt = slate_prompt(sample.query, sample.prior, catalog, candidates, loaded)
        rows = engine.slate(prompt, sample.prior.weights, LISTED, alpha=alpha, beam=4).rows
        retrieval.append(listed.index(target) if target in listed else -1)
        slate.append(rows.index(target) if target in rows else -1)
    return Measured(np.array(retrieval), np.array(slate))


def task_of(samples: list[Sample], held: list[Sample], maker: Maker, taste: Any) -> Task:
    """The samples as rows of one task of the fine-tuning."""
    train = [maker.row(sample, taste(sample.query)) for sample in samples]
    valid = [maker.row(sample, taste(sample.query), plain=True) for sample in held]
    return Task("slate", 1.0, train, valid)


def roles_of(loaded: LoadedModel, catalog: Catalog, ids: Ids, alpha: float) -> TwoRoles:
    """The loaded model as the trainer wants it, over this catalogue's codebook alone."""
    if loaded.projection is None:
        raise ParleyError(
            "The model has no projection from centroids to code rows, so it cannot learn another "
            "catalogue: give one written by training.export."
        )
    loaded.model.requires_grad_(True)
    loaded.projection.requires_grad_(True)
    books = torch.from_numpy(catalog.codebooks[None].astype(np.float32))
    return TwoRoles(loaded.model, loaded.projection, books, ids, alpha)


def main(
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    out: Annotated[Path, typer.Option(help="folder of the run; its `model` is the result")],
    model: Annotated[Path, typer.Option(help="parley-small, or an adapted one")] = MODEL,
    interactions: Annotated[Path | None, typer.Option(help="user,item,time: CSV, Parquet")] = None,
    minutes: Annotated[float, typer.Option(help="training time")] = 25,
    steps: Annotated[int | None, typer.Option(help="stop after this many, if sooner")] = None,
    rows: Annotated[int, typer.Option(help="requests to train on")] = 4000,
    held: Annotated[int, typer.Option(help="held-out samples to measure on, of each kind")] = 200,
    lr: Annotated[float, typer.Option(help="peak learning rate")] = 1e-4,
    alpha: Annotated[float, typer.Option(help="strength of the prior, as in serving")] = 1.0,
    workers: Annotated[int, typer.Option(help="threads that share a batch")] = 2,
    seed: Annotated[int, typer.Option()] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="the same for one minute")] = False,
) -> None:
    """Adapt the slate role to one catalogue; the last line is JSON."""
    disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    try:
        report = adapt(
            catalog,
            out,
            model,
            interactions,
            minutes=1 if dry_run else minutes,
            steps=steps,
            rows=rows,
            held=held,
            lr=lr,
            alpha=alpha,
            workers=workers,
            seed=seed,
        )
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    print(json.dumps(report))


def adapt(
    catalog: Path,
    out: Path,
    model: Path,
    interactions: Path | None,
    *,
    minutes: float,
    steps: int | None,
    rows: int,
    held: int,
    lr: float,
    alpha: float,
    workers: int,
    seed: int,
) -> dict[str, Any]:
    """See ``main``. Returns the figures before and after."""
    opened = Catalog.open(catalog)
    loaded = load_small(model)
    candidates = Candidates.open(opened, Embedder(), model / "ranker.npz")
    rng = np.random.default_rng(seed)
    chosen = read_histories(interactions, opened) if interactions else {}
    console.print(f"{len(opened)} {opened.domain.noun_many}, {len(chosen)} people with histories")
    train = [*requests(candidates, rows, rng, held=False)]
    train += histories(candidates, chosen, False, rng)
    tested = {
        "requests": list(requests(candidates, held, np.random.default_rng(seed + 1), held=True)),
        "histories": list(histories(candidates, chosen, True, rng))[:held],
    }
    tested = {name: samples for name, samples in tested.items() if samples}
    loaded.bind(opened.codebooks)
    before = {k: measure(v, candidates, loaded, alpha) for k, v in tested.items()}
    prompts = SlatePrompts(loaded.tokenizer)
    book = Book.of(opened.codebooks, opened.codes)
    maker = Maker(prompts, [book], seed)
    ids = Ids.of(loaded.tokenizer)
    task = task_of(train, [s for v in tested.values() for s in v], maker, candidates.features.taste)
    roles = roles_of(loaded, opened, ids, alpha)
    trainer = Trainer(
        roles, roles.loss, _saver(roles, loaded), out, Optimiser(lr, muon=False), workers
    )
    trainer.resume()
    report = run(
        trainer,
        batches_of(Plan([task], 3072, seed), ids, workers),
        lambda: validate(roles, [task], ids, 3072),
        minutes=minutes,
        max_steps=steps,
    )
    adapted = load_small(out / "model")
    adapted.bind(opened.codebooks)
    after = {k: measure(v, candidates, adapted, alpha) for k, v in tested.items()}
    for name, samples in tested.items():
        b, a = before[name], after[name]
        report[name] = {
            "n": len(samples),
            **Measured(b.slate, b.retrieval).figures("retrieval"),
            **b.figures("before"),
            **a.figures("after"),
            "after_minus_before": paired(a.slate, b.slate),
            "after_minus_retrieval": paired(a.slate, a.retrieval),
        }
    return report


def _saver(roles: TwoRoles, loaded: LoadedModel) -> Callable[[Path], None]:
    """Writes a folder that ``load_small`` reads."""

    def save(folder: Path) -> None:
        roles.save(folder)
        loaded.tokenizer.save_pretrained(folder)

    return save


if __name__ == "__main__":
    typer.run(main)
