"""Metrics with known answers, the JSON-lines reader, and the command itself."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from catalog.importers.conversations import MENTION, read, table
from catalog.items import Catalog
from evals.metrics import Ranked, ndcg, paired_recall, ranks_of, recall, recall_interval
from evals.questions import QuestionsError, from_jsonl, from_redial
from evals.ranking import main
from tools.asked import asked

ROOT = Path(__file__).parents[2]
MOVIES = ROOT / "catalog" / "data" / "movies"
SHARED = ROOT.parent / "shared" / "data"
needs_redial = pytest.mark.skipif(
    not (SHARED / "redial").is_dir(), reason=f"ReDial is not in {SHARED.name} beside the repository"
)


@pytest.fixture(scope="module")
def films() -> Catalog:
    return Catalog.open(MOVIES)


def test_ndcg_uses_the_standard_ideal() -> None:
    """One hit of three targets is not a perfect list, however short the list."""
    one_of_three = Ranked((0, -1, -1))
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert one_of_three.ndcg(10) == pytest.approx(1 / ideal)
    assert Ranked((0,)).ndcg(10) == 1.0
    assert Ranked((10,)).ndcg(10) == 0.0
    assert ndcg([Ranked((0,)), Ranked((-1,))], 10) == 0.5


def test_recall_counts_pairs_and_misses_count() -> None:
    ranked = [ranks_of([5, 7, 9], [9, None]), ranks_of(np.array([1, 2]), [2])]
    assert [r.ranks for r in ranked] == [(2, -1), (1,)]
    assert recall(ranked, 1) == 0
    assert recall(ranked, 2) == pytest.approx(1 / 3)
    assert recall(ranked, 10) == pytest.approx(2 / 3)


def test_paired_intervals_resample_conversations_whole() -> None:
    rng = np.random.default_rng(0)
    better = [Ranked((0,))] * 60
    worse = [Ranked((0 if rng.random() < 0.5 else -1,)) for _ in range(60)]
    groups = [str(k // 3) for k in range(60)]
    gain = paired_recall(better, worse, 10, groups)
    assert 0 < gain.low < gain.mean < gain.high
    same = paired_recall(worse, worse, 10, groups)
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    whole = recall_interval(worse, 10, groups)
    assert whole.low < whole.mean < whole.high
    copies = paired_recall(better, worse, 10, ["one"] * 60)  # one conversation: no spread
    assert copies.low == pytest.approx(copies.high)


def test_jsonl_names_every_malformed_line(tmp_path: Path, films: Catalog) -> None:
    good = {"context": [{"role": "user", "text": "hi"}], "targets": [films.ids[0]]}
    lines = [
        json.dumps(good),
        "{not json",
        json.dumps({"context": []}),
        json.dumps({"context": [{"role": "dog", "text": "woof"}], "targets": ["x"]}),
        json.dumps({"context": [], "targets": []}),
    ]
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(QuestionsError) as error:
        from_jsonl(path, films)
    for number in (2, 3, 4, 5):
        assert f"line {number}:" in str(error.value)
    assert "line 1:" not in str(error.value)
    with pytest.raises(QuestionsError, match="missing"):
        from_jsonl(tmp_path / "none.jsonl", films)


def test_jsonl_finds_titles_and_keeps_unknown_targets_as_misses(
    tmp_path: Path, films: Catalog
) -> None:
    matrix = films.row("The Matrix")
    question = {
        "context": [
            {"role": "user", "text": "I loved The Matrix, what else?"},
            {"role": "assistant", "text": "Have you seen Inception?"},
        ],
        "targets": ["Interstellar (film)", "no such film"],
    }
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(question) + "\n\n", "utf-8")
    (found,) = from_jsonl(path, films)
    assert found.query.liked == (matrix,)
    assert found.query.delexicalised[0] == ("user", "I loved <m1>, what else?")
    assert [films.ids[r] for r in found.query.seen] == ["Inception"]
    assert found.targets == (films.row("Interstellar (film)"), None)


def test_the_command_ends_with_json(tmp_path: Path, films: Catalog) -> None:
    path = tmp_path / "q.jsonl"
    lines = [
        {
            "context": [{"role": "user", "text": f"Something like {title}, please."}],
            "targets": [films.ids[row]],
        }
        for row, title in ((films.row("The Matrix"), "Inception"), (5, "Titanic"))
    ]
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    runner = CliRunner()
    app = _app()
    result = runner.invoke(app, ["--dataset", "jsonl", "--data", str(path), "--no-llm"])
    assert result.exit_code == 0, result.output
    last = json.loads(result.output.strip().splitlines()[-1])
    assert last["n"] == 2 and last["valid"] == 1.0
    assert {"recall@1", "recall@10", "recall@20", "ndcg@10", "paired", "commit"} <= last.keys()
    assert {"popularity", "co-mention", "MiniLM", "neighbours", "sum"} <= last["baselines"].keys()
    path.write_text("{oops", "utf-8")
    assert runner.invoke(app, ["--dataset", "jsonl", "--data", str(path)]).exit_code == 1


def _app():  # type: ignore[no-untyped-def]
    import typer

    app = typer.Typer()
    app.command()(main)
    return app


@needs_redial
def test_redial_is_the_published_protocol(films: Catalog) -> None:
    questions = from_redial(SHARED / "redial", films)
    assert sum(len(q.targets) for q in questions) == 3965
    missing = sum(t is None for q in questions for t in q.targets)
    assert missing < 100
    for question in questions[:200]:  # what was named before is never asked for
        assert not set(question.targets) & set(question.query.named)


@needs_redial
def test_the_context_never_holds_the_answer(films: Catalog) -> None:
    """Titles of the targets' own message are not in the turns of the question."""
    from catalog.importers.conversations import Rows

    rows = Rows(films)
    for dialogue in read(SHARED / "redial", "test")[:50]:
        for question in asked(dialogue, rows):
            said = [m.written() for m in dialogue.messages[: question.turn]]
            assert [text for _, text in question.query.turns] == said[-len(question.query.turns) :]
            assert not any(MENTION.search(text) for _, text in question.query.delexicalised)


@needs_redial
def test_every_marked_film_is_known_or_named() -> None:
    films = table(SHARED / "redial")
    assert len(films) > 5000
    dialogue = read(SHARED / "redial", "test")[0]
    assert all(film.name for film in dialogue.films())
