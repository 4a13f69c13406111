"""Rows -> batches for fine-tuning: two kinds, bucketed by length, a function of the step.

A text row is a prompt and what should follow it; a slate row is in ``training.slate_rows``.
Rows of like length share a batch, so little is padding; a batch holds about as many tokens
whatever its rows' length. Padding stands on the right, where causal attention never looks.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tools.tokens import CODES, EOS, PAD, SID_TOKENS
from training.corpus import stable_share
from training.slate_rows import SlateRow, SlateRows

MAX_LENGTH = 256
HOLDOUT_SHARE = 0.02
MAX_VALIDATION = 512
BUCKET_BATCHES = 50  # rows are sorted by length among this many batches' worth


class TextRow(NamedTuple):
    """Token ids; the loss counts from ``start`` on."""

    ids: np.ndarray
    start: int

    @property
    def length(self) -> int:
        """Tokens the model reads."""
        return len(self.ids) - 1


class TextBatch(NamedTuple):
    """Shapes: tokens (B, L), labels (B, L) with -100 where no loss counts."""

    tokens: Tensor
    labels: Tensor


class SlateBatch(NamedTuple):
    """Shapes: tokens (B, L), codebook (B,), and for T targets row (T,), place (T,),
    codes (T, 3), logmass (T, 3, 256). ``place`` is where a target's first code is predicted.
    """

    tokens: Tensor
    codebook: Tensor
    row: Tensor
    place: Tensor
    codes: Tensor
    logmass: Tensor


@dataclass
class Task:
    """One kind of row with its share of the steps."""

    name: str
    weight: float
    train: Sequence[Any]
    valid: Sequence[Any]


class Subset(Sequence[Any]):
    """Some rows of a larger sequence, read only when asked for."""

    def __init__(self, rows: Any, indices: Sequence[int]) -> None:
        self.rows, self.indices = rows, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[self.indices[index]]


def read_text(path: Path, tokenizer: PreTrainedTokenizerFast) -> list[TextRow]:
    """Rows ``{"prompt", "completion"}`` of a JSONL (.gz) file, tokenised; ``<eos>`` added.

    Raises:
        ValueError: a line without the two fields, or longer than the model reads.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines if line.strip()]
    missing = [i for i, r in enumerate(records) if not {"prompt", "completion"} <= r.keys()]
    if missing:
        raise ValueError(f"{path} line {missing[0] + 1} lacks `prompt` or `completion`")
    prompts = tokenizer([r["prompt"] for r in records], add_special_tokens=False)["input_ids"]
    ends = tokenizer([r["completion"] + EOS for r in records], add_special_tokens=False)
    rows = [
        TextRow(np.array(prompt + end, dtype=np.int64), len(prompt))
        for prompt, end in zip(prompts, ends["input_ids"], strict=True)
    ]
    for i, row in enumerate(rows):
        if row.length > MAX_LENGTH or row.start < 1:
            raise ValueError(
                f"{path} row {i} has {row.length} tokens, {row.start} of them prompt; "
                f"1 to {MAX_LENGTH} are read: shorten or drop it"
            )
    return rows


def read_tasks(
    config: dict[str, Any], folder: Path, tokenizer: PreTrainedTokenizerFast
) -> list[Task]:
    """The tasks of a config with their rows, validation parts set aside.

    Raises:
        ValueError: an unknown kind, or a weight that is not positive.
    """
    tasks = []
    for name, options in config["tasks"].items():
        if options["kind"] not in ("text", "slate") or not options["weight"] > 0:
            raise ValueError(f"task {name}: {options}; kind is text or slate, weight above 0")

        def read(file: str, kind: str = options["kind"]) -> Any:
            path = folder / file
            return read_text(path, tokenizer) if kind == "text" else SlateRows.load(path)

        rows = read(options["file"])
        if "valid" in options:
            train: Sequence[Any] = Subset(rows, range(len(rows)))
            held = read(options["valid"])
            valid: Sequence[Any] = Subset(held, range(len(held)))
        else:
            out = [stable_share(name, i) < HOLDOUT_SHARE for i in range(len(rows))]
            train = Subset(rows, [i for i, o in enumerate(out) if not o])
            valid = Subset(rows, [i for i, o in enumerate(out) if o])
        tasks.append(Task(name, float(options["weight"]), train, valid))
    return tasks


def length_buckets(
    lengths: np.ndarray, budget: int, rng: np.random.Generator | None
) -> list[np.ndarray]:
    """Row indices in batches of at most ``budget`` padded tokens; shuffled if ``rng`` is given."""
    order = rng.permutation(len(lengths)) if rng else np.arange(len(lengths))
    window = max(1, BUCKET_BATCHES * budget // max(int(lengths.max()), 1))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), window):
        part = order[start : start + window]
        part = part[np.argsort(lengths[part], kind="stable")]
        first = 0
        for i in range(len(part)):
            if i > first and int(lengths[part[i]]) * (i - first + 1) > budget:
                batches.append(part[first:i])
                first = i
        batches.append(part[first:])
    return [batches[i] for i in rng.permutation(len(batches))] if rng else batches


class Plan:
    """Which rows are in step s: the task that is furthest behind its share, its next batch."""

    def __init__(self, tasks: Sequence[Task], budget: int, seed: int) -> None:
        self.tasks, self.budget, self.seed = tasks, budget, seed
        shares = np.array([t.weight for t in tasks])
        self.shares = shares / shares.sum()
        self.counts = np.zeros(len(tasks), dtype=np.int64)
        self.step = 0
        self.lengths = [np.array([row.length for row in t.train]) for t in tasks]
        self._batches: dict[tuple[int, int], list[np.ndarray]] = {}

    def __call__(self, step: int) -> tuple[Task, list[Any]]:
        """Task and rows of a step; steps may be asked for once each, in order, from any start.

        Raises:
            ValueError: a step before the last one asked for.
        """
        if step < self.step:
            raise ValueError(f"step {step} was asked for after step {self.step - 1}")
        while True:
            index = int(np.argmax((self.step + 1) * self.shares - self.counts))
            epoch, place = self._place(index, int(self.counts[index]))
            self.counts[index] += 1
            self.step += 1
            if self.step > step:
                task = self.tasks[index]
                return task, [task.train[int(i)] for i in self._epoch(index, epoch)[place]]

    def _place(self, index: int, count: int) -> tuple[int, int]:
        epoch = 0
        while count >= len(self._epoch(index, epoch)):
            count -= len(self._epoch(index, epoch))
            epoch += 1
        return epoch, count

    def _epoch(self, index: int, epoch: int) -> list[np.ndarray]:
        if (index, epoch) not in self._batches:
            rng = np.random.default_rng((self.seed, index, epoch))
            self._batches[index, epoch] = length_buckets(self.lengths[index], self.budget, rng)
        return self._batches[index, epoch]


def _padded(rows: Sequence[np.ndarray], value: int) -> Tensor:
    """Rows side by side, padded on the right. Shape: (B, longest)."""
    out = torch.full((len(rows), max(map(len, rows))), value, dtype=torch.long)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.from_numpy(row)
    return out


def text_batch(rows: Sequence[TextRow], pad: int) -> TextBatch:
    """Inputs and next-token labels of text rows."""
    labels = []
    for row in rows:
        label = row.ids[1:].copy()
        label[: row.start - 1] = -100
        labels.append(label)
    return TextBatch(_padded([r.ids[:-1] for r in rows], pad), _padded(labels, -100))


def slate_batch(rows: Sequence[SlateRow], pad: int, sid_base: int) -> SlateBatch:
    """Inputs of slate rows and where each of their targets is predicted."""
    offsets = sid_base + CODES * np.arange(3)
    tokens, owner, place = [], [], []
    for i, row in enumerate(rows):
        items = np.concatenate([row.shown.reshape(-1, 3), row.targets.reshape(-1, 3)])
        tokens.append(np.concatenate([row.prompt, (items + offsets).ravel()])[:-1])
        first = len(row.prompt) - 1 + 3 * len(row.shown)
        owner += [i] * len(row.targets)
        place += [first + 3 * j for j in range(len(row.targets))]
    return SlateBatch(
        _padded(tokens, pad),
        torch.tensor([row.codebook for row in rows]),
        torch.tensor(owner),
        torch.tensor(place),
        torch.from_numpy(np.concatenate([r.targets for r in rows]).astype(np.int64)),
        torch.from_numpy(np.concatenate([r.logmass for r in rows])),
    )


class Ids(NamedTuple):
    """The ids that batches need."""

    pad: int
    sid_base: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "Ids":
        """Looked up by name."""
        vocabulary = tokenizer.get_vocab()
        return cls(vocabulary[PAD], vocabulary[SID_TOKENS[0]])


def make_batch(rows: Sequence[Any], ids: Ids) -> TextBatch | SlateBatch:
    """A batch of whichever kind the rows are."""
    if isinstance(rows[0], TextRow):
        return text_batch(rows, ids.pad)
    return slate_batch(rows, ids.pad, ids.sid_base)
