"""Train the retrieval ranker: which of 300 candidates was named next, in real conversations.

Learning to rank with leave-one-conversation-out statistics: every count a feature rests on
(mentions, co-mentions, neighbouring conversations) is taken without the conversation the
question comes from, or the ranker would learn to read the answer off its own inputs. A few
small networks with different seeds are averaged, which is one wider network; serving is a
numpy product of 20 numbers an item.

    python -m training.ranker --catalog catalog/data/movies --redial DIR \\
        --out models/parley-small/ranker.npz

ReDial train and validation only; a tenth of the conversations, by hash, is held out to
print what was learnt, then everything is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from catalog.importers.conversations import Rows, read
from catalog.items import Catalog
from catalog.vectors import embed
from tools.asked import Asked, asked
from tools.candidates import Ranker, load_dialogues
from tools.feature_index import Features
from tools.features import NAMES, POOL, REQUESTS, Dialogues, Floats, Leave

HIDDEN = 32
SEEDS = 4
EPOCHS = 10
BATCH = 64
RATE = 6e-3
TAIL = 0.1  # share of the prior kept for items outside the list, for the decoder to find
#: Weights of the request features, in their order: see ``training.requests``.
REQUEST = {
    "about_text": 13.0,
    "about_words": 1.5,
    "about_tags": 2.0,
    "anchor_text": 9.0,
    "anchor_talked": 0.6,
    "anchor_category": 2.0,
    "wish": 2.2,
    "popularity": 0.15,
    "ranker": 0.8,
}


class Question(NamedTuple):
    """One recommender turn with its last turns' vector and what statistics must leave out."""

    asked: Asked
    vector: Floats
    leave: Leave

    @property
    def held_out(self) -> bool:
        return held_out(self.asked.dialogue)


class Lists(NamedTuple):
    """Candidates of many questions: ``features`` (Q, POOL, F), ``hits`` (Q, POOL) 0 or 1."""

    features: Floats
    hits: Floats
    held_out: npt.NDArray[np.bool_]


def held_out(dialogue: str) -> bool:
    """A tenth of the conversations, the same tenth everywhere."""
    return crc32(dialogue.encode()) % 10 == 0


def questions(catalog: Catalog, redial: Path, cache: Path | None) -> list[Question]:
    """Every recommender turn of train and validation that names a film of the catalogue."""
    rows = Rows(catalog)
    dialogues, numbers = load_dialogues(catalog)
    found = []
    for split in ("train", "valid"):
        for dialogue in read(redial, split):
            at = numbers.get(int(dialogue.id), -1)
            own = tuple(sorted({r for f in dialogue.films() if (r := rows(f)) is not None}))
            if at >= 0:  # what the catalogue counted, to the letter
                lo, hi = dialogues.items.indptr[at : at + 2]
                own = tuple(int(r) for r in dialogues.items.indices[lo:hi])
            found += [(q, Leave(own, at)) for q in asked(dialogue, rows) if q.rows]
    texts = [q.query.text() for q, _ in found]
    vectors = embed(texts, cache)
    return [Question(q, v, leave) for (q, leave), v in zip(found, vectors, strict=True)]


def lists(features: Features, asked_for: list[Question]) -> Lists:
    """Candidate lists with their features. Questions without a hit on the list are dropped."""
    n = len(features.catalog)
    kept: list[tuple[Floats, Floats, bool]] = []
    for start in track(range(0, len(asked_for), 64), description="features"):
        block = asked_for[start : start + 64]
        ready = features.prepare(
            [q.asked.query for q in block], np.stack([q.vector for q in block])
        )
        for question, prepared in zip(block, ready, strict=True):
            may = np.ones(n, dtype=np.bool_)
            may[list(question.asked.query.named)] = False
            query, leave = question.asked.query, question.leave
            pool = features.conversation(query, may, ready=prepared, leave=leave)
            hits = np.isin(pool.rows, question.asked.rows).astype(np.float32)
            if hits.any():
                kept.append((pool.features[:POOL], hits[:POOL], question.held_out))
    return Lists(
        np.stack([f for f, _, _ in kept]),
        np.stack([h for _, h, _ in kept]),
        np.array([held for _, _, held in kept]),
    )


def fit(data: Lists, seeds: int = SEEDS) -> Ranker:
    """Average ``seeds`` one-hidden-layer networks, listwise softmax loss."""
    flat = data.features.reshape(-1, len(NAMES))
    mean, std = flat.mean(0), flat.std(0) + 1e-6
    inputs = torch.from_numpy(np.clip((data.features - mean) / std, -6, 6))
    hits = torch.from_numpy(data.hits)
    nets = [_train(inputs, hits, seed) for seed in range(seeds)]
    w1 = np.concatenate([net[0].weight.detach().numpy().T for net in nets], axis=1)
    b1 = np.concatenate([net[0].bias.detach().numpy() for net in nets])
    w2 = np.concatenate([net[3].weight.detach().numpy()[0] for net in nets]) / seeds
    request = np.array([REQUEST[name] for name in REQUESTS], dtype=np.float32)
    return Ranker(mean, std, w1, b1, w2, request, TAIL)


def _train(inputs: torch.Tensor, hits: torch.Tensor, seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[2], HIDDEN),
        torch.nn.Tanh(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(HIDDEN, 1),
    )
    steps = EPOCHS * -(-len(inputs) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            scores = torch.log_softmax(net(inputs[rows])[..., 0], dim=-1)
            loss = -((scores * hits[rows]).sum(1) / hits[rows].sum(1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def recall(ranker: Ranker, data: Lists, k: int) -> float:
    """Share of hits among the first ``k`` of their lists (not of all targets)."""
    found = 0.0
    for features, hits in zip(data.features, data.hits, strict=True):
        best = np.argsort(-ranker.scores(features), kind="stable")[:k]
        found += float(hits[best].sum())
    return found / float(data.hits.sum())


def main(
    redial: Annotated[Path, typer.Option(help="folder with the ReDial files")],
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    out: Annotated[Path, typer.Option(help="ranker.npz to write")],
    cache: Annotated[Path | None, typer.Option(help="npz of text vectors to keep")] = None,
) -> None:
    """Fit the ranker and save it."""
    torch.set_num_threads(1)
    console = Console(stderr=True)
    opened = Catalog.open(catalog)
    dialogues: Dialogues = load_dialogues(opened)[0]
    every = questions(opened, redial, cache)
    console.print(f"{len(every)} recommender turns")
    data = lists(Features(opened, None, dialogues), every)  # vectors are given: no encoder
    known = Lists(*(part[~data.held_out] for part in data))
    fresh = Lists(*(part[data.held_out] for part in data))
    trial = fit(known)
    table = Table("recall of listed targets", "train 90 %", "held out 10 %")
    for k in (1, 10, 20, 50):
        table.add_row(f"@{k}", f"{recall(trial, known, k):.4f}", f"{recall(trial, fresh, k):.4f}")
    console.print(table)
    fit(data).save(out)
    console.print(f"{out} written, from {len(data.hits)} lists")


if __name__ == "__main__":
    typer.run(main)
