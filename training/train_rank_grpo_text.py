"""Rank-GRPO on slates of titles: one arm, or a whole ladder, from a recipe and a data file.

    python -m training.train_rank_grpo_text --config training/configs/qwen3_0.6b.yaml \\
        --model SFT_RUN/model --data train.jsonl --valid valid.jsonl --format reddit --out DIR \\
        [--arm exp_inf | --ladder] [--dry-run]

Reads Reddit-v2 as released with Rank-GRPO, or any other format of ``training.readers``. Arms
are those of ``rank_grpo.yaml`` (those about the mask or about codes do not apply); slates are
scored as the paper scores them: title exactly, year within two, seen titles taken out, one
greedy generation a conversation. ``--ladder`` runs the main arms over their seeds and writes
the table; finished runs are read, not repeated. The last line is JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
import yaml
from rich.console import Console
from transformers.trainer_utils import get_last_checkpoint

from catalog.errors import ParleyError
from training.hf import Recipe, merged, open_model, open_tokenizer, shrunk, with_adapter
from training.ladder import commit, compared, table
from training.rank_grpo import RankGRPOConfig
from training.rank_grpo_text import TextRankGRPOTrainer, slate_relevance, titled
from training.readers import Example, RowsError, examples
from training.rows import title_prompt
from training.slate_segments import segment_text
from training.train_rank_grpo import CONFIG, read_arm

CUTS: Final = (5, 10, 15, 20)
LEFT_OUT: Final = {"free", "negatives", "reachable"}  # arms about the mask, or about codes
console = Console(stderr=True)


class Scores:
    """Relevance of greedy slates, (Q, N), against how many targets each had."""

    def __init__(self, relevance: Any, targets: list[int]) -> None:
        self.relevance, self.targets = np.asarray(relevance), np.array(targets)

    def recall(self, k: int) -> Any:
        return self.relevance[:, :k].sum(1) / self.targets

    def ndcg(self, k: int) -> Any:
        discount = 1 / np.log2(np.arange(self.relevance.shape[1]) + 2)
        ideal = np.array([discount[: min(k, t)].sum() for t in self.targets])
        return (self.relevance[:, :k] * discount[:k]).sum(1) / ideal

    def figures(self) -> dict[str, float]:
        found = {f"R@{k}": float(self.recall(k).mean()) for k in CUTS}
        found |= {f"NDCG@{k}": float(self.ndcg(k).mean()) for k in CUTS}
        return {name: round(value, 4) for name, value in found.items()}


@torch.no_grad()
def measure(
    model: Any, tokenizer: Any, held: list[Example], recipe: Recipe, n: int, batch: int = 8
) -> Scores:
    """One greedy generation a conversation."""
    training = model.training
    model.eval()
    relevance: list[Any] = []
    for start in range(0, len(held), batch):
        block = held[start : start + batch]
        prompts = [title_prompt(one, n=n) for one in block]
        fed = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left").to(
            model.device
        )
        written = model.generate(
            **fed,
            max_new_tokens=recipe.rl.max_completion,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )[:, fed["input_ids"].shape[1] :]
        for ids, one in zip(written.tolist(), block, strict=True):
            found = segment_text(ids, tokenizer, eos=tokenizer.eos_token_id, n=n)
            relevance.append(slate_relevance(found, list(one.targets), list(one.seen), n))
    model.train(training)
    return Scores(relevance, [len({titled(t) for t in one.targets}) for one in held])


def fitting(found: list[Example], tokenizer: Any, recipe: Recipe, n: int) -> list[Example]:
    """Examples whose prompt is short enough; how many are not is said."""
    kept = [
        one
        for one in found
        if len(tokenizer(title_prompt(one, n=n))["input_ids"]) <= recipe.rl.max_prompt
    ]
    if len(kept) < len(found):
        console.print(
            f"{len(found) - len(kept)} prompts over {recipe.rl.max_prompt} tokens left out"
        )
    if not kept:
        raise RowsError("No conversation is short enough: raise rl.max_prompt.")
    return kept


def train_arm(
    recipe: Recipe,
    model: Any,
    tokenizer: Any,
    train: list[Example],
    held: list[Example],
    options: dict[str, Any],
    out: Path,
    *,
    steps: int,
    cpu: bool,
    seed: int,
    generated: int | None = None,
) -> dict[str, Any]:
    """Measure, train, measure; the model lies in ``out/model``."""
    from datasets import Dataset

    n = options["ranks"]
    before = measure(model, tokenizer, held, recipe, n).figures()
    if recipe.lora:
        model = with_adapter(model, recipe.lora)
    if options["method"] == "sft":
        raise RowsError("The sft arm of titles is `python -m training.hf_sft` for as many steps.")
    rows = {
        "prompt": [title_prompt(one, n=n) for one in train],
        "targets": [list(one.targets) for one in train],
        "seen": [list(one.seen) for one in train],
    }
    args = RankGRPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=options["group"] * options["prompts_per_step"],
        num_generations=options["group"],
        num_iterations=options["iterations"],
        max_steps=steps * options["iterations"],
        max_completion_length=generated or recipe.rl.max_completion,
        learning_rate=options["learning_rate"],
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=max(1, steps // 20),
        adam_beta2=options["adam_beta2"],
        beta=options["beta"],
        epsilon=options["epsilon_low"],
        epsilon_high=options["epsilon_high"],
        temperature=options["temperature"],
        gradient_checkpointing=recipe.gradient_checkpointing and not cpu,
        share_prompts=False,
        save_steps=max(1, min(50, steps // 2)),
        save_total_limit=1,
        logging_steps=1,
        report_to=["tensorboard"],
        use_cpu=cpu,
        bf16=recipe.dtype == "bfloat16" and not cpu,
        disable_tqdm=not console.is_terminal,
        seed=seed,
        **{k: options[k] for k in ("ranks", "returns", "advantage", "ratio", "normalize", "std")},
    )
    trainer = TextRankGRPOTrainer(
        model, args, processing_class=tokenizer, train_dataset=Dataset.from_dict(rows)
    )
    last = get_last_checkpoint(str(out)) if out.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    curve = [e for e in trainer.state.log_history if "hits" in e]
    finished = merged(trainer.accelerator.unwrap_model(trainer.model))
    after = measure(finished, tokenizer, held, recipe, n)
    finished.save_pretrained(out / "model")
    tokenizer.save_pretrained(out / "model")
    return {
        "n": len(held),
        "before": before,
        "after": after.figures(),
        "recall": after.recall(10).round(4).tolist(),
        "ndcg": after.ndcg(10).round(4).tolist(),
        "steps": trainer.state.global_step,
        "curve": [{k: round(float(e[k]), 5) for k in ("hits", "reward", "kl")} for e in curve],
    }


def main(
    config: Annotated[Path, typer.Option(help="a recipe of training/configs")],
    data: Annotated[Path, typer.Option(help="training conversations")],
    out: Annotated[Path, typer.Option(help="folder of the run; resumed if it exists")],
    valid: Annotated[
        Path | None, typer.Option(help="held out; else the last tenth of data")
    ] = None,
    format: Annotated[str, typer.Option(help="of the data")] = "reddit",
    model: Annotated[str | None, typer.Option(help="where to start; else the recipe's")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="instead of the model's own")] = None,
    arm: Annotated[str, typer.Option(help="an arm of rank_grpo.yaml")] = "exp_inf",
    ladder: Annotated[bool, typer.Option("--ladder", help="the main arms, all seeds")] = False,
    arms: Annotated[Path, typer.Option(help="arms (YAML)")] = CONFIG,
    steps: Annotated[int | None, typer.Option(help="instead of the recipe's")] = None,
    held: Annotated[int, typer.Option(help="held-out conversations")] = 1000,
    cpu: Annotated[bool, typer.Option(help="stay on the CPU")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="one minute, random model")] = False,
) -> None:
    """Train; the last line is JSON."""
    try:
        recipe = Recipe.read(config)
        words = open_tokenizer(tokenizer or model or recipe.model)
        found = list(examples(format, data))
        split = max(1, len(found) // 10)
        kept = list(examples(format, valid)) if valid else found[-split:]
        n = 3 if dry_run else recipe.rl.ranks
        kept = fitting(kept, words, recipe, n)[: 4 if dry_run else held]
        train = fitting(found if valid else found[:-split], words, recipe, n)
        plan = yaml.safe_load(arms.read_text(encoding="utf-8"))
        own = {
            "learning_rate": recipe.rl.learning_rate,
            "beta": recipe.rl.beta,
            "group": 4 if dry_run else recipe.rl.group,
            "prompts_per_step": 2 if dry_run else recipe.rl.prompts_per_step,
            "ranks": n,
        }
        names = [a for a in plan["main"] if a != "sft"] if ladder else [arm]
        if set(names) & LEFT_OUT:
            raise RowsError(f"The arm {arm} is about codes or the mask: titles have neither.")
        runs: dict[str, list[dict[str, Any]]] = {}
        for name in names:
            for seed in plan["seeds"] if ladder else [recipe.seed]:
                folder = out / name / f"seed-{seed}"
                report = folder / "report.json"
                if not report.is_file():
                    torch.manual_seed(seed)
                    start = shrunk(recipe, words) if dry_run else open_model(recipe, words, model)
                    made = train_arm(
                        recipe,
                        start,
                        words,
                        train,
                        kept,
                        read_arm(arms, name, own),
                        folder,
                        steps=min(steps or 2, 2) if dry_run else (steps or recipe.rl.steps),
                        cpu=cpu or not torch.cuda.is_available(),
                        seed=seed,
                        generated=24 if dry_run else None,
                    )
                    report.write_text(json.dumps(made))
                runs.setdefault(name, []).append(json.loads(report.read_text()))
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    base = "grpo" if "grpo" in runs else next(iter(runs))
    against = compared(runs, base)
    (out / "ladder.md").write_text(table(runs, against, base) + "\n")
    after = {name: [r["after"] for r in made] for name, made in runs.items()}
    print(json.dumps({"arms": after, f"minus_{base}": against, "commit": commit()}))


if __name__ == "__main__":
    typer.run(main)
