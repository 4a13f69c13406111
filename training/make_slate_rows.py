"""Make the slate rows that the small recommender learns from.

Four sources, all with the retrieval prior beside every target (``training.slate_rows``):

* ``turns``: ReDial recommender turns; the prior leaves the conversation itself out. Items
  from the top of the prior stand before the target without loss, so the model learns what
  comes next when its first ideas were not it.
* ``sets``: the same conversations without their words: some of the films named, then others
  of them. Gives many contexts where the turns give one.
* ``requests``: themes, moods and premise words of a film -> films that have them.
* ``tastes``: films drawn by walks over the co-mention graph -> draws from the prior. Nothing
  to learn there but to trust the prior where the model knows no better.

Half of the rows use the catalogue's released codes, the rest codebooks fitted with other
seeds on random halves of it, so that codes are read from their centroids.

    python -m training.make_slate_rows --catalog catalog/data/movies --redial DIR \\
        --tokenizer DIR --out DIR

Writes ``train.npz``, ``valid.npz`` (a tenth of the conversations, by hash) and
``codebooks.npy``. ReDial train and validation only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import typer
from rich.console import Console
from rich.progress import track
from transformers import AutoTokenizer

from catalog.importers.conversations import Rows, read
from catalog.items import Catalog
from catalog.semantic_ids import assign
from catalog.semantic_ids import fit as fit_codebooks
from catalog.vectors import embed
from tools.candidates import Candidates, Prior, Ranker, load_dialogues
from tools.features import Leave, Query, Wanted
from tools.slate_prompt import SlatePrompts, query_vectors
from training.ranker import held_out, questions
from training.requests import Request, requests
from training.slate_rows import SlateRow, SlateRows

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
MOST_TARGETS = 4
MOST_SHOWN = 9


class Book(NamedTuple):
    """One codebook with the catalogue's codes in it, and items by their first code."""

    codebooks: Floats
    codes: Codes
    first: list[npt.NDArray[np.int64]]

    @classmethod
    def of(cls, codebooks: Floats, codes: Codes) -> Book:
        return cls(codebooks, codes, [np.flatnonzero(codes[:, 0] == c) for c in range(256)])


class Sample(NamedTuple):
    """A query, its prior, and what is to be learnt. ``source`` counts rows in the report."""

    source: str
    query: Query
    vector: Floats
    prior: Prior
    targets: tuple[int, ...]
    held: bool


def log_masses(
    weights: npt.NDArray[np.float64], gone: Sequence[int], row: int, book: Book
) -> Floats:
    """Log weight below every child on the way to ``row``. Shape ``(3, 256)``, -inf for none.

    ``gone``: rows already on the slate. Sums are over the items themselves, so nothing is
    lost to subtraction.
    """
    left = weights.copy()
    left[list(gone)] = 0.0
    codes = book.codes
    inside = book.first[codes[row, 0]]
    deeper = inside[codes[inside, 1] == codes[row, 1]]
    sums = np.stack(
        [
            np.bincount(codes[:, 0], left, 256),
            np.bincount(codes[inside, 1], left[inside], 256),
            np.bincount(codes[deeper, 2], left[deeper], 256),
        ]
    )
    with np.errstate(divide="ignore"):
        masses: Floats = np.log(sums / left.sum()).astype(np.float32)
    return masses


class Maker:
    """Turns samples into rows."""

    def __init__(self, prompts: SlatePrompts, books: Sequence[Book], seed: int) -> None:
        self.prompts = prompts
        self.books = books
        self.rng = np.random.default_rng(seed)

    def row(self, sample: Sample, taste: Floats, plain: bool = False) -> SlateRow:
        """One row. ``plain``: nothing shown before, released codes (validation)."""
        rng, prior = self.rng, sample.prior
        only = plain or len(self.books) == 1
        k = 0 if only or rng.random() < 0.5 else int(rng.integers(1, len(self.books)))
        book = self.books[k]
        targets = list(rng.permutation(sample.targets)[:MOST_TARGETS])
        shown: list[int] = [] if plain else self._shown(sample)
        vectors = query_vectors(sample.vector, taste, prior.about_vectors)
        turns = sample.query.delexicalised or sample.query.turns
        prompt = self.prompts.prompt(
            self.prompts.text(turns), sample.query, vectors, prior.top, book.codes, book.codebooks
        )
        masses = [
            log_masses(prior.weights, [*shown, *targets[:i]], row, book)
            for i, row in enumerate(targets)
        ]
        return SlateRow(
            np.array(prompt, dtype=np.int64),
            k,
            book.codes[shown].astype(np.int64).reshape(-1, 3),
            book.codes[targets].astype(np.int64),
            np.stack(masses),
        )

    def _shown(self, sample: Sample) -> list[int]:
        """Likely items that were not it, as a slate would begin."""
        r = int(self.rng.integers(0, MOST_SHOWN + 1)) if self.rng.random() < 0.7 else 0
        wrong = sample.prior.top[~np.isin(sample.prior.top, sample.targets)][: 3 * MOST_SHOWN]
        scores = np.log(sample.prior.weights[wrong]) + 0.5 * self.rng.gumbel(size=len(wrong))
        return [int(row) for row in wrong[np.argsort(-scores)][:r]]


def turns(candidates: Candidates, redial: Path, cache: Path | None) -> Iterator[Sample]:
    """Recommender turns; a film that the prior forbids (named before) is no target."""
    every = questions(candidates.catalog, redial, cache)
    for start in track(range(0, len(every), 64), description="turns"):
        block = every[start : start + 64]
        queries = [q.asked.query for q in block]
        ready = candidates.features.prepare(queries, np.stack([q.vector for q in block]))
        for question, prepared in zip(block, ready, strict=True):
            query = question.asked.query
            may = allowed(candidates, query)
            prior = candidates.weights(query, may, ready=prepared, leave=question.leave)
            targets = tuple(row for row in question.asked.rows if may[row])
            if targets:
                yield Sample("turns", query, question.vector, prior, targets, question.held_out)


def sets(candidates: Candidates, redial: Path, rng: np.random.Generator) -> Iterator[Sample]:
    """Films of a conversation from others of it; what the person disliked is no target."""
    rows = Rows(candidates.catalog)
    numbers = load_dialogues(candidates.catalog)[1]
    nothing = np.zeros(384, np.float32)
    every = [*read(redial, "train"), *read(redial, "valid")]
    for dialogue in track(every, description="sets"):
        found = {f.key: row for f in dialogue.films() if (row := rows(f)) is not None}
        named = list(dict.fromkeys(found.values()))
        bad = {row for key, row in found.items() if dialogue.liked.get(key) is False}
        leave = Leave(tuple(sorted(named)), numbers.get(int(dialogue.id), -1))
        for _ in range(4 if len(named) > 2 else 0):
            order = [int(r) for r in rng.permutation(named)]
            cut = int(rng.integers(1, min(len(order) - 1, 5) + 1))
            liked = tuple(r for r in order[:cut] if r not in bad)
            query = Query(
                delexicalised=(("user", phrase(len(liked), rng)),) if rng.random() < 0.5 else (),
                liked=liked,
                disliked=tuple(r for r in order[:cut] if r in bad),
            )
            may = allowed(candidates, query)
            prior = candidates.weights(query, may, leave=leave)
            targets = tuple(r for r in order[cut:] if r not in bad and may[r])
            if targets:
                yield Sample("sets", query, nothing, prior, targets, held_out(dialogue.id))


def tastes(candidates: Candidates, count: int, rng: np.random.Generator) -> Iterator[Sample]:
    """Liked sets by random walks over co-mentions; targets drawn from the prior."""
    catalog = candidates.catalog
    start = np.sqrt(catalog.popularity + 0.1)
    start /= start.sum()
    nothing = np.zeros(384, np.float32)
    for _ in track(range(count), description="tastes"):
        liked = [int(rng.choice(len(start), p=start))]
        for _ in range(int(rng.integers(0, 5))):
            near = catalog.related[liked[-1]].indices
            step = int(rng.choice(near)) if len(near) and rng.random() < 0.8 else None
            liked.append(int(rng.choice(len(start), p=start)) if step is None else step)
        liked = list(dict.fromkeys(liked))
        said = (("user", phrase(len(liked), rng)),) if rng.random() < 0.7 else ()
        query = Query(delexicalised=said, liked=tuple(liked))
        prior = candidates.weights(query, allowed(candidates, query))
        yield Sample("tastes", query, nothing, prior, draw(prior, rng, 2), held=False)


def asked_for(candidates: Candidates, made: list[Request], vectors: Floats) -> Iterator[Sample]:
    """Requests in words -> the films they were made from and films alike."""
    for request, vector in track(list(zip(made, vectors, strict=True)), description="requests"):
        candidates.features.remember(request.about, vector)
        query = request.query()
        may = allowed(candidates, query)
        prior = candidates.weights(query, may)
        targets = tuple(row for row in request.targets if may[row])
        if targets:
            yield Sample("requests", query, vector, prior, targets, held=False)


def wishes(candidates: Candidates, count: int, rng: np.random.Generator) -> Iterator[Sample]:
    """ "Like that one, but funnier": targets drawn from the prior."""
    catalog = candidates.catalog
    popular = (catalog.popularity + 0.01) / (catalog.popularity + 0.01).sum()
    nothing = np.zeros(384, np.float32)
    scales = catalog.domain.scales
    for _ in track(range(count if scales else 0), description="wishes"):
        row = int(rng.choice(len(catalog), p=popular))
        scale = scales[int(rng.integers(len(scales)))]
        direction = int(rng.choice([-1, 1]))
        word = str(rng.choice(scale.more if direction > 0 else scale.less))
        query = Query(
            delexicalised=(("user", f"Something like <m1> but {word}."),),
            anchors=(row,),
            wishes=(Wanted(scale.name, direction, row),),
        )
        prior = candidates.weights(query, allowed(candidates, query))
        yield Sample("wishes", query, nothing, prior, draw(prior, rng, 2), held=False)


def allowed(candidates: Candidates, query: Query) -> npt.NDArray[np.bool_]:
    """Everything but what the query names."""
    may = np.ones(len(candidates.catalog), dtype=np.bool_)
    may[list(query.named + query.disliked)] = False
    return may


def draw(prior: Prior, rng: np.random.Generator, count: int) -> tuple[int, ...]:
    """``count`` different items of the list, by weight."""
    share = prior.weights[prior.top]
    size = min(count, len(share))
    picks = rng.choice(len(share), size=size, replace=False, p=share / share.sum())
    return tuple(int(row) for row in prior.top[picks])


def phrase(count: int, rng: np.random.Generator) -> str:
    """A plain sentence around ``count`` items, in our own words."""
    names = [f"<m{k}>" for k in range(1, min(count, 9) + 1)] or ["something good"]
    joined = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    forms = (
        "I like {}.",
        "I really enjoyed {}.",
        "{} are the kind of thing I enjoy.",
        "My favourites are {}.",
        "Can you suggest something like {}?",
        "I loved {}, what else is there?",
    )
    return str(rng.choice(forms)).format(joined)


def codebooks(catalog: Catalog, count: int) -> list[Book]:
    """The released codebook first, then ``count`` others, each of a random half."""
    books = [Book.of(catalog.codebooks, catalog.codes)]
    for seed in track(range(1, count + 1), description="codebooks"):
        rng = np.random.default_rng(seed)
        half = rng.permutation(len(catalog))[: max(len(catalog) // 2, min(len(catalog), 512))]
        fitted = fit_codebooks(catalog.vectors[half], seed=seed, iterations=15)
        books.append(Book.of(fitted, assign(catalog.vectors, fitted).codes))
    return books


def main(
    redial: Annotated[Path, typer.Option(help="folder with the ReDial files")],
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    tokenizer: Annotated[Path, typer.Option(help="tokenizer of parley-small")],
    ranker: Annotated[Path, typer.Option(help="ranker.npz")],
    out: Annotated[Path, typer.Option(help="folder for the rows")],
    cache: Annotated[Path | None, typer.Option(help="npz of text vectors to keep")] = None,
    copies: Annotated[int, typer.Option(help="rows a recommender turn")] = 3,
    size: Annotated[int, typer.Option(help="requests; as many tastes, half as many wishes")] = 5000,
    books: Annotated[int, typer.Option(help="codebooks besides the released one")] = 3,
    seed: Annotated[int, typer.Option(help="of every draw")] = 0,
) -> None:
    """Make the rows and save them."""
    torch.set_num_threads(1)
    console = Console(stderr=True)
    opened = Catalog.open(catalog)
    candidates = Candidates(opened, None, load_dialogues(opened)[0], Ranker.load(ranker))
    loaded: Any = AutoTokenizer.from_pretrained(tokenizer)
    maker = Maker(SlatePrompts(loaded), codebooks(opened, books), seed)
    rng = np.random.default_rng(seed + 1)
    made = requests(opened, size, rng)
    vectors = embed([request.about for request in made], cache)
    sources: list[tuple[int, Callable[[], Iterator[Sample]]]] = [
        (copies, lambda: turns(candidates, redial, cache)),
        (1, lambda: sets(candidates, redial, rng)),
        (1, lambda: asked_for(candidates, made, vectors)),
        (1, lambda: tastes(candidates, size, rng)),
        (1, lambda: wishes(candidates, size // 2, rng)),
    ]
    train: list[SlateRow] = []
    valid: list[SlateRow] = []
    counts: dict[str, int] = {}
    for times, source in sources:
        for sample in source():
            taste = candidates.features.taste(sample.query)
            if sample.held:
                if sample.source == "turns":
                    valid.append(maker.row(sample, taste, plain=True))
                continue
            train += [maker.row(sample, taste) for _ in range(times)]
            counts[sample.source] = counts.get(sample.source, 0) + times
    order = np.random.default_rng(seed).permutation(len(train))
    out.mkdir(parents=True, exist_ok=True)
    SlateRows.pack([train[i] for i in order]).save(out / "train.npz")
    SlateRows.pack(valid).save(out / "valid.npz")
    np.save(out / "codebooks.npy", np.stack([book.codebooks for book in maker.books]))
    console.print(f"{len(train)} rows ({counts}), {len(valid)} for validation, in {out}")


if __name__ == "__main__":
    typer.run(main)
