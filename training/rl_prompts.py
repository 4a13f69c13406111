"""Prompts for reinforcement learning: a conversation, what the mask admits, what was wanted.

One row is a slate prompt in the released codes, the retrieval prior (best items with their
weights, the rest by popularity: as ``tools.candidates`` spreads it), the items that may not
be shown, and the target items. Held-out conversations go to ``valid.npz``; a test split is
never read here.

    python -m training.rl_prompts --catalog catalog/data/movies --redial DIR \\
        --tokenizer models/parley-small --ranker models/parley-small/ranker.npz --out DIR

``--data FILE --format reddit`` (or another format of ``training.readers``) in place of
``--redial`` makes them from other conversations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
import typer
from rich.console import Console

from catalog.embed import Embedder
from catalog.errors import ParleyError
from catalog.items import Catalog
from tools.candidates import RANKER, Candidates, Ranker, load_dialogues
from tools.features import Leave
from tools.slate_prompt import SlatePrompts, query_vectors
from training.make_slate_rows import Sample, turns
from training.ranker import held_out
from training.readers import Example, Titles, examples
from training.rows import query_of

Ints = npt.NDArray[np.int64]
FORMAT = 2


class PromptsError(ParleyError):
    """A prompts file that cannot be used: missing, of another format or another catalogue."""


class Prompt(NamedTuple):
    """``ids`` (P,) token ids; ``top`` (k,) rows with ``shares`` (k,); ``gone`` and ``targets``
    rows. ``vector`` (d,): text embedding of the conversation's last turns. ``tail``: share of
    the prior outside ``top``, spread by popularity."""

    ids: Ints
    top: Ints
    shares: npt.NDArray[np.float64]
    gone: Ints
    targets: Ints
    vector: npt.NDArray[np.float32]
    tail: float

    def weights(self, popularity: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The prior over the catalogue. Shape: ``(N,)``, sums to 1, 0 where not allowed."""
        weights = popularity.astype(np.float64) + 0.2
        weights[self.gone] = 0.0
        weights[self.top] = 0.0
        rest = weights.sum()
        weights *= (self.tail / rest) if rest else 0.0
        weights[self.top] = self.shares * (1 - self.tail if rest else 1.0)
        return weights


@dataclass
class Prompts:
    """Many prompts as flat arrays; ``prompts[i]`` is the i-th."""

    ids: npt.NDArray[np.int32]
    id_ends: Ints
    top: npt.NDArray[np.int32]
    shares: npt.NDArray[np.float32]
    top_ends: Ints
    gone: npt.NDArray[np.int32]
    gone_ends: Ints
    targets: npt.NDArray[np.int32]
    target_ends: Ints
    vectors: npt.NDArray[np.float16]
    tail: float
    fingerprint: str

    def __len__(self) -> int:
        return len(self.id_ends)

    def __getitem__(self, index: int) -> Prompt:
        def cut(values: Any, ends: Ints) -> Any:
            return values[int(ends[index - 1]) if index else 0 : int(ends[index])]

        if not 0 <= index < len(self):
            raise IndexError(index)
        return Prompt(
            cut(self.ids, self.id_ends).astype(np.int64),
            cut(self.top, self.top_ends).astype(np.int64),
            cut(self.shares, self.top_ends).astype(np.float64),
            cut(self.gone, self.gone_ends).astype(np.int64),
            cut(self.targets, self.target_ends).astype(np.int64),
            self.vectors[index].astype(np.float32),
            self.tail,
        )

    def first(self, count: int) -> Prompts:
        """The first ``count`` prompts (all of them when there are fewer)."""
        return Prompts.pack([self[k] for k in range(min(count, len(self)))], self.fingerprint)

    @classmethod
    def pack(cls, prompts: Sequence[Prompt], fingerprint: str) -> Self:
        """``PromptsError`` when there is none."""
        if not prompts:
            raise PromptsError("There is no prompt to write: give conversations with targets.")

        def ends(name: str) -> Ints:
            return np.cumsum([len(getattr(p, name)) for p in prompts], dtype=np.int64)

        def flat(name: str, dtype: type) -> Any:
            return np.concatenate([getattr(p, name) for p in prompts]).astype(dtype)

        return cls(
            flat("ids", np.int32),
            ends("ids"),
            flat("top", np.int32),
            flat("shares", np.float32),
            ends("top"),
            flat("gone", np.int32),
            ends("gone"),
            flat("targets", np.int32),
            ends("targets"),
            np.stack([p.vector for p in prompts]).astype(np.float16),
            prompts[0].tail,
            fingerprint,
        )

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        np.savez_compressed(path, format=FORMAT, **values)

    @classmethod
    def load(cls, path: Path, fingerprint: str | None = None) -> Self:
        """``PromptsError`` when the file is missing, not ours, or of another catalogue."""
        if not path.is_file():
            raise PromptsError(f"{path} is missing: make it with `python -m training.rl_prompts`.")
        with np.load(path) as data:
            names = {f.name for f in fields(cls)}
            if not names <= set(data.files) or int(data["format"]) != FORMAT:
                raise PromptsError(f"{path} is no prompts file of format {FORMAT}: make it anew.")
            values: dict[str, Any] = {name: data[name] for name in names}
        values |= {"tail": float(values["tail"]), "fingerprint": str(values["fingerprint"])}
        if fingerprint is not None and values["fingerprint"] != fingerprint:
            raise PromptsError(
                f"{path} was made for another build of the catalogue (semantic IDs "
                f"{values['fingerprint'][:12]}, here {fingerprint[:12]}): make it anew."
            )
        return cls(**values)


def codes_fingerprint(catalog: Catalog) -> str:
    """What a prompt's codes and rows depend on: the catalogue's semantic IDs, in row order."""
    import hashlib

    return hashlib.sha256(np.ascontiguousarray(catalog.codes).tobytes()).hexdigest()


def prompt_of(
    sample: Sample, candidates: Candidates, prompts: SlatePrompts, lexical: bool = False
) -> Prompt:
    """A sample of ``training.make_slate_rows`` as a prompt in the released codes.

    ``lexical``: titles stand in the conversation as they were written (an ablation).
    """
    catalog, prior = candidates.catalog, sample.prior
    vectors = query_vectors(
        sample.vector, candidates.features.taste(sample.query), prior.about_vectors
    )
    said = sample.query.turns if lexical else sample.query.delexicalised or sample.query.turns
    ids = prompts.prompt(
        prompts.text(said), sample.query, vectors, prior.top, catalog.codes, catalog.codebooks
    )
    shares = prior.weights[prior.top]
    return Prompt(
        np.array(ids),
        np.asarray(prior.top),
        shares / shares.sum(),
        np.flatnonzero(prior.weights <= 0),
        np.array(sample.targets),
        np.asarray(sample.vector, dtype=np.float32),
        candidates.ranker.tail,
    )


def of_examples(found: Iterable[Example], candidates: Candidates) -> Iterator[Sample]:
    """Conversations of any reader as samples; those whose targets the catalogue lacks go."""
    find = Titles(candidates.catalog)
    for example in found:
        query = query_of(example, find)
        may = np.ones(len(candidates.catalog), dtype=np.bool_)
        may[list(query.named + query.disliked)] = False
        rows = [row for name in example.targets if (row := find(name)) is not None and may[row]]
        if rows:
            own = tuple(sorted({*query.named, *rows}))
            prior = candidates.weights(query, may, leave=Leave(own, -1))
            vector = candidates.features.vector(query.text())
            held = held_out(example.id.rsplit(":", 1)[0])
            yield Sample("turns", query, vector, prior, tuple(dict.fromkeys(rows)), held)


def main(
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    tokenizer: Annotated[Path, typer.Option(help="folder with the tokenizer")],
    out: Annotated[Path, typer.Option(help="folder for train.npz and valid.npz")],
    redial: Annotated[Path | None, typer.Option(help="folder with the ReDial files")] = None,
    data: Annotated[Path | None, typer.Option(help="conversations in another format")] = None,
    format: Annotated[str, typer.Option(help="of --data, see training.readers")] = "own",
    limit: Annotated[int | None, typer.Option(help="conversations of --data at most")] = None,
    ranker: Annotated[Path, typer.Option(help="ranker.npz")] = RANKER,
    cache: Annotated[Path | None, typer.Option(help="npz of text vectors to keep")] = None,
    lexical: Annotated[bool, typer.Option(help="titles in place of <m1>: an ablation")] = False,
    longest: Annotated[int, typer.Option(help="longer prompts are left out and counted")] = 192,
) -> None:
    """Make the prompts of ReDial's training turns."""
    from transformers import AutoTokenizer

    torch.set_num_threads(1)
    console = Console(stderr=True)
    if data is not None and format == "redial":
        redial, data = data, None
    opened = Catalog.open(catalog)
    encoder = Embedder() if data else None  # ReDial's vectors come in one batch, cached
    candidates = Candidates(opened, encoder, load_dialogues(opened)[0], Ranker.load(ranker))
    loaded: Any = AutoTokenizer.from_pretrained(tokenizer)
    prompts = SlatePrompts(loaded)
    kept: dict[bool, list[Prompt]] = {True: [], False: []}
    left_out = 0
    if data is not None:
        made = of_examples(islice(examples(format, data), limit), candidates)
    elif redial is not None:
        made = islice(turns(candidates, redial, cache), limit)
    else:
        raise typer.BadParameter("give --redial, or --data with --format")
    for sample in made:
        prompt = prompt_of(sample, candidates, prompts, lexical)
        if len(prompt.ids) > longest:
            left_out += 1
        else:
            kept[sample.held].append(prompt)
    mark = codes_fingerprint(opened)
    if not kept[True] and len(kept[False]) > 1:  # few conversations: the last ones are held out
        cut = max(1, len(kept[False]) // 10)
        kept = {True: kept[False][-cut:], False: kept[False][:-cut]}
    Prompts.pack(kept[False], mark).save(out / "train.npz")
    Prompts.pack(kept[True], mark).save(out / "valid.npz")
    console.print(
        f"{len(kept[False])} prompts, {len(kept[True])} held out, {left_out} over {longest} "
        f"tokens left out, in {out}"
    )


if __name__ == "__main__":
    typer.run(main)
