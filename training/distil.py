"""Teach the slate role what a stronger teacher knows: its slates on made-up liked-sets.

The teacher is the retrieval prior (several learnt rankers, if more are given) and EASE, a linear
item-item model in closed form over the conversations (Steck 2019): which items are named together
once what each shares with every other is taken out. Serving does not run it: what it adds to the
prior is learnt by the language model, since a row's loss stands on the *released* prior
(``training.slate_rows``) while its targets are drawn from the teacher.

    python -m training.distil --catalog catalog/data/movies --redial DIR \\
        --tokenizer models/parley-small --ranker models/parley-small/ranker.npz --out DIR

First it says what there is to gain: the teacher's order against the prior's on conversations
held out, EASE fitted without them. A teacher that gains nothing there is an error, unless
``--anyway``. Writes ``train.npz``, ``valid.npz`` and ``codebooks.npy`` for ``training.sft``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
import typer
from rich.console import Console
from rich.progress import track

from catalog.errors import ParleyError
from catalog.items import Catalog
from tools.candidates import Candidates, Prior, Ranker, load_dialogues
from tools.ease import RIDGE, Ease
from tools.features import Query
from tools.slate_prompt import SlatePrompts
from training.make_slate_rows import Maker, Sample, codebooks, draw, sets, tastes, turns
from training.ranker import held_out
from training.slate_eval import Slates, paired
from training.slate_rows import SlateRows

STRENGTH: Final = 20.0
LISTED: Final = 10
SHARPER: Final = 2.0  #: targets are drawn from the teacher's weights to this power


class DistilError(ParleyError):
    """The teacher has nothing to teach here, or there is nothing to make it from."""


class Teacher(NamedTuple):
    """Log-weights of a prior's list: the mean of the rankers, and EASE on top."""

    ease: Ease
    strength: float
    rankers: tuple[Ranker, ...] = ()

    def weights(self, query: Query, prior: Prior) -> npt.NDArray[np.float64]:
        """(N,) weights that sum to the prior's; only the listed items' change."""
        rows = prior.top
        share = prior.weights[rows]
        logs = np.log(share)
        for ranker in self.rankers:
            other = ranker.scores(prior.features).astype(np.float64)
            logs = logs + other - np.logaddexp.reduce(other)
        logs = logs / (1 + len(self.rankers))
        logs = logs + self.strength * self.ease.scores(query.named)[rows]
        out = prior.weights.copy()
        new = np.exp(logs - logs.max())
        out[rows] = new / new.sum() * share.sum()
        return out


def without_held_out(items: sp.csr_matrix, numbers: dict[int, int]) -> sp.csr_matrix:
    """The conversations that may be learnt from."""
    kept = np.ones(items.shape[0], dtype=np.bool_)
    for number, row in numbers.items():
        kept[row] = not held_out(str(number))
    return items[kept]


def gain(found: Sequence[Sample], teacher: Teacher) -> dict[str, Any]:
    """Teacher minus prior on these samples: recall and NDCG at 10 with their intervals."""
    ranks: dict[str, list[list[int]]] = {"prior": [], "teacher": []}
    for sample in found:
        weights = {"prior": sample.prior.weights}
        weights["teacher"] = teacher.weights(sample.query, sample.prior)
        for name, own in weights.items():
            order = sample.prior.top[np.argsort(-own[sample.prior.top], kind="stable")][:LISTED]
            place = {int(row): k for k, row in enumerate(order)}
            ranks[name].append([place.get(int(t), -1) for t in sample.targets])
    prior, better = (Slates(ranks[name], 1, 1) for name in ("prior", "teacher"))
    return {
        "n": len(found),
        "prior": prior.figures(),
        "teacher": better.figures(),
        "recall": paired(better.recall(LISTED), prior.recall(LISTED)),
        "ndcg": paired(better.ndcg(LISTED), prior.ndcg(LISTED)),
    }


def taught(found: Iterator[Sample], teacher: Teacher, rng: np.random.Generator) -> Iterator[Sample]:
    """The same questions with targets drawn from the teacher, the released prior beside them."""
    for sample in found:
        weights = teacher.weights(sample.query, sample.prior) ** SHARPER
        drawn = draw(sample.prior._replace(weights=weights), rng, 4)
        yield sample._replace(targets=drawn)


def main(
    redial: Annotated[Path, typer.Option(help="folder with the ReDial files")],
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    tokenizer: Annotated[Path, typer.Option(help="tokenizer of parley-small")],
    ranker: Annotated[Path, typer.Option(help="ranker.npz: the released prior")],
    out: Annotated[Path, typer.Option(help="folder for the rows")],
    more: Annotated[list[Path] | None, typer.Option(help="further ranker.npz files")] = None,
    cache: Annotated[Path | None, typer.Option(help="npz of text vectors to keep")] = None,
    count: Annotated[int, typer.Option(help="made-up liked-sets")] = 100_000,
    books: Annotated[int, typer.Option(help="codebooks besides the released one")] = 3,
    ridge: Annotated[float, typer.Option(help="of EASE")] = RIDGE,
    strength: Annotated[float, typer.Option(help="of EASE beside the prior")] = STRENGTH,
    anyway: Annotated[bool, typer.Option(help="go on though the teacher gains nothing")] = False,
    seed: Annotated[int, typer.Option(help="of every draw")] = 0,
) -> None:
    """Measure the teacher, make the rows; the last line is JSON."""
    torch.set_num_threads(1)
    console = Console(stderr=True)
    try:
        opened = Catalog.open(catalog)
        dialogues, numbers = load_dialogues(opened)
        candidates = Candidates(opened, None, dialogues, Ranker.load(ranker))
        if not dialogues.items.shape[0]:
            raise DistilError(f"{catalog} has no conversations: there is nothing to teach.")
        ease = Ease.fit(without_held_out(dialogues.items, numbers), ridge)
        teacher = Teacher(ease, strength, tuple(Ranker.load(path) for path in more or ()))
        held = [sample for sample in turns(candidates, redial, cache) if sample.held]
        told = gain(held, teacher)
        console.print(f"teacher minus prior on {told['n']} held-out turns: R@10 {told['recall']}")
        if told["recall"][0] <= 0 and not anyway:
            raise DistilError(
                f"The teacher gains nothing on held-out turns ({told['recall']}): another "
                "--strength or --ridge, or --anyway."
            )
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    from transformers import AutoTokenizer

    loaded: Any = AutoTokenizer.from_pretrained(tokenizer)
    maker = Maker(SlatePrompts(loaded), codebooks(opened, books), seed)
    rng = np.random.default_rng(seed + 1)
    real = (sample for sample in sets(candidates, redial, rng) if not sample.held)
    rows = []
    for source in (real, tastes(candidates, count, rng)):
        for sample in taught(source, teacher, rng):
            rows.append(maker.row(sample, candidates.features.taste(sample.query)))
    valid = [
        maker.row(sample, candidates.features.taste(sample.query), plain=True)
        for sample in track(held, description="held out")
    ]
    out.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(rows))
    SlateRows.pack([rows[i] for i in order]).save(out / "train.npz")
    SlateRows.pack(valid).save(out / "valid.npz")
    np.save(out / "codebooks.npy", np.stack([book.codebooks for book in maker.books]))
    print(json.dumps({"rows": len(rows), "valid": len(valid), "teacher": told, "out": str(out)}))


if __name__ == "__main__":
    typer.run(main)
