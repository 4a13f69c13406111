"""How fast training is on this machine, beside what the machine could do.

    python -m training.throughput --model models/parley-small --catalog DIR --prompts DIR

Measures rollouts a second (sampling under the mask), the learning half of a Rank-GRPO step, and
training tokens a second of fine-tuning; beside them the machine's own limit, measured in the
same minute: operations a second of a large matrix product in the same number format, and bytes
a second of a copy. The share reached is operations needed (2 a parameter and token forward,
4 backward, attention left out) over that limit. The last line is JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from catalog.errors import ParleyError
from training.rl_prompts import Prompts, codes_fingerprint
from training.slate_policy import sample_groups, score
from training.train_rank_grpo import Subject


def fastest(run: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of ``times`` runs after one that warms up: the least disturbed."""
    run()
    best = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return best


def limits(device: torch.device, dtype: torch.dtype, size: int = 1024) -> dict[str, float]:
    """Operations and bytes a second of this machine, with the threads torch uses now."""
    a = torch.randn(size, size, device=device, dtype=dtype)
    b = torch.randn(size, size, device=device, dtype=dtype)
    flops = 2 * size**3 / fastest(lambda: a @ b, 8)
    block = torch.zeros(32 * 1024 * 1024, device=device)
    copied = torch.empty_like(block)
    moved = 2 * block.numel() * 4 / fastest(lambda: copied.copy_(block), 5)
    return {"gflops": flops / 1e9, "gb_per_s": moved / 1e9}


def layers(model: Any) -> int:
    """Parameters that every token is multiplied with: all but the tables of rows."""
    tables = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    return sum(p.numel() for p in model.parameters() if id(p) not in tables)


def measure(
    subject: Subject, prompts: Prompts, *, groups: int, rollouts: int, n: int, times: int
) -> dict[str, float]:
    """Rates of sampling and learning, and the share of the machine's limit that they reach."""
    model, device = subject.model, next(subject.model.parameters()).device
    chosen = [prompts[k] for k in range(min(groups, len(prompts)))]
    ids = [prompt.ids.tolist() for prompt in chosen]
    weights = [prompt.weights(subject.popularity) for prompt in chosen]
    drawn: list[Any] = []

    def roll() -> None:
        drawn[:] = sample_groups(
            model.eval(),
            ids,
            weights,
            subject.catalog.mask,
            n=n,
            rollouts=rollouts,
            sid_base=subject.sid_base,
            generator=np.random.default_rng(0),
        )

    sampling = fastest(roll, times)
    every = [one for group in drawn for one in group]
    width = max(map(len, ids))
    left = [width - len(own) for own in ids for _ in range(rollouts)]
    fed = [
        [0] * pad + own
        for pad, own in zip(left, (o for o in ids for _ in range(rollouts)), strict=True)
    ]
    seen = [[0] * pad + [1] * (width - pad) for pad in left]
    tokens = torch.tensor([one.tokens for one in every], device=device)
    args = (
        torch.tensor(fed, device=device),
        torch.tensor(seen, device=device),
        tokens,
        torch.ones_like(tokens),
        torch.from_numpy(np.stack([one.logmass for one in every])).to(device),
    )

    def learn() -> None:
        found = score(model.train(), *args, sid_base=subject.sid_base)
        found.logps.mean().backward()
        model.zero_grad(set_to_none=True)

    learning = fastest(learn, times)
    length = 3 * n
    read = sum(map(len, ids)) + len(every) * length
    flops = 2 * layers(model) * read
    limit = limits(device, next(model.parameters()).dtype)
    return {
        "rollouts_per_s": len(every) / sampling,
        "sampled_tokens_per_s": len(every) * length / sampling,
        "sampling_share": flops / sampling / 1e9 / limit["gflops"],
        "learned_tokens_per_s": read / learning,
        "learning_share": 3 * flops / learning / 1e9 / limit["gflops"],
        "steps_per_minute": 60 / (sampling + learning),
        **limit,
    }


def main(
    model: Annotated[Path, typer.Option(help="parley-small, or a Hugging Face causal LM")],
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    prompts: Annotated[Path, typer.Option(help="folder of training.rl_prompts")],
    groups: Annotated[int, typer.Option(help="prompts of a step")] = 4,
    rollouts: Annotated[int, typer.Option(help="of a prompt")] = 16,
    n: Annotated[int, typer.Option(help="items of a slate")] = 10,
    times: Annotated[int, typer.Option(help="the fastest of so many counts")] = 3,
    threads: Annotated[int, typer.Option(help="CPU threads")] = 1,
    cpu: Annotated[bool, typer.Option(help="stay on the CPU")] = False,
) -> None:
    """Print the rates beside the limits; the last line is JSON."""
    torch.set_num_threads(threads)
    try:
        subject = Subject(model, catalog, 0, cpu=cpu)
        made = Prompts.load(prompts / "valid.npz", codes_fingerprint(subject.catalog))
    except ParleyError as error:
        Console(stderr=True).print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    found = measure(subject, made, groups=groups, rollouts=rollouts, n=n, times=times)
    table = Table("what", "rate", "share of the limit")
    table.add_row(
        "rollouts a second", f"{found['rollouts_per_s']:.1f}", f"{found['sampling_share']:.0%}"
    )
    table.add_row(
        "tokens learnt from a second",
        f"{found['learned_tokens_per_s']:.0f}",
        f"{found['learning_share']:.0%}",
    )
    table.add_row("limit: matrix product", f"{found['gflops']:.0f} GFLOP/s", "")
    table.add_row("limit: copying", f"{found['gb_per_s']:.1f} GB/s", "")
    Console().print(table)
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    typer.run(main)
