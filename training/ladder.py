"""The ladder: every arm from the same start, on the same prompts, with the same budget.

    python -m training.ladder --model DIR --catalog DIR --prompts DIR --out DIR --steps 60

Main arms run once a seed, side arms once; a finished run is read, not repeated, so a killed
ladder goes on. Differences are paired over held-out prompts, recall and NDCG at 10, seeds
averaged within a prompt; an interval that holds 0 says that nothing was shown. ``--lrs``
first gives every main arm the same tuning: each rate for a third of the steps, the best on
held-out training prompts is kept. Writes ``ladder.json`` and a markdown table.
"""

import json
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
import yaml

from catalog.errors import ParleyError
from training.rl_prompts import Prompts, codes_fingerprint
from training.slate_eval import paired
from training.train_rank_grpo import CONFIG, Subject, console, read_arm, train_arm

COLUMNS = ("R@5", "R@10", "NDCG@5", "NDCG@10", "valid")


def run_one(
    arm: str,
    seed: int,
    options: dict[str, Any],
    out: Path,
    *,
    model: Path,
    catalog: Path,
    prompts: Path,
    steps: int,
    use: int,
    held: int,
    cpu: bool,
    before: dict[str, dict[str, float]] | None = None,
) -> dict[str, Any]:
    """One run, or its report where it has been made before with the same options.

    ``before`` remembers the start's figures by what they depend on. The trained model lies in
    ``out/model``.
    """
    report_file = out / "report.json"
    asked = {"arm": arm, "seed": seed, "options": options, "steps": steps, "use": use, "held": held}
    if report_file.is_file():
        found: dict[str, Any] = json.loads(report_file.read_text())
        if found["asked"] == asked:
            return found
        raise ParleyError(f"{out} holds a run with other options: give another --out, or move it.")
    torch.manual_seed(seed)
    subject = Subject(model, catalog, 0)
    mark = codes_fingerprint(subject.catalog)
    known = {} if before is None else before
    dials = json.dumps([options["ranks"], options["alpha"], held])
    report = train_arm(
        subject,
        Prompts.load(prompts / "train.npz", mark),
        Prompts.load(prompts / "valid.npz", mark),
        options,
        out,
        steps=steps,
        minutes=None,
        use=use,
        held=held,
        cpu=cpu,
        seed=seed,
        before=known.get(dials),
    )
    known[dials] = report["before"]
    subject.save(out / "model")
    out.mkdir(parents=True, exist_ok=True)
    report_file.write_text(json.dumps(report | {"asked": asked}))
    return report | {"asked": asked}


def compared(runs: dict[str, list[dict[str, Any]]], base: str) -> dict[str, Any]:
    """Each arm minus ``base``, paired over prompts after averaging seeds."""
    found = {}
    for metric in ("recall", "ndcg"):
        mean = {arm: np.mean([r[metric] for r in made], axis=0) for arm, made in runs.items()}
        for arm, values in mean.items():
            if arm != base:
                found.setdefault(arm, {})[metric] = paired(values, mean[base])
    return found


def table(runs: dict[str, list[dict[str, Any]]], against: dict[str, Any], base: str) -> str:
    """A markdown table: one row an arm, seeds averaged."""
    lines = [
        f"| arm | seeds | R@5 | R@10 | NDCG@5 | NDCG@10 | valid | R@10 minus {base} | "
        f"NDCG@10 minus {base} |",
        "|-|-|-|-|-|-|-|-|-|",
    ]
    first = next(iter(runs.values()))[0]
    for name in ("prior", "before"):
        if name not in first:  # slates of titles have no prior
            continue
        cells = [_cell([first[name]], k) for k in COLUMNS]
        lines.append(f"| {name} | | {' | '.join(cells)} | | |")
    for arm, made in runs.items():
        cells = [_cell([run["after"] for run in made], k) for k in COLUMNS]
        gaps = [
            "{:+.4f} ({:+.4f} ... {:+.4f})".format(*against[arm][m]) if arm in against else ""
            for m in ("recall", "ndcg")
        ]
        lines.append(f"| {arm} | {len(made)} | {' | '.join(cells)} | {gaps[0]} | {gaps[1]} |")
    return "\n".join(lines)


def _cell(figures: Sequence[dict[str, float]], name: str) -> str:
    return f"{np.mean([one[name] for one in figures]):.4f}" if name in figures[0] else ""


def commit() -> str:
    """The commit that was run, "unknown" outside a repository."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def best_rate(
    rates: Sequence[float], arm: str, config: Path, out: Path, tuned_on: int, **run: Any
) -> float:
    """The rate with the best held-out NDCG@10 after a third of the steps; the same for all."""
    steps, held = max(1, run.pop("steps") // 3), min(tuned_on, run.pop("held"))
    scores = {}
    for rate in rates:
        options = read_arm(config, arm, {"learning_rate": rate})
        report = run_one(arm, 0, options, out / f"lr-{rate:g}" / arm, steps=steps, held=held, **run)
        scores[rate] = report["after"]["NDCG@10"]
        console.print(f"{arm} at {rate:g}: NDCG@10 {scores[rate]:.4f}")
    return max(scores, key=lambda rate: scores[rate])


def rate_of(arm: str, plan: dict[str, Any], rates: dict[str, float]) -> dict[str, float]:
    """The tuned rate of an arm as a change; a side arm has that of the main arm it varies."""
    advantage = plan["arms"][arm].get("advantage", plan["base"]["advantage"])
    found = rates.get(arm, rates.get("grpo" if advantage == "sequence" else "exp_inf"))
    return {} if found is None else {"learning_rate": found}


def main(
    model: Annotated[Path, typer.Option(help="where every arm starts")],
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    prompts: Annotated[Path, typer.Option(help="folder of training.rl_prompts")],
    out: Annotated[Path, typer.Option(help="folder of the runs; resumed if it exists")],
    config: Annotated[Path, typer.Option(help="base options and arms (YAML)")] = CONFIG,
    steps: Annotated[int, typer.Option(help="optimiser steps of each run")] = 60,
    use: Annotated[int, typer.Option(help="training prompts")] = 400,
    held: Annotated[int, typer.Option(help="held-out prompts")] = 300,
    lrs: Annotated[str, typer.Option(help="rates to tune each main arm on, with commas")] = "",
    tuned_on: Annotated[int, typer.Option(help="held-out prompts that choose the rate")] = 300,
    side: Annotated[bool, typer.Option(help="run the side arms too")] = True,
    cpu: Annotated[bool, typer.Option(help="stay on the CPU")] = False,
    base: Annotated[str, typer.Option(help="the arm that others are compared with")] = "grpo",
) -> None:
    """Run the ladder; the last line is JSON."""
    started = time.monotonic()
    plan = yaml.safe_load(config.read_text(encoding="utf-8"))
    where: dict[str, Any] = {
        "model": model,
        "catalog": catalog,
        "prompts": prompts,
        "use": use,
        "held": held,
        "cpu": cpu,
        "before": {},
    }
    chosen_rates: dict[str, float] = {}
    runs: dict[str, list[dict[str, Any]]] = {}
    try:
        for arm in [*plan["main"], *([a for a in plan["arms"] if a not in plan["main"]] * side)]:
            main_arm = arm in plan["main"]
            if lrs and main_arm:
                rates = [float(rate) for rate in lrs.split(",")]
                chosen_rates[arm] = best_rate(
                    rates, arm, config, out, tuned_on, steps=steps, **where
                )
            changes = rate_of(arm, plan, chosen_rates)
            options = read_arm(config, arm, changes)
            for seed in plan["seeds"] if main_arm else plan["seeds"][:1]:
                folder = out / arm / f"seed-{seed}"
                report = run_one(arm, seed, options, folder, steps=steps, **where)
                runs.setdefault(arm, []).append(report)
                console.print(f"{arm} seed {seed}: {report['after']}")
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    against = compared(runs, base) if base in runs else {}
    text = table(runs, against, base)
    (out / "ladder.md").write_text(text + "\n")
    summary = {
        "arms": {arm: [r["after"] for r in made] for arm, made in runs.items()},
        "minus_" + base: against,
        "rates": chosen_rates,
        "commit": commit(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    (out / "ladder.json").write_text(json.dumps(summary | {"runs": runs}))
    console.print(text)
    print(json.dumps(summary))


if __name__ == "__main__":
    typer.run(main)
