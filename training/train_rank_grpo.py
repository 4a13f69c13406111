"""Train one arm of the ladder: Rank-GRPO, a sequence arm, or fine-tuning for as many steps.

    python -m training.train_rank_grpo --model models/parley-small --catalog catalog/data/movies \\
        --prompts DIR --out DIR --arm exp_inf --minutes 30

``--model`` is parley-small or any Hugging Face causal LM whose vocabulary holds the code
tokens; ``--lora R`` trains an adapter instead of all weights. Prompts are made by
``training.rl_prompts``. A killed run goes on from its last checkpoint. On many GPUs:
``accelerate launch --config_file training/configs/fsdp.yaml -m training.train_rank_grpo ...``.
The last line is JSON: held-out figures before and after, and rollouts and tokens a second.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
import yaml
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from catalog.errors import ParleyError
from catalog.items import Catalog
from tools.small_model import PROJECTION_FILE, load_small
from tools.tokens import SID_TOKENS
from training.rl_prompts import Prompts, codes_fingerprint
from training.slate_eval import Slates, evaluate, prior_slates

CONFIG = Path(__file__).parent / "configs" / "rank_grpo.yaml"
SAVE_EVERY = 25
LOGGED = ("hits", "reward", "zero_std_ranks", "kl", "entropy")
console = Console(stderr=True)


class ArmError(ParleyError):
    """An arm or option that the config does not have."""


def read_arm(config: Path, arm: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """``base`` with the arm's changes over it. ``ArmError`` names what does not exist."""
    held = yaml.safe_load(config.read_text(encoding="utf-8"))
    if arm not in held["arms"]:
        raise ArmError(f"{config} has no arm {arm!r}: it has {', '.join(held['arms'])}.")
    options = {"method": "grpo", **held["base"], **held["arms"][arm], **(changes or {})}
    known = {"method", *held["base"]}
    for name in options:
        if name not in known:
            raise ArmError(f"The arm {arm!r} sets {name!r}: known are {', '.join(sorted(known))}.")
    return options


class Clock(TrainerCallback):  # type: ignore[misc]
    """Ends the training when its minutes are used; saves first, so that it can go on."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes, self.started = minutes, time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.minutes and time.monotonic() - self.started > self.minutes * 60:
            control.should_save = control.should_training_stop = True


class Subject:
    """A model with what rollouts need: tokenizer, first code token, catalogue, mask."""

    def __init__(
        self, model: Path, catalog: Path, lora: int, *, dtype: str = "float32", cpu: bool = True
    ) -> None:
        self.folder, self.catalog = model, Catalog.open(catalog)
        self.popularity = self.catalog.popularity
        if (model / PROJECTION_FILE).is_file():
            loaded = load_small(model)
            loaded.bind(self.catalog.codebooks)
            self.model: Any = loaded.model.requires_grad_(True)
            self.tokenizer: Any = loaded.tokenizer
        else:
            self.tokenizer = AutoTokenizer.from_pretrained(model)
            self.model = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
        if not cpu and torch.cuda.is_available():
            self.model = self.model.to("cuda")
        self.sid_base = self.tokenizer.convert_tokens_to_ids(SID_TOKENS[0])
        if self.sid_base is None or self.sid_base == self.tokenizer.unk_token_id:
            raise ArmError(f"The tokenizer in {model} has no {SID_TOKENS[0]}: add the code tokens.")
        if lora:
            from peft import LoraConfig, get_peft_model

            target = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
            self.model = get_peft_model(
                self.model, LoraConfig(r=lora, lora_alpha=2 * lora, target_modules=target)
            )

    def freeze_rows(self) -> None:
        """Code rows stay what their centroids say: other catalogues are read by the same map."""
        for table in (self.model.get_input_embeddings(), self.model.get_output_embeddings()):
            table.requires_grad_(False)

    def save(self, folder: Path) -> None:
        """As a transformers folder, an adapter folded in, the projection beside it."""
        if hasattr(self.model, "merge_and_unload"):
            self.model = self.model.merge_and_unload()
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        projection = self.folder / PROJECTION_FILE
        if projection.is_file():
            (folder / PROJECTION_FILE).write_bytes(projection.read_bytes())

    def slates(self, prompts: Prompts, indices: list[int], options: dict[str, Any]) -> Slates:
        return evaluate(
            self.model,
            prompts,
            indices,
            self.catalog.mask,
            self.popularity,
            sid_base=self.sid_base,
            n=options["ranks"],
            alpha=options["alpha"],
        )


def chosen(prompts: Prompts, count: int | None, seed: int) -> list[int]:
    """``count`` prompts, the same for the same seed; all when None."""
    order = np.random.default_rng(seed).permutation(len(prompts))
    return [int(i) for i in order[: count or len(order)]]


def hopeful(
    prompts: Prompts, popularity: Any, count: int | None, group: int, ranks: int, seed: int
) -> list[int]:
    """``chosen``, but only prompts where a target stands on one of ``group`` slates drawn from
    the prior alone: elsewhere every rollout would get 0 and teach nothing. A slate of the
    prior is ``ranks`` draws without replacement, so no model is needed; same for every arm."""
    rng = np.random.default_rng(seed)
    found: list[int] = []
    for index in chosen(prompts, None, seed):
        prompt = prompts[index]
        with np.errstate(divide="ignore"):
            logs = np.log(prompt.weights(popularity))
        noisy = logs + rng.gumbel(size=(group, len(logs)))
        best = -np.partition(-noisy, ranks - 1, axis=1)[:, ranks - 1]
        if (noisy[:, prompt.targets] >= best[:, None]).any():
            found.append(index)
        if len(found) == count:
            break
    if not found:
        raise ArmError("No prompt has a target that the prior's slates ever hold: set hopeful off.")
    return found


def train_grpo(
    subject: Subject,
    prompts: Prompts,
    indices: list[int],
    options: dict[str, Any],
    out: Path,
    *,
    steps: int,
    minutes: float | None,
    seed: int,
    cpu: bool,
) -> dict[str, Any]:
    """Train with ``training.rank_grpo``; returns its log's last figures and its speed."""
    from datasets import Dataset

    from training.rank_grpo import RankGRPOConfig, RankGRPOTrainer

    sequences = options["group"] * options["prompts_per_step"]
    micro = options["micro"] or sequences
    if sequences % micro:
        raise ArmError(f"micro {micro} must divide group x prompts_per_step, {sequences}.")
    args = RankGRPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=sequences // micro,
        num_generations=options["group"],
        num_iterations=options["iterations"],
        max_steps=steps * options["iterations"],
        learning_rate=options["learning_rate"],
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=max(1, steps // 20),
        adam_beta2=options["adam_beta2"],
        beta=options["beta"],
        epsilon=options["epsilon_low"],
        epsilon_high=options["epsilon_high"],
        temperature=options["temperature"],
        gradient_checkpointing=False,
        share_prompts=True,
        save_steps=max(1, min(SAVE_EVERY, steps // 2)),
        save_total_limit=1,
        logging_steps=1,
        report_to=["tensorboard"],
        use_cpu=cpu,
        bf16=not cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        disable_tqdm=not console.is_terminal,
        seed=seed,
        **{
            name: options[name]
            for name in (
                "ranks",
                "returns",
                "advantage",
                "ratio",
                "normalize",
                "std",
                "only_reachable",
                "hard_negatives",
                "alpha",
                "masked",
            )
        },
    )
    clock = Clock(minutes)
    trainer = RankGRPOTrainer(
        subject.model,
        args,
        prompts=prompts,
        mask=subject.catalog.mask,
        popularity=subject.popularity,
        sid_base=subject.sid_base,
        processing_class=subject.tokenizer,
        train_dataset=Dataset.from_dict({"prompt": [str(i) for i in indices], "index": indices}),
        callbacks=[clock],
    )
    last = get_last_checkpoint(str(out)) if out.is_dir() else None
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=last)
    seconds = time.monotonic() - started
    curve = [entry for entry in trainer.state.log_history if "hits" in entry]
    subject.model = trainer.accelerator.unwrap_model(trainer.model)
    made = trainer.state.global_step * sequences / options["iterations"]
    tokens = made * options["ranks"] * 3
    return {
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        "rollouts_per_s": round(made / seconds, 2),
        "tokens_per_s": round(tokens / seconds, 1),
        "curve": [
            {
                k: round(float(e[k]), 5)
                for k in ("hits", "reward", "zero_std_ranks", "kl", "entropy")
            }
            for e in curve
        ],
    }


def train_sft(
    subject: Subject,
    prompts: Prompts,
    indices: list[int],
    options: dict[str, Any],
    *,
    steps: int,
    seed: int,
) -> dict[str, Any]:
    """The control: cross-entropy on the targets, same prompts, batch and number of steps."""
    from training.slate_policy import score

    model = subject.model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters,
        lr=options["learning_rate"],
        betas=(0.9, options["adam_beta2"]),
        weight_decay=0.0,
    )
    rng = np.random.default_rng(seed)
    size, curve, started = options["prompts_per_step"], [], time.monotonic()
    device = next(model.parameters()).device
    pad = subject.tokenizer.pad_token_id or 0
    for step in range(steps):
        picks = [indices[(step * size + k) % len(indices)] for k in range(size)]
        made = [target_rows(subject, prompts, i, options["ranks"], rng) for i in picks]
        width = max(len(prompts[i].ids) for i in picks)
        length = max(len(tokens) for tokens, _ in made)
        ids = torch.full((size, width), pad)
        seen = torch.zeros((size, width), dtype=torch.long)
        done = torch.full((size, length), pad)
        counted = torch.zeros((size, length), dtype=torch.long)
        mass = torch.full((size, length, 256), -torch.inf)
        for row, (i, (tokens, masses)) in enumerate(zip(picks, made, strict=True)):
            own = prompts[i].ids
            ids[row, width - len(own) :] = torch.from_numpy(own)
            seen[row, width - len(own) :] = 1
            done[row, : len(tokens)] = torch.tensor(tokens)
            counted[row, : len(tokens)] = 1
            mass[row, : len(tokens)] = torch.from_numpy(masses)
        moved = [t.to(device) for t in (ids, seen, done, counted, mass)]
        found = score(
            model, *moved, sid_base=subject.sid_base, alpha=options["alpha"], share_prompts=False
        )
        loss = -(found.logps * moved[3]).sum() / moved[3].sum()
        rate = min(1.0, (step + 1) / max(1, steps // 20)) * options["learning_rate"]
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        curve.append({"loss": round(float(loss), 5)})
    return {"steps": steps, "seconds": round(time.monotonic() - started, 1), "curve": curve}


def target_rows(
    subject: Subject, prompts: Prompts, index: int, n: int, rng: np.random.Generator
) -> tuple[list[int], np.ndarray]:
    """A slate of the targets in random order: tokens (3 t,), log-masses (3 t, 256)."""
    prompt, mask = prompts[index], subject.catalog.mask
    view = mask.narrow(prompt.weights(subject.popularity))
    tokens, masses = [], []
    for row in rng.permutation(prompt.targets)[:n]:
        lo, hi = 0, len(mask)
        for level, code in enumerate(subject.catalog.codes[int(row)]):
            kids = view.children(level, lo, hi)
            mass = np.full(256, -np.inf, np.float32)
            mass[kids.tokens] = np.log(kids.weights)
            at = int(np.flatnonzero(kids.tokens == int(code))[0])
            lo, hi = int(kids.los[at]), int(kids.his[at])
            tokens.append(subject.sid_base + 256 * level + int(code))
            masses.append(mass)
        view.emit(int(row))
    return tokens, np.stack(masses)


def main(
    model: Annotated[Path, typer.Option(help="parley-small, or a Hugging Face causal LM")],
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    prompts: Annotated[Path, typer.Option(help="folder of training.rl_prompts")],
    out: Annotated[Path, typer.Option(help="folder of the run; resumed if it exists")],
    arm: Annotated[str, typer.Option(help="an arm of the config")] = "exp_inf",
    config: Annotated[Path, typer.Option(help="base options and arms (YAML)")] = CONFIG,
    steps: Annotated[int, typer.Option(help="optimiser steps")] = 200,
    minutes: Annotated[float | None, typer.Option(help="stop after this time, if sooner")] = None,
    use: Annotated[int | None, typer.Option(help="use this many training prompts")] = None,
    held: Annotated[int, typer.Option(help="held-out prompts to measure on")] = 300,
    lr: Annotated[float | None, typer.Option(help="instead of the config's")] = None,
    lora: Annotated[int, typer.Option(help="rank of an adapter; 0 trains all weights")] = 0,
    recipe: Annotated[Path | None, typer.Option(help="qwen3_*.yaml: sizes of the run")] = None,
    cpu: Annotated[bool, typer.Option(help="stay on the CPU")] = False,
    seed: Annotated[int, typer.Option()] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="the same for one minute")] = False,
) -> None:
    """Train one arm; the last line is JSON."""
    try:
        changes, dtype = recipe_changes(recipe, dry_run)
        changes |= {} if lr is None else {"learning_rate": lr}
        options = read_arm(config, arm, changes)
        torch.manual_seed(seed)
        subject = Subject(model, catalog, lora, dtype=dtype, cpu=cpu)
        mark = codes_fingerprint(subject.catalog)
        train = Prompts.load(prompts / "train.npz", mark)
        valid = Prompts.load(prompts / "valid.npz", mark)
        report = train_arm(
            subject,
            train,
            valid,
            options,
            out,
            steps=min(steps, 20) if dry_run else steps,
            minutes=1 if dry_run else minutes,
            use=use,
            held=min(held, 20) if dry_run else held,
            cpu=cpu,
            seed=seed,
        )
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    subject.save(out / "model")
    print(json.dumps({"arm": arm, "seed": seed, **report}))


def recipe_changes(recipe: Path | None, dry: bool) -> tuple[dict[str, Any], str]:
    """What a recipe sets of an arm's options, and its dtype; small numbers for a dry run."""
    if recipe is None:
        return {}, "float32"
    from training.hf import Recipe

    read = Recipe.read(recipe)
    names = ("group", "prompts_per_step", "micro", "ranks", "beta", "learning_rate")
    changes = {name: getattr(read.rl, name) for name in names}
    if dry:
        changes |= {"group": 4, "prompts_per_step": 2, "micro": 4, "ranks": 3}
    return changes, "float32" if dry else read.dtype


def train_arm(
    subject: Subject,
    train: Prompts,
    valid: Prompts,
    options: dict[str, Any],
    out: Path,
    *,
    steps: int,
    minutes: float | None,
    use: int | None,
    held: int,
    cpu: bool,
    seed: int,
    before: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Measure, train, measure. Held-out prompts are the same for every arm and seed.

    ``steps``: batches of rollouts (an arm with ``iterations`` 2 updates twice on each).
    ``before``: figures of the untrained model where they are known already.
    """
    tested = chosen(valid, held, 0)
    if before is None:
        before = subject.slates(valid, tested, options).figures()
    if options["hopeful"]:
        shape = options["group"], options["ranks"]
        indices = hopeful(train, subject.popularity, use, *shape, seed)
    else:
        indices = chosen(train, use, seed)
    if not options["train_rows"]:
        subject.freeze_rows()
    if options["method"] == "sft":
        run = train_sft(subject, train, indices, options, steps=steps, seed=seed)
    else:
        run = train_grpo(
            subject, train, indices, options, out, steps=steps, minutes=minutes, seed=seed, cpu=cpu
        )
    after = subject.slates(valid, tested, options)
    return {
        "n": len(tested),
        "prior": prior_slates(valid, tested, options["ranks"]).figures(),
        "before": before,
        "after": after.figures(),
        "recall": after.recall(10).round(4).tolist(),
        "ndcg": after.ndcg(10).round(4).tolist(),
        **run,
    }


if __name__ == "__main__":
    typer.run(main)
