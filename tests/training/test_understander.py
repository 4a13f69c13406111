"""Labelled turns, the network's tensors, and a short training through the real command."""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from catalog.embed import Embedder
from catalog.items import Catalog
from tools.turn_encoder import (
    INTENTS,
    OPERATORS,
    TAGS,
    EncoderError,
    Heads,
    TurnEncoder,
    decode,
    save,
)
from training.turn_patterns import FRAGMENTS, WHOLE
from training.turns import Example, Generator, Labelled, in_test
from training.understander import IGNORE, app, batches, collate, measure, mixed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def films() -> Catalog:
    return Catalog.open(ROOT / "catalog/data/movies")


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(threads=1)


def test_generated_spans_are_what_they_say(films: Catalog) -> None:
    for example in islice(Generator(films, test=False), 400):
        assert example.intent in INTENTS
        for span in example.spans:
            assert 0 <= span.start < span.end <= len(example.text)
            assert f"B-{span.slot}" in TAGS
            assert span.operator in OPERATORS
            said = example.text[span.start : span.end]
            assert said.strip() == said


def test_the_generator_is_seeded_and_splits_by_pattern(films: Catalog) -> None:
    one, two = (list(islice(Generator(films, test=False, seed=3), 20)) for _ in range(2))
    assert one == two
    train, test = Generator(films, test=False), Generator(films, test=True)
    for key in FRAGMENTS:
        shared = set(train.fragments[key]) & set(test.fragments[key])
        assert len(shared) <= 1  # the stand-in where a side would be empty
    patterns = [p for group in (*FRAGMENTS.values(), *WHOLE.values()) for p in group]
    assert 0.08 < sum(in_test(p, 7) for p in patterns) / len(patterns) < 0.22


def test_tags_follow_the_spans(embedder: Embedder) -> None:
    text = "i loved eternal sunshine"
    whole = Example(text, "none", "recommend", (Labelled(8, 24, "title", "like"),))
    batch = collate(embedder.tokenizer, [whole, whole._replace(partial=True, intent=None)])
    names = [TAGS[t] if t != IGNORE else "-" for t in batch.tags[0].tolist()]
    assert [n for n in names if n not in ("-", "O")] == ["B-title", "I-title"]
    assert names.count("O") == 2
    partial = [TAGS[t] if t != IGNORE else "-" for t in batch.tags[1].tolist()]
    assert "O" not in partial
    assert batch.intent.tolist() == [INTENTS.index("recommend"), IGNORE]


def test_decoding_gives_the_spans_back() -> None:
    labels = ["O", "B-title", "I-title", "O", "B-person", "B-person"]
    tags = torch.eye(len(TAGS))[[TAGS.index(x) for x in labels]].numpy()
    operators = torch.eye(len(OPERATORS))[[OPERATORS.index("seen")] * 6].numpy()
    offsets = [(0, 2), (3, 6), (7, 9), (10, 12), (13, 16), (17, 20)]
    spans = [(s.start, s.end, s.slot) for s in decode(tags, operators, offsets)]
    assert spans == [(3, 9, "title"), (13, 16, "person"), (17, 20, "person")]


def test_saved_adapters_change_the_copy_and_not_the_embedder(
    embedder: Embedder, tmp_path: Path
) -> None:
    before = embedder.encode(["a film about the sea"])
    a, b = torch.randn(4, 384), torch.randn(384, 4)
    adapters = {"layer.5.query.a": a, "layer.5.query.b": b}
    save(tmp_path, Heads(), adapters, {"lora_scale": 0.5})
    loaded = TurnEncoder.load(tmp_path, embedder)
    layer = loaded.bert.encoder.layer[5].attention.self.query.weight
    mine = embedder.model.encoder.layer[5].attention.self.query.weight
    torch.testing.assert_close(layer - mine, 0.5 * (b.half().float() @ a.half().float()))
    intents, spans = loaded.read("none", "something like Arrival")
    assert sum(intents.values()) == pytest.approx(1, abs=1e-4)
    assert all(0 <= s.start < s.end <= 22 for s in spans)
    assert (embedder.encode(["a film about the sea"]) == before).all()


def test_missing_or_foreign_weights_are_told(embedder: Embedder, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="PARLEY_UNDERSTANDER=rules"):
        TurnEncoder.load(tmp_path / "nothing", embedder)
    save(tmp_path, Heads(), {}, {"lora_scale": 1.0})
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"slots": ["colour"]}), "utf-8")
    with pytest.raises(EncoderError, match="retrain"):
        TurnEncoder.load(tmp_path, embedder)


def test_a_minute_of_the_real_command_learns_and_resumes(tmp_path: Path) -> None:
    """The command itself: loss falls below that of guessing, the weights load, a rerun resumes."""
    arguments = ["--corpora", str(tmp_path), "--out", str(tmp_path / "out")]
    arguments += ["--work", str(tmp_path / "work"), "--minutes", "0.12", "--batch", "8"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.strip().splitlines()[-1])
    assert figures["steps"] > 3 and figures["bytes"] < 3_000_000
    again = CliRunner().invoke(app, arguments)
    # The budget is spent, so a run that went on from its checkpoint ends near where it was.
    assert json.loads(again.stdout.strip().splitlines()[-1])["steps"] >= 0.7 * figures["steps"]


def test_mixing_and_batching(films: Catalog, embedder: Embedder) -> None:
    human = [Example("hello", "none", "greet")]
    stream = mixed(Generator(films, test=False), human, seed=0)
    share = sum(e == human[0] for e in islice(stream, 300)) / 300
    assert 0.2 < share < 0.5
    batch = next(batches(stream, embedder.tokenizer, 4))
    assert batch.tags.shape == batch.inputs["input_ids"].shape
    heads = Heads()
    figures = measure(embedder.model, heads, embedder.tokenizer, list(islice(stream, 8)))
    assert 0 <= figures.slot <= 1 and figures.n == 8
