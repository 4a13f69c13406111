"""Fine-tune any Hugging Face causal LM on rows of ``training.rows``: LoRA or full, on TRL.

    python -m training.hf_sft --config training/configs/qwen3_0.6b.yaml --rows DIR --out DIR \\
        [--catalog DIR] [--dry-run]

``--rows``: a folder of JSON-lines files with ``prompt`` and ``completion``; the loss counts on
completions only, short rows are packed. With ``masked_codes`` the loss of a code token is taken
over its level's 256 rows, as the slate decoder reads them. ``--catalog`` starts the code rows
at the catalogue's centroids. A killed run goes on from its last checkpoint; ``--dry-run`` is
one minute on a random model of the same architecture, on any machine. Many GPUs:
``accelerate launch --config_file training/configs/fsdp.yaml -m training.hf_sft ...``.
The last line is JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from rich.console import Console
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

from catalog.errors import ParleyError
from catalog.items import Catalog
from tools.tokens import CODES, SID_TOKENS
from training.hf import FinetuneError, Recipe, open_model, open_tokenizer, shrunk, start_codes
from training.hf import with_adapter as adapted
from training.readers import RowsError

HELD: Final = 50  # one row in so many validates
console = Console(stderr=True)


def read_rows(folder: Path, ends_with: str) -> list[dict[str, str]]:
    """All rows of a folder's ``*.jsonl``. ``RowsError`` names file and line of a bad one."""
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise RowsError(f"{folder} has no .jsonl file: make rows with `python -m training.rows`.")
    found = []
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                row = json.loads(line)
                prompt, completion = row["prompt"], row["completion"]
                if not (isinstance(prompt, str) and isinstance(completion, str) and completion):
                    raise ValueError("prompt and completion must be text, completion not empty")
            except (ValueError, KeyError, TypeError) as error:
                raise RowsError(
                    f"{path} line {number} is no row ({error}): it needs prompt and completion."
                ) from error
            found.append({"prompt": prompt, "completion": completion + ends_with})
    return found


def masked_loss(logits: Tensor, labels: Tensor, base: int) -> Tensor:
    """Mean cross-entropy; a code's is taken over its level's 256 rows alone.

    Shapes: logits (B, T, V), labels (B, T) with -100 where no loss counts; labels are already
    those of the next token. A word competes with words only: codes cannot follow there.
    """
    counted = labels >= 0
    rows, wanted = logits[counted].float(), labels[counted]
    level = torch.div(wanted - base, CODES, rounding_mode="floor")
    is_code = (wanted >= base) & (level < len(SID_TOKENS) // CODES)
    total = rows.new_zeros(())
    for k in range(len(SID_TOKENS) // CODES):
        own = is_code & (level == k)
        first = base + k * CODES
        part = rows[own][:, first : first + CODES]
        total = total + cross_entropy(part, wanted[own] - first, reduction="sum")
    others = rows[~is_code].clone()
    others[:, base : base + len(SID_TOKENS)] = -torch.inf
    total = total + cross_entropy(others, wanted[~is_code], reduction="sum")
    return total / counted.sum().clamp(min=1)


class CodeTrainer(SFTTrainer):  # type: ignore[misc]  # TRL ships no types
    """SFT whose loss is ``masked_loss``; everything else is TRL's."""

    code_base: int = 0

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **rest: Any
    ) -> Any:
        labels = inputs.pop("labels")
        outputs = model(**inputs, use_cache=False)
        loss = masked_loss(outputs.logits[:, :-1], labels[:, 1:], self.code_base)
        return (loss, outputs) if return_outputs else loss


def settings(recipe: Recipe, out: Path, dry: bool, cpu: bool, steps: int | None) -> SFTConfig:
    """TRL's options for a recipe; a dry run is short, unpacked and small."""
    sft = recipe.sft
    half = recipe.dtype == "bfloat16" and not cpu
    return SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=2 if dry else sft.batch,
        gradient_accumulation_steps=1 if dry else sft.accumulate,
        per_device_eval_batch_size=2 if dry else sft.batch,
        num_train_epochs=sft.epochs,
        max_steps=steps or -1,
        learning_rate=sft.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=sft.warmup,
        max_length=256 if dry else sft.max_length,
        # Packed rows see each other unless attention is told their bounds (flash, varlen).
        packing=sft.packing and recipe.attention.startswith("flash") and not cpu,
        completion_only_loss=True,
        gradient_checkpointing=recipe.gradient_checkpointing and not dry,
        save_steps=20 if dry else 200,
        save_total_limit=1,
        eval_strategy="no",
        logging_steps=1 if dry else 10,
        report_to=["tensorboard"],
        bf16=half,
        use_cpu=cpu,
        seed=recipe.seed,
        disable_tqdm=not console.is_terminal,
        include_num_input_tokens_seen="all",
        average_tokens_across_devices=False,
    )


def train(
    recipe: Recipe,
    rows: list[dict[str, str]],
    model: Any,
    tokenizer: Any,
    out: Path,
    *,
    dry: bool = False,
    cpu: bool = False,
    steps: int | None = None,
) -> dict[str, Any]:
    """Fine-tune; the model (merged, where there is an adapter) lies in ``out/model``."""
    from datasets import Dataset

    held = rows[::HELD]
    kept = [row for i, row in enumerate(rows) if i % HELD] or rows
    kind: Callable[..., Any] = CodeTrainer if recipe.sft.masked_codes else SFTTrainer
    trainer = kind(
        model=model,
        args=settings(recipe, out, dry, cpu, steps),
        train_dataset=Dataset.from_list(kept),
        eval_dataset=Dataset.from_list(held),
        processing_class=tokenizer,
    )
    if recipe.sft.masked_codes:
        trainer.code_base = tokenizer.convert_tokens_to_ids(SID_TOKENS[0])
    before = trainer.evaluate()["eval_loss"]
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(out)) if out.is_dir() else None)
    seconds = time.monotonic() - started
    after = trainer.evaluate()["eval_loss"]
    finished = trainer.accelerator.unwrap_model(trainer.model)
    save(finished, tokenizer, out / "model", trainer)
    return {
        "rows": len(kept),
        "held": len(held),
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        "tokens_per_s": round(trainer.state.num_input_tokens_seen / seconds, 1),
        "eval_before": round(float(before), 4),
        "eval_after": round(float(after), 4),
        "model": str(out / "model"),
    }


def save(model: Any, tokenizer: Any, folder: Path, trainer: Any) -> None:
    """Whole weights and tokenizer; under FSDP the trainer gathers them."""
    if trainer.accelerator.num_processes > 1:
        trainer.save_model(str(folder))
    elif hasattr(model, "merge_and_unload"):
        model.save_pretrained(folder.parent / "adapter")
        model.merge_and_unload().save_pretrained(folder)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def prepared(recipe: Recipe, tokenizer: Any, centroids: Any, dry: bool) -> Any:
    """The model to fine-tune: grown, its codes started, its adapter on."""
    model = shrunk(recipe, tokenizer, recipe.seed) if dry else open_model(recipe, tokenizer)
    if centroids is not None and recipe.form == "codes":
        start_codes(model, tokenizer, centroids, recipe.seed)
    if recipe.lora:
        model = adapted(model, recipe.lora, tokenizer if recipe.form == "codes" else None)
    return model


def main(
    config: Annotated[Path, typer.Option(help="a recipe of training/configs")],
    rows: Annotated[Path, typer.Option(help="folder of .jsonl rows")],
    out: Annotated[Path, typer.Option(help="folder of the run; resumed if it exists")],
    catalog: Annotated[Path | None, typer.Option(help="whose centroids start the codes")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="instead of the model's own")] = None,
    steps: Annotated[int | None, typer.Option(help="stop after this many updates")] = None,
    cpu: Annotated[bool, typer.Option(help="stay on the CPU")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="one minute, random model")] = False,
) -> None:
    """Fine-tune; the last line is JSON."""
    try:
        recipe = Recipe.read(config)
        if recipe.form == "codes" and catalog is None:
            raise FinetuneError("A model that writes codes needs --catalog: whose codes?")
        torch.manual_seed(recipe.seed)
        words = open_tokenizer(tokenizer or recipe.model)
        found = read_rows(rows, words.eos_token)
        centroids = None if catalog is None else Catalog.open(catalog).codebooks
        on_cpu = cpu or not torch.cuda.is_available()
        model = prepared(recipe, words, centroids, dry_run)
        report = train(
            recipe,
            found[:400] if dry_run else found,
            model,
            words,
            out,
            dry=dry_run,
            cpu=on_cpu,
            steps=min(steps or 20, 20) if dry_run else steps,
        )
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    print(json.dumps(report))


if __name__ == "__main__":
    typer.run(main)
