"""The commands of reinforcement learning on the invented shop and a tiny model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from catalog.items import Catalog
from tests.tiny_lm import tiny_folder
from training.rl_prompts import Prompt, Prompts, codes_fingerprint
from training.slate_eval import Slates, prior_slates
from training.train_rank_grpo import CONFIG, ArmError, chosen, hopeful, read_arm

ROOT = Path(__file__).parents[2]
OUTDOOR = ROOT / "catalog" / "data" / "outdoor"


def prompts(catalog: Catalog, count: int, seed: int) -> Prompts:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        order = rng.permutation(len(catalog))
        top = np.sort(order[:60])
        shares = np.full(60, 1 / 60)
        ids, said = rng.integers(0, 200, 8), np.zeros(384, np.float32)
        made.append(Prompt(ids, top, shares, order[60:62], top[:2], said, 0.05))
    return Prompts.pack(made, codes_fingerprint(catalog))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rl")
    catalog = Catalog.open(OUTDOOR)
    prompts(catalog, 12, 0).save(folder / "prompts" / "train.npz")
    prompts(catalog, 6, 1).save(folder / "prompts" / "valid.npz")
    tiny_folder(folder / "model")
    config = CONFIG.read_text().replace("group: 16", "group: 4").replace("ranks: 10", "ranks: 3")
    (folder / "small.yaml").write_text(config.replace("prompts_per_step: 8", "prompts_per_step: 2"))
    return folder


def command(place: Path, module: str, out: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", f"training.{module}", "--cpu"),
        *("--model", str(place / "model"), "--catalog", str(OUTDOOR)),
        *("--prompts", str(place / "prompts"), "--config", str(place / "small.yaml")),
        *("--out", str(out), *options),
    ]


def test_an_arm_is_the_base_with_its_own_changes() -> None:
    assert read_arm(CONFIG, "log")["returns"] == "log"
    assert read_arm(CONFIG, "sft")["method"] == "sft"
    assert read_arm(CONFIG, "exp_inf", {"learning_rate": 1.0})["learning_rate"] == 1.0
    with pytest.raises(ArmError, match="exp_inf"):
        read_arm(CONFIG, "exp-inf")
    with pytest.raises(ArmError, match="'speed'"):
        read_arm(CONFIG, "log", {"speed": 1})


def test_held_out_figures_count_every_target() -> None:
    slates = Slates([[0, -1], [7]], 20, 20)
    assert slates.figures()["R@5"] == 0.25
    assert slates.figures()["R@10"] == 0.75
    ideal = 1 + 1 / np.log2(3)
    assert slates.ndcg(10) == pytest.approx([1 / ideal, 1 / np.log2(9)])
    catalog = Catalog.open(OUTDOOR)
    assert len(prior_slates(prompts(catalog, 3, 0), [0, 2], 3).ranks) == 2


def test_hopeful_prompts_are_those_that_the_prior_hits_at_times() -> None:
    catalog = Catalog.open(OUTDOOR)
    made = prompts(catalog, 20, 0)
    sure = made[0]
    shares = np.where(np.isin(sure.top, sure.targets), 0.49, 1e-9)
    far = sure._replace(targets=np.setdiff1d(np.arange(len(catalog)), sure.top)[:1], tail=0.0)
    two = Prompts.pack(
        [sure._replace(shares=shares / shares.sum(), tail=0.0), far._replace(shares=shares)], "x"
    )
    assert hopeful(two, catalog.popularity, None, 8, 3, 0) == [0]
    every = hopeful(made, catalog.popularity, None, 8, 3, 1)
    assert set(every) <= set(chosen(made, None, 1))
    assert hopeful(made, catalog.popularity, 2, 8, 3, 1) == every[:2]
    none = Prompts.pack([far], "x")
    with pytest.raises(ArmError, match="hopeful"):
        hopeful(none, catalog.popularity, None, 8, 3, 0)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--arm", "exp_inf", "--steps", "8", "--held", "3")
    run = subprocess.Popen(command(place, "train_rank_grpo", out, *options), cwd=ROOT)
    for _ in range(1800):
        if list(out.glob("checkpoint-*/trainer_state.json")) or run.poll() is not None:
            break
        time.sleep(0.1)
    assert run.poll() is None, "the run ended before it could be killed"
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    again = subprocess.run(
        command(place, "train_rank_grpo", out, *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(again.stdout.splitlines()[-1])
    assert report["steps"] == 8
    assert report["after"]["valid"] == 1.0
    assert (out / "model" / "sid_projection.safetensors").is_file()


@pytest.mark.slow
def test_the_ladder_runs_every_arm_and_reads_what_is_done(place: Path, tmp_path: Path) -> None:
    config = (place / "small.yaml").read_text().replace("seeds: [1, 2, 3]", "seeds: [1, 2]")
    config = config.replace("main: [sft, grpo, log, exp_inf]", "main: [sft, grpo, exp_inf]")
    (place / "ladder.yaml").write_text(config)
    options = ["--steps", "1", "--use", "4", "--held", "3", "--no-side"]
    line = command(place, "ladder", tmp_path, *options)
    line[line.index("--config") + 1] = str(place / "ladder.yaml")
    for _ in range(2):
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert {arm: len(runs) for arm, runs in summary["arms"].items()} == {
        "sft": 2,
        "grpo": 2,
        "exp_inf": 2,
    }
    assert set(summary["minus_grpo"]) == {"sft", "exp_inf"}
    assert "| exp_inf | 2 |" in (tmp_path / "ladder.md").read_text()


@pytest.mark.slow
def test_prompts_of_another_catalogue_are_refused(place: Path, tmp_path: Path) -> None:
    other = Prompts.load(place / "prompts" / "train.npz")
    other.fingerprint = "another"
    other.save(tmp_path / "train.npz")
    line = command(place, "train_rank_grpo", tmp_path / "out", "--steps", "1")
    line[line.index("--prompts") + 1] = str(tmp_path)
    failed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "another build of the catalogue" in failed.stderr.replace("\n", " ")
