"""Dialogues as training rows: what is kept, what is learnt from, and the command that does it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from agent.state import Slate, Trace, Turn
from catalog.embed import Embedder
from catalog.filters import Clause
from catalog.items import Catalog
from evals.dialogues import Asked, Dialogue, Goal, Outcome, Persona
from tests.tiny_lm import tiny_folder, tiny_tokenizer
from tools.candidates import Candidates
from tools.small_model import load_small
from tools.tokens import EOS
from training import dialogue_rows, sft
from training.dialogue_rows import DialogueRowsError, Filter, Spoken

OUTDOOR = Path(__file__).parents[2] / "catalog" / "data" / "outdoor"
SHOP = Catalog.open(OUTDOOR)
BRIEF = {"act": "recommend", "ties": ["popular"], "slots": ["<i1.title>"], "said": ""}


def drafted(draft: str, *, ok: bool = True, by: str = "llm") -> dict[str, Any]:
    return {"unit": 0, **BRIEF, "draft": draft, "by": by, "ok": ok, "complaint": ""}


def dialogue(number: int, end: str = "accepted", shown: tuple[int, ...] = (0, 1)) -> Dialogue:
    """Two slates; the item of row 1 is chosen from the second."""
    ids = SHOP.ids
    facet = next(f for f in SHOP.domain.facets if f.role == "category")
    kind = SHOP.item(1).values[facet.name]
    clause = Clause(
        field=facet.name, op="any", values=(kind[0] if isinstance(kind, tuple) else kind,)
    )
    verdicts = [
        drafted(f"Number {number}: <i1.title>."),
        drafted("Refused.", ok=False),
        drafted("Written again: <i1.title>.", by="rewrite"),
        {"verified": 1},
    ]
    turns = [
        Turn(role="user", text="something for the hills"),
        Turn(
            role="agent",
            text="Here you are.",
            act="recommend",
            slate=Slate(item_ids=tuple(ids[r] for r in shown)),
            trace=Trace(verdicts=verdicts),
        ),
    ]
    said = (("user", "something for the hills"),)
    asked = (
        Asked(turn=0, turns=said, delexicalised=said, liked=(ids[5], "gone"), clauses=(clause,)),
        Asked(turn=1, turns=said, delexicalised=said, excluded=(ids[1],)),
    )
    return Dialogue(
        id=f"d{number}",
        run="r",
        index=number,
        seed=number,
        engine="agenda",
        persona=Persona(name="t", patience=3),
        goal=Goal(id=f"g{number}", clauses=()),
        turns=tuple(turns),
        asked=asked,
        outcome=Outcome(end=end, success=end == "accepted", accepted=ids[1] if shown else None),  # type: ignore[arg-type]
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dialogues.jsonl"
    held = [dialogue(k) for k in range(30)] + [dialogue(30, "gave_up")]
    path.write_text("".join(d.model_dump_json() + "\n" for d in held))
    return path


def test_outcome_and_judge_choose_what_teaches(file: Path, tmp_path: Path) -> None:
    every = dialogue_rows.read([file])
    assert len(every) == 31
    assert len(dialogue_rows.kept(every, Filter())) == 30
    assert len(dialogue_rows.kept(every, Filter(("accepted", "gave_up")))) == 31
    assert len(dialogue_rows.kept(every, Filter(("success",)))) == 30
    verdicts = tmp_path / "verdicts.jsonl"
    rows = [
        {"id": "d1", "rubric": "overall", "status": "ok", "value": 4.0},
        {"id": "d2", "rubric": "overall", "status": "ok", "value": 2.0},
        {"id": "d2", "rubric": "relevance", "status": "ok", "value": 4.5},
        {"id": "d3", "rubric": "overall", "status": "refused", "value": None},
    ]
    verdicts.write_text("\n".join(map(json.dumps, rows)))
    left = dialogue_rows.kept(every, Filter(("accepted",), 3.0, verdicts))
    assert [d.id for d in left] == ["d1", "d2"]  # d2 by the mean of its rubrics
    for choose, words in (
        (Filter(("acepted",)), "there are accepted"),
        (Filter(("accepted",), 3.0), "needs --verdicts"),
        (Filter(("crashed",)), "None of 31 dialogues"),
        (Filter(("accepted",), 5.0, verdicts), "score of 5"),
    ):
        with pytest.raises(DialogueRowsError, match=words):
            dialogue_rows.kept(every, choose)


def test_malformed_lines_are_named_and_counted(file: Path, tmp_path: Path) -> None:
    with file.open("a") as out:
        out.write('{"id": "x"}\nnot json\n[]\n')
    with pytest.raises(DialogueRowsError, match=r"3 malformed lines:\nline 32"):
        dialogue_rows.read([file])
    assert len(dialogue_rows.read([file], allow_bad=True)) == 31
    with pytest.raises(DialogueRowsError, match="cannot be read"):
        dialogue_rows.read([tmp_path / "none.jsonl"])
    (tmp_path / "v.jsonl").write_text('{"id": "x"}\n')
    with pytest.raises(DialogueRowsError, match="no verdict"):
        dialogue_rows.scores(tmp_path / "v.jsonl")


def test_only_drafts_that_passed_at_once_are_said_again() -> None:
    tokenizer = tiny_tokenizer()
    held = [Spoken.model_validate(dialogue(k).model_dump()) for k in (1, 2, 2)]
    rows = dialogue_rows.reply_rows(held, tokenizer)
    texts = [tokenizer.decode(r.ids) for r in rows]
    assert len(rows) == 2 and all(EOS in t and "Number" in t for t in texts)
    assert "Number" not in tokenizer.decode(rows[0].ids[: rows[0].start])


def test_the_chosen_item_is_the_target_of_slates_that_might_have_held_it() -> None:
    candidates = Candidates.open(SHOP, Embedder())
    spoken = Spoken.model_validate(dialogue(1).model_dump())
    found = list(dialogue_rows.samples([spoken], candidates))
    assert [s.targets for s in found] == [(1,)]  # the second slate could not hold it
    assert found[0].query.liked == (5,)  # an id that is gone is left out
    weights = found[0].prior.weights
    assert weights[1] > 0 and np.count_nonzero(weights) < len(SHOP)
    gone = spoken.model_copy(
        update={"outcome": spoken.outcome.model_copy(update={"accepted": "gone"})}
    )
    assert not list(dialogue_rows.samples([gone], candidates))


def test_the_command_trains_on_dialogues_alone(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_folder(tmp_path / "model")
    common: dict[str, Any] = {
        "model": model, "catalog": OUTDOOR, "tokens": 512, "lr": 0.01, "device": "cpu",
    }  # fmt: skip
    sft.main(out=tmp_path / "run", dialogues=[file], steps=12, **common)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["steps"] == 12
    assert {"val_dialogue slates", "val_dialogue slates_prior", "val_dialogue replies"} <= set(
        report
    )
    assert load_small(tmp_path / "run" / "model").projection is not None
    other = tmp_path / "books.npy"
    np.save(other, np.zeros((1, 3, 256, SHOP.vectors.shape[1]), np.float32))
    for more, words in (
        ({"dialogues": [tmp_path / "none.jsonl"]}, "cannot be read"),
        ({"dialogues": [file], "outcomes": "won"}, "--outcomes 'won'"),
        ({"dialogues": [file], "codebooks": other}, "not the catalogue's"),
        ({"dialogues": [file], "dialogue_weight": 0.0}, "no share"),
        ({}, "Nothing to learn from"),
    ):
        with pytest.raises(typer.Exit):
            sft.main(out=tmp_path / "again", steps=1, **common, **more)
        assert words in capsys.readouterr().err
