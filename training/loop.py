"""The training loop that pretraining and fine-tuning share: a clock, not a step count.

The learning rate follows the share of the minutes (or steps) that is used, so one flag is
the whole schedule. Matrices of the layers are stepped by Muon, everything else by AdamW.
A checkpoint holds weights, optimisers, step and seconds used; a killed run goes on from the
last whole one. Batches are functions of (seed, step), so nothing else has to be saved.

Workers are threads that share the weights, each with its part of the batch: they meet once
a step, where torch's own threads meet in every kernel and crawl on a machine that does
other things too. On a CPU give each worker one thread (OMP_NUM_THREADS=1 --workers 2).
"""

import json
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

console = Console(stderr=True)
MEAN_OVER = 50  # steps behind the training loss that is reported


class Part(NamedTuple):
    """One worker's piece of a batch and its share of the batch's loss; shares sum to 1."""

    data: Any
    share: float


class Batch(NamedTuple):
    """The parts of one step; ``task`` names the loss curve they belong to."""

    task: str
    parts: list[Part]


class Optimiser(NamedTuple):
    """The dials of an update. ``scales`` multiplies the rate of parameters by name prefix."""

    lr: float
    muon: bool = True
    weight_decay: float = 0.05
    scales: tuple[tuple[str, float], ...] = ()


def schedule(progress: float, warmup: float = 0.03, floor: float = 0.02) -> float:
    """Share of the peak rate at ``progress`` in [0, 1]: linear warm-up, then cosine."""
    if progress < warmup:
        return max(progress / warmup, 0.01)
    turn = min((progress - warmup) / (1 - warmup), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * turn))


def optimisers(model: nn.Module, dials: Optimiser, parts: int = 1) -> list[torch.optim.Optimizer]:
    """Muon (Jordan 2024, torch's own) for layer matrices, AdamW for rows, norms and biases.

    ``match_rms_adamw`` scales Muon's update to AdamW's size (Moonshot 2025), so both take
    the same rate. Muon's matrices are dealt to ``parts`` optimisers that step side by side.
    """
    matrices: list[Tensor] = []
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, p in model.named_parameters():
        scale = next((s for prefix, s in dials.scales if name.startswith(prefix)), 1.0)
        if dials.muon and p.ndim == 2 and ".layers." in name:
            matrices.append(p)
        else:
            decay = dials.weight_decay if p.ndim >= 2 else 0.0
            groups.setdefault((decay, scale), []).append(p)
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [
                {"params": members, "weight_decay": decay, "scale": scale}
                for (decay, scale), members in groups.items()
            ],
            lr=dials.lr,
            betas=(0.9, 0.95),
        )
    ]
    for part in range(parts if matrices else 0):
        found.append(
            torch.optim.Muon(
                matrices[part::parts],
                lr=dials.lr,
                weight_decay=dials.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return found


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


class Trainer:
    """State of one run: model, optimisers, step, seconds used; saved and resumed whole.

    ``loss`` maps one part's data to its mean loss; ``save_model`` writes the model as an
    ordinary folder.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any], Tensor],
        save_model: Callable[[Path], object],
        out: Path,
        dials: Optimiser,
        workers: int = 1,
    ) -> None:
        self.model, self.loss, self.save_model, self.out = model, loss, save_model, out
        self.dials, self.workers = dials, workers
        self.optimisers = optimisers(model, dials, workers)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.pool = ThreadPoolExecutor(workers)
        self.step, self.seconds = 0, 0.0
        self.checkpoint = out / "checkpoint.pt"

    def resume(self) -> None:
        """Go on from the last whole checkpoint, if there is one.

        Raises:
            ValueError: the checkpoint is of a run with other dials or another model.
        """
        if not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if len(state["optimisers"]) != len(self.optimisers):
            raise ValueError(
                f"{self.checkpoint} was written with {len(state['optimisers'])} optimisers, this "
                f"run has {len(self.optimisers)}; use the same --workers or another --out"
            )
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        console.print(f"resumed at step {self.step}, {self.seconds:.0f} s used")

    def save(self) -> None:
        """Checkpoint for resuming, and the model folder for using."""
        save_checkpoint(
            self.checkpoint,
            {
                "model": self.model.state_dict(),
                "optimisers": [o.state_dict() for o in self.optimisers],
                "step": self.step,
                "seconds": self.seconds,
            },
        )
        self.save_model(self.out / "model")

    def train_step(self, parts: list[Part], progress: float) -> float:
        """One update at the rate the clock asks for; returns the loss."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.dials.lr * schedule(progress) * group.get("scale", 1.0)
        losses, found = zip(*self.pool.map(self._gradients, parts), strict=True)
        for p, *gradients in zip(self.parameters, *found, strict=True):
            p.grad = torch.stack(
                [g * part.share for g, part in zip(gradients, parts, strict=True)]
            ).sum(0)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        list(self.pool.map(lambda optimiser: optimiser.step(), self.optimisers))
        self.step += 1
        return float(sum(loss * part.share for loss, part in zip(losses, parts, strict=True)))

    def _gradients(self, part: Part) -> tuple[float, tuple[Tensor, ...]]:
        loss = self.loss(part.data)
        gradients = torch.autograd.grad(
            loss, self.parameters, allow_unused=True, materialize_grads=True
        )
        return float(loss.detach()), gradients


def run(
    trainer: Trainer,
    batches: Callable[[int], Batch],
    validate: Callable[[], dict[str, float]],
    *,
    minutes: float,
    max_steps: int | None = None,
    every: float = 180.0,
) -> dict[str, Any]:
    """Train until the minutes or steps are used; returns the figures of the last line.

    ``validate`` and a checkpoint follow every ``every`` seconds and at the end; their time
    does not count.
    """
    writer = SummaryWriter(str(trainer.out / "tensorboard"))
    last = mark = time.monotonic()
    first_step = trainer.step
    losses: dict[str, list[float]] = {}
    figures: dict[str, float] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        shown = bar.add_task("train", total=1.0)
        while True:
            progress = trainer.seconds / (minutes * 60)
            if max_steps:
                progress = max(progress, trainer.step / max_steps)
            done = progress >= 1
            if done or time.monotonic() - mark >= every:
                figures = validate()
                for name, value in figures.items():
                    writer.add_scalar(f"val/{name}", value, trainer.step)
                trainer.save()
                means = {f"train_{k}": round(_mean(v), 4) for k, v in losses.items()}
                line = {"step": trainer.step, "seconds": round(trainer.seconds), **means}
                console.print(json.dumps(line | {k: round(v, 4) for k, v in figures.items()}))
                mark = last = time.monotonic()
                if done:
                    break
            batch = batches(trainer.step)
            loss = trainer.train_step(batch.parts, progress)
            losses.setdefault(batch.task, []).append(loss)
            now = time.monotonic()
            trainer.seconds, last = trainer.seconds + now - last, now
            if trainer.step % 10 == 0:
                writer.add_scalar(f"train/{batch.task}", loss, trainer.step)
            bar.update(shown, completed=progress, description=f"{trainer.step} loss {loss:.3f}")
    writer.close()
    return {
        "steps": trainer.step,
        "steps_this_run": trainer.step - first_step,
        "seconds": round(trainer.seconds, 1),
        **{f"first_{k}": round(v[0], 4) for k, v in losses.items()},
        **{f"train_{k}": round(_mean(v), 4) for k, v in losses.items()},
        **{f"val_{k}": round(v, 4) for k, v in figures.items()},
        "model": str(trainer.out / "model"),
    }


def _mean(values: list[float]) -> float:
    recent = values[-MEAN_OVER:]
    return sum(recent) / max(len(recent), 1)
