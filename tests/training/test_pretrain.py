"""Corpus, tokenizer and pretraining: stable bytes, a falling loss, a run that survives a kill."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import PreTrainedTokenizerFast

from tests.tiny_lm import SENTENCES, tiny_tokenizer
from tools.tokens import SID_TOKENS, SPECIAL
from training import pretrain
from training.corpus import (
    clean,
    documents,
    is_held_out,
    load_config,
    render_redial,
    stable_share,
    write_shards,
)
from training.loop import schedule
from training.pretrain import Size, Stream, build_model, minilm_rows
from training.tokenizer import train

ROOT = Path(__file__).resolve().parents[2]


def write_jsonl(path: Path, records: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(r) + "\n" for r in records)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


def test_special_tokens_come_last_in_order(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer.convert_tokens_to_ids(list(SPECIAL))
    assert ids == list(range(300, 300 + len(SPECIAL)))
    assert tokenizer.convert_tokens_to_ids(SID_TOKENS[-1]) == len(tokenizer) - 1


@pytest.mark.parametrize(
    "text",
    [
        "<user>I like <m1>, but “lighter”!<agent>Try <i1.title> (<i1.date>).<eos>",
        "Amélie 2001  naïve 😀\n<a_0><b_255>",
    ],
)
def test_text_comes_back_as_it_was(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text


def test_too_little_text_for_the_entries_is_an_error() -> None:
    with pytest.raises(ValueError, match="300"):
        train(["abc"], entries=300)


def test_weights_repeat_and_drop_records_the_same_way_twice(tmp_path: Path) -> None:
    texts = [{"text": f"sentence number {k}"} for k in range(400)]
    write_jsonl(tmp_path / "a.jsonl.gz", texts)
    write_jsonl(tmp_path / "b.jsonl.gz", [{"text": "x y", "topic": t} for t in ("film", "cat")])
    boost = {"field": "topic", "by": 3, "any": ["fi"]}
    config = {"sources": {"a": {"weight": 0.5}, "b": {"weight": 1, "boost": boost}}}
    first, again = (list(documents(tmp_path, config)) for _ in range(2))
    assert first == again
    assert 140 < sum(d.source == "a" for d in first) < 260
    assert sum(d.source == "b" for d in first) == 4
    assert {d.text for d in documents(tmp_path, config, epoch=1)} != {d.text for d in first}


def test_test_parts_stay_out() -> None:
    assert is_held_out({"split": "test"}, {}, "k")
    assert is_held_out({"split": "dev"}, {}, "k")
    assert not is_held_out({"split": "oos_train"}, {}, "k")
    shares = [is_held_out({}, {"holdout": "hash"}, f"k{i}") for i in range(2000)]
    assert 0.17 < np.mean(shares) < 0.23
    assert stable_share("a", 1) == stable_share("a", 1) != stable_share("a", 2)


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(documents(tmp_path, {"sources": {"nowhere": {"weight": 1}}}))


def test_the_shipped_config_is_whole() -> None:
    config = load_config(ROOT / "training" / "configs" / "corpus.yaml")
    assert all(float(options["weight"]) > 0 for options in config["sources"].values())
    for source in ("ccpe", "moviebot_nlu", "self_dialogue"):
        assert config["sources"][source]["holdout"] == "hash"


def test_cleaning() -> None:
    assert clean("  a \n b <i1.title> [link] ") == "a b"
    assert clean("hi, i said i'm in", case=True) == "Hi, I said I'm in"


def test_films_of_a_dialogue_become_mentions() -> None:
    message = lambda who, text: {"senderWorkerId": who, "text": text}  # noqa: E731
    record = {
        "initiatorWorkerId": 1,
        "messages": [
            message(1, "hi"),
            message(1, "i like @12 and @7"),
            message(2, "Then @99, it is like @12!"),
        ],
    }
    assert render_redial(record) == (
        "<user>Hi I like <m1> and <m2><agent>Then <m3>, it is like <m1>!"
    )


def test_rows_start_from_minilm() -> None:
    """Words that mean alike start alike, before any training."""
    words = ["movie", "film", "tuesday", "monday", "comedy", "a", "b", "of"]
    tokenizer = train([f" {w}" for w in words for _ in range(20)], entries=284)
    rows = minilm_rows(tokenizer)
    assert rows.shape == (284, 384)
    assert float(rows.std()) == pytest.approx(0.02, rel=0.01)
    unit = rows / rows.norm(dim=1, keepdim=True)
    at = {w: unit[tokenizer.encode(f" {w}")[0]] for w in ("movie", "film", "monday", "tuesday")}
    assert at["movie"] @ at["film"] > at["movie"] @ at["monday"] + 0.1
    assert at["monday"] @ at["tuesday"] > at["film"] @ at["tuesday"] + 0.1


def test_the_small_size_fits_the_release(tokenizer: PreTrainedTokenizerFast) -> None:
    model = build_model(Size.small, tokenizer)
    body = sum(p.numel() for n, p in model.named_parameters() if "embed" not in n)
    assert 9e6 < body < 10e6
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_the_rate_rises_then_falls() -> None:
    rates = [schedule(k / 100) for k in range(101)]
    assert rates[0] < 0.05 and max(rates) == pytest.approx(1.0, abs=1e-3) and rates[-1] < 0.03
    assert np.argmax(rates) == 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    records = [
        {"text": " ".join(SENTENCES[i] for i in rng.integers(0, 4, size=6))} for _ in range(300)
    ]
    write_jsonl(folder / "talk.jsonl.gz", records)
    (folder / "corpus.yaml").write_text(yaml.safe_dump({"sources": {"talk": {"weight": 1}}}))
    docs = list(documents(folder, load_config(folder / "corpus.yaml")))
    stats = write_shards(docs, tokenizer, folder / "shards", seed=1)
    assert stats["train_tokens"] > 20 * 257
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def command(corpus: Path, out: Path) -> list[str]:
    arguments = ["--corpus", corpus / "shards", "--tokenizer", corpus / "tokenizer", "--out", out]
    dials = ["--size", "tiny", "--batch", "4", "--device", "cpu", "--lr", "0.01", "--seed", "1"]
    return [sys.executable, "-m", "training.pretrain", *map(str, arguments), *dials]


def run_here(corpus: Path, out: Path, steps: int, workers: int = 1) -> None:
    """The command's own function in this process: an import of torch takes long enough once."""
    pretrain.main(
        corpus=corpus / "shards",
        tokenizer=corpus / "tokenizer",
        out=out,
        size=Size.tiny,
        steps=steps,
        batch=4,
        lr=0.01,
        seed=1,
        device="cpu",
        workers=workers,
    )


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))


def test_the_loss_falls(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_here(corpus, tmp_path, 40, workers=2)
    report = last_line(capsys)
    assert report["steps"] == 40
    assert report["first_text"] > 6.5
    assert report["val_text"] < 3.0
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert (tmp_path / "model" / "tokenizer.json").is_file()


def test_a_killed_command_goes_on_to_the_same_step_count(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen(
        [*command(corpus, tmp_path), "--minutes", "30", "--checkpoint-seconds", "0.5"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 200
    while not (tmp_path / "checkpoint.pt").is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.kill()
    process.wait()
    reached = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"]
    run_here(corpus, tmp_path, reached + 7)
    report = last_line(capsys)
    assert reached > 0
    assert report["steps"] == reached + 7
    assert report["steps_this_run"] == 7


def test_batches_depend_on_seed_and_step_alone(corpus: Path) -> None:
    a, b = (Stream(corpus / "shards", 4, seed=5) for _ in range(2))
    late = a.blocks // 4 + 3  # in the second epoch
    a(0)
    assert a(late).equal(b(late))
    assert not a(late).equal(Stream(corpus / "shards", 4, seed=6)(late))
    first_epoch = {tuple(row.tolist()) for s in range(a.blocks // 4) for row in a(s)}
    assert len(first_epoch) > 0.9 * (a.blocks // 4) * 4


def test_an_empty_corpus_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"training\.corpus"):
        Stream(tmp_path, 4, 0)
