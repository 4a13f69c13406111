"""One command from a hub model to a served recommender: rows, fine-tuning, Rank-GRPO, one folder.

    python -m training.finetune --config training/configs/qwen3_0.6b.yaml --catalog DIR \\
        --data FILE --format reddit|redial|inspired|own|feedback --out DIR [--plan] [--dry-run]

``--plan`` prints the memory and time of the real run and ends. ``--dry-run`` walks every stage
on a random model of the same architecture, with any tokenizer at hand, in about a minute each.
Every stage is a command of its own that can be run alone; a stage that has finished is not
repeated, one that was killed goes on from its checkpoint. What comes out (``OUT/model``) is a
plain transformers folder: weights merged, tokenizer with the code tokens.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from catalog.errors import ParleyError
from catalog.items import Catalog
from training.estimate import told
from training.hf import FinetuneError, Recipe, open_tokenizer, shrunk
from training.rows import possible

ROWS: Final = {
    "codes": ("facts", "codes", "requests", "histories", "slates"),
    "titles": ("titles",),
}
console = Console(stderr=True)


def stage(name: str, out: Path, line: Sequence[str], done: Path) -> None:
    """Run a command unless what it makes is there; ``FinetuneError`` when it fails."""
    if done.exists():
        console.print(f"{name}: {done} is there")
        return
    console.print(f"{name}: {' '.join(line)}")
    finished = subprocess.run(
        [sys.executable, "-m", *line], check=False, stdout=subprocess.PIPE, text=True
    )
    if finished.returncode != 0 or not done.exists():
        raise FinetuneError(f"The stage {name} ended with {finished.returncode}: see above.")
    said = finished.stdout.strip().splitlines()
    if said and said[-1].startswith("{"):
        (out / f"{name}.json").write_text(said[-1])


def card(recipe: Recipe, out: Path, data: Path, format: str, dry: bool) -> str:
    """The model card: where it comes from, what it learnt from, what was measured."""
    lines = [
        f"# {recipe.model}, fine-tuned to recommend",
        "",
        f"Made by `python -m training.finetune` from {recipe.model}, writing {recipe.form}, on "
        f"{data.name} ({format}). The licences of the base model and of the data apply.",
        "",
        "| stage | what | before | after |",
        "|-|-|-:|-:|",
    ]
    sft, rl = (out / f"{name}.json" for name in ("fine-tuning", "Rank-GRPO"))
    if sft.is_file():
        told = json.loads(sft.read_text())
        row = f"held-out loss ({told['rows']} rows, {told['steps']} steps)"
        lines.append(f"| fine-tuning | {row} | {told['eval_before']} | {told['eval_after']} |")
    if rl.is_file():
        told = json.loads(rl.read_text())
        for name in ("R@10", "NDCG@10"):
            pair = [told[when][name] for when in ("before", "after") if when in told]
            cells = " | ".join(map(str, pair)) if len(pair) == 2 else "| "
            lines.append(f"| Rank-GRPO ({recipe.rl.arm}) | held-out {name} | {cells} |")
    if dry:
        lines += ["", "A dry run: random weights in miniature. Nothing here can recommend."]
    return "\n".join(lines) + "\n"


def main(
    config: Annotated[Path, typer.Option(help="a recipe of training/configs")],
    out: Annotated[Path, typer.Option(help="folder of the run; resumed if it exists")] = Path(
        "finetuned"
    ),
    catalog: Annotated[Path | None, typer.Option(help="built catalogue")] = None,
    data: Annotated[Path | None, typer.Option(help="conversations")] = None,
    format: Annotated[str, typer.Option(help="of --data")] = "redial",
    ranker: Annotated[
        Path | None, typer.Option(help="ranker.npz; default the released one")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="instead of the model's own")] = None,
    count: Annotated[int, typer.Option(help="made-up rows a task")] = 20_000,
    plan: Annotated[bool, typer.Option("--plan", help="print memory and time, and end")] = False,
    cpu: Annotated[bool, typer.Option(help="stay on the CPU")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="every stage in miniature")] = False,
) -> None:
    """Run all stages; the last line is JSON."""
    try:
        recipe = Recipe.read(config)
        console.print(
            told(recipe, 5 * count if recipe.form == "codes" else 383_013), soft_wrap=True
        )
        if plan:
            return
        if catalog is None or data is None:
            raise FinetuneError("Give --catalog and --data (and --format): what to learn from.")
        made = _stages(
            recipe, config, out, catalog, data, format, ranker, tokenizer, count, cpu, dry_run
        )
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    print(json.dumps({"model": str(made), "form": recipe.form, "dry_run": dry_run}))


def _stages(
    recipe: Recipe,
    config: Path,
    out: Path,
    catalog: Path,
    data: Path,
    format: str,
    ranker: Path | None,
    tokenizer: str | None,
    count: int,
    cpu: bool,
    dry: bool,
) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    words, start = out / "tokenizer", out / "start"
    loaded = open_tokenizer(tokenizer or recipe.model)
    loaded.save_pretrained(words)
    rows, count = out / "rows", 60 if dry else count
    small = ["--dry-run"] if dry else []
    flags = [*small, *(["--cpu"] if cpu else [])]
    limit = ["--limit", "40"] if dry else []
    common = ["--data", str(data), "--format", format]
    prior = ["--ranker", str(ranker)] if ranker else []
    tasks = possible(Catalog.open(catalog), ROWS[recipe.form])
    stage(
        "rows",
        out,
        [
            *("training.rows", *tasks, "--catalog", str(catalog), "--out", str(rows)),
            *("--tokenizer", str(words), "--count", str(count), *common, *limit, *prior),
        ],
        rows / f"{tasks[-1]}.jsonl",
    )
    sft = out / "sft"
    line = ["training.hf_sft", "--config", str(config), "--rows", str(rows), "--out", str(sft)]
    line += ["--catalog", str(catalog), "--tokenizer", str(words), *flags]
    stage("fine-tuning", out, line, sft / "model" / "config.json")
    if dry and not start.exists():
        shrunk(recipe, loaded).save_pretrained(start)
    rl = out / "rl"
    if recipe.form == "titles":
        line = ["training.train_rank_grpo_text", "--config", str(config), "--model"]
        line += [str(sft / "model"), *common, "--tokenizer", str(words), "--out", str(rl)]
        line += ["--arm", recipe.rl.arm, *flags]
        last = rl / recipe.rl.arm / f"seed-{recipe.seed}" / "model"
    else:
        prompts = out / "prompts"
        stage(
            "prompts",
            out,
            [
                *("training.rl_prompts", "--catalog", str(catalog), "--out", str(prompts)),
                *("--tokenizer", str(words), *common, *limit, *prior, "--longest", "1024"),
            ],
            prompts / "valid.npz",
        )
        line = ["training.train_rank_grpo", "--model", str(sft / "model"), "--catalog"]
        line += [str(catalog), "--prompts", str(prompts), "--out", str(rl), "--arm", recipe.rl.arm]
        line += [
            "--steps",
            "2" if dry else str(recipe.rl.steps),
            "--lr",
            str(recipe.rl.learning_rate),
        ]
        line += ["--recipe", str(config), "--lora", str(recipe.lora), *flags]
        last = rl / "model"
    stage("Rank-GRPO", out, line, last / "config.json")
    final = out / "model"
    shutil.copytree(last, final, dirs_exist_ok=True)
    (final / "README.md").write_text(card(recipe, out, data, format, dry), encoding="utf-8")
    return final


if __name__ == "__main__":
    typer.run(main)
