"""Fine-tuning: what the loss is, what the batches are, and that both roles are learnt."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import PreTrainedTokenizerFast

from tests.tiny_lm import tiny_folder, tiny_tokenizer
from tools.sid_rows import SidRows, materialise
from tools.small_model import load_small
from training import sft
from training.sft_data import (
    Ids,
    Plan,
    Task,
    TextRow,
    length_buckets,
    read_text,
    slate_batch,
    text_batch,
)
from training.slate_rows import SlateRow, SlateRows

REPLIES = ("Here is <i1.title>.", "You may like it.", "It is about <u1>.")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def flat_mass(targets: int) -> np.ndarray:
    return np.full((targets, 3, 256), -np.log(256.0), dtype=np.float32)


def some_rows(n: int, sid_base: int, seed: int = 0, books: int = 2) -> list[SlateRow]:
    """The target repeats the last item of the prompt: what codes mean is all there is to learn."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        item = rng.integers(0, 8, size=3)
        shown = rng.integers(0, 256, size=(int(rng.integers(0, 3)), 3))
        prompt = np.concatenate([[3, 4], item + sid_base + 256 * np.arange(3), [5]])
        targets = np.stack([item, item])[: int(rng.integers(1, 3))]
        book = int(rng.integers(books))
        rows.append(SlateRow(prompt, book, shown, targets, flat_mass(len(targets))))
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("sft")
    tiny_folder(folder / "model")
    lines = [
        json.dumps({"task": "reply", "prompt": f"<task:reply>{k % 9}<out>", "completion": reply})
        for k in range(200)
        for reply in REPLIES[k % 3 : k % 3 + 1]
    ]
    (folder / "reply.jsonl").write_text("\n".join(lines))
    SlateRows.pack(some_rows(300, Ids.of(tokenizer).sid_base)).save(folder / "slate.npz")
    books = np.random.default_rng(1).normal(size=(2, 3, 256, 384)).astype(np.float32)
    np.save(folder / "books.npy", books / np.linalg.norm(books, axis=3, keepdims=True))
    config = {
        "alpha": 1.0,
        "tasks": {
            "reply": {"kind": "text", "file": "reply.jsonl", "weight": 1},
            "slate": {"kind": "slate", "file": "slate.npz", "valid": "slate.npz", "weight": 2},
        },
    }
    (folder / "sft.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_rows_survive_the_file(tmp_path: Path) -> None:
    rows = some_rows(9, 574)
    SlateRows.pack(rows).save(tmp_path / "rows.npz")
    read = SlateRows.load(tmp_path / "rows.npz")
    assert read.lengths().tolist() == [r.length for r in rows] == [r.length for r in read]
    for one, other in zip(rows, (read[i] for i in range(9)), strict=True):
        for field in ("prompt", "shown", "targets"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        np.testing.assert_allclose(one.logmass, other.logmass, rtol=1e-3)


def test_a_target_without_prior_mass_is_named() -> None:
    rows = some_rows(3, 574)
    rows[1].logmass[0, 2, rows[1].targets[0, 2]] = -np.inf
    with pytest.raises(ValueError, match="slate row 1"):
        SlateRows.pack(rows)


def test_a_text_row_that_is_too_long_is_named(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"prompt": "a", "completion": "b " * 300}))
    with pytest.raises(ValueError, match="row 0 has"):
        read_text(path, tokenizer)
    path.write_text(json.dumps({"prompt": "a"}))
    with pytest.raises(ValueError, match="line 1 lacks"):
        read_text(path, tokenizer)


def test_only_the_completion_counts() -> None:
    rows = [TextRow(np.array([7, 8, 9, 1]), 2), TextRow(np.array([7, 5]), 1)]
    batch = text_batch(rows, pad=0)
    assert batch.tokens.tolist() == [[7, 8, 9], [7, 0, 0]]
    assert batch.labels.tolist() == [[-100, 9, 1], [5, -100, -100]]


def test_where_targets_are_predicted() -> None:
    mass = flat_mass(2)
    row = SlateRow(
        np.array([5, 6]), 1, np.array([[1, 2, 3]]), np.array([[4, 5, 6], [7, 8, 9]]), mass
    )
    batch = slate_batch([row], pad=0, sid_base=1000)
    codes = [1001, 1258, 1515, 1004, 1261, 1518, 1007, 1264]
    assert batch.tokens.tolist() == [[5, 6, *codes]]
    assert batch.place.tolist() == [4, 7]  # the shown item's last code predicts the first target
    assert batch.codes.tolist() == [[4, 5, 6], [7, 8, 9]]
    assert row.length == batch.tokens.shape[1]


def test_buckets_hold_every_row_once_within_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, size=500)
    batches = length_buckets(lengths, 256, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    assert all(len(b) == 1 or lengths[b].max() * len(b) <= 256 for b in batches)
    padded = sum(int(lengths[b].max()) * len(b) for b in batches)
    assert padded < 1.15 * lengths.sum()


def test_the_plan_keeps_shares_and_goes_on_where_it_stopped() -> None:
    rows = [TextRow(np.arange(n % 9 + 2), 1) for n in range(60)]
    tasks = [Task("a", 3, rows, []), Task("b", 1, rows, [])]
    whole, later = Plan(tasks, 64, seed=2), Plan(tasks, 64, seed=2)
    drawn = [whole(s) for s in range(80)]
    assert sum(task.name == "a" for task, _ in drawn) == 60
    task, again = later(57)
    assert task is drawn[57][0]
    assert [r.ids.tolist() for r in again] == [r.ids.tolist() for r in drawn[57][1]]
    with pytest.raises(ValueError, match="step 3"):
        later(3)


def test_the_slate_loss_is_that_of_the_materialised_model(
    folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Known answer: bind the codebook, run the plain model, add the prior, take the softmax."""
    ids = Ids.of(tokenizer)
    roles = sft.load_model(folder / "model", folder / "books.npy", 1.0, ids, False)
    row = some_rows(1, ids.sid_base, seed=4)[0]
    row.logmass[:] = np.random.default_rng(0).normal(size=row.logmass.shape)
    loss = roles.loss(slate_batch([row], ids.pad, ids.sid_base)).item()

    loaded = load_small(folder / "model")
    loaded.bind(np.load(folder / "books.npy")[row.codebook])
    prompt = [*row.prompt.tolist(), *loaded.sid_ids(row.shown)]
    wanted = []
    for target, mass in zip(row.targets, row.logmass, strict=True):
        for level, code in enumerate(target):
            with torch.no_grad():
                logits = loaded.model(torch.tensor([prompt])).logits[0, -1]
            first = ids.sid_base + 256 * level
            scores = logits[first : first + 256] + torch.from_numpy(mass[level])
            wanted.append(-float(scores.log_softmax(0)[code]))
            prompt.append(first + int(code))
    assert loss == pytest.approx(np.mean(wanted), rel=0.02)  # bf16 against float32


def test_both_roles_are_learnt_and_saved(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dials: dict[str, Any] = {"tokens": 512, "lr": 0.01, "device": "cpu", "workers": 2}
    for steps in (20, 60):  # the second call resumes the first
        sft.main(
            model=folder / "model",
            rows=folder,
            out=tmp_path,
            codebooks=folder / "books.npy",
            config=folder / "sft.yaml",
            steps=steps,
            **dials,
        )
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["steps"] == 60 and report["steps_this_run"] == 40
    assert report["val_slate_prior"] == pytest.approx(np.log(256), abs=0.01)
    assert report["val_slate"] < 0.8 * report["val_slate_prior"]
    assert report["val_reply"] < 1.0
    loaded = load_small(tmp_path / "model")
    assert isinstance(loaded.projection, SidRows)
    books = np.load(folder / "books.npy")
    assert materialise(loaded.projection, books[0]).shape == (768, 64)


def test_codebooks_of_another_shape_are_refused(
    folder: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    np.save(tmp_path / "books.npy", np.zeros((3, 256, 384), np.float32))
    with pytest.raises(ValueError, match="is needed"):
        sft.load_model(folder / "model", tmp_path / "books.npy", 1.0, Ids.of(tokenizer), False)
