"""Judges: answers read or counted as failures, both orders, a cache, real local servers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.llm import EndpointLLM, Request, TransformersLLM
from catalog.errors import ParleyError
from evals.embedded_judge import JudgeError, Released, fit, own_labels
from evals.features import NAMES, Exchange
from evals.judge import absolute, app, both_orders, preference, summarise_pairs
from evals.judges import Cache, ModelJudge, Verdict, cost, family, same_family
from evals.rubric import RubricError, read_choice, read_rubric, read_score, rubric_names
from tests.evals.served import Answer, server
from tests.evals.shop import dialogue
from tests.tiny_lm import tiny_folder

OVERALL = read_rubric("overall")
TALK = (Exchange("user", "a desk lamp"), Exchange("agent", "Aurora is one."))
BETTER = (Exchange("user", "a desk lamp"), Exchange("agent", "Aurora is BETTER."))


@contextmanager
def judging(answer: Answer) -> Iterator[tuple[ModelJudge, list[str]]]:
    with server(answer) as (url, prompts):
        llm = EndpointLLM(url, "judge-1")
        yield ModelJudge(llm, "judge-1"), prompts
        llm.close()


@pytest.mark.parametrize(
    ("text", "status", "value"),
    [
        ('{"reason": "fine", "score": 4}', "ok", 4.0),
        ('Well. {"score": 2, "reason": "x"} That is all.', "ok", 2.0),
        ("Score: 5", "ok", 5.0),
        ('{"score": 9}', "unparsed", None),
        ("It was good.", "unparsed", None),
        ("I cannot judge this conversation.", "refused", None),
        ("", "unparsed", None),
    ],
)
def test_scores_are_read_or_counted_apart(text: str, status: str, value: float | None) -> None:
    read = read_score(text, OVERALL)
    assert (read.status, read.value) == (status, value)


def test_choices_are_read() -> None:
    assert read_choice('{"better": "b"}').value == "B"
    assert read_choice('{"better": "tie"}').value == "tie"
    assert read_choice('{"better": "both"}').status == "unparsed"


def test_every_rubric_is_whole_and_an_unknown_one_is_named() -> None:
    assert {
        "understanding",
        "relevance",
        "grounding",
        "efficiency",
        "explanation",
        "overall",
    } <= set(rubric_names())
    for name in rubric_names():
        rubric = read_rubric(name)
        assert rubric.name == name and set(rubric.anchors) >= set(rubric.scale)
    with pytest.raises(RubricError, match="did you mean relevance"):
        read_rubric("relevence")


def test_absolute_scores_come_over_a_real_wire_and_are_paid_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.jsonl"
    with judging(lambda p: '{"score": 5}' if "BETTER" in p else '{"score": 2}') as (judge, sent):
        verdicts = absolute(judge, OVERALL, [TALK, BETTER], Cache(path))
        assert [v.value for v in verdicts] == [2.0, 5.0] and len(sent) == 2
        assert cost(verdicts, 1.0, 10.0) == {"prompt_tokens": 200, "tokens": 20, "cost": 0.0004}
        with path.open("a") as file:
            file.write('{"key": "torn')  # killed in the middle of a line
        again = absolute(judge, OVERALL, [TALK, BETTER, TALK[:1]], Cache(path))
        assert [v.value for v in again][:2] == [2.0, 5.0] and len(sent) == 3


def test_a_judge_that_likes_the_first_place_gets_a_tie() -> None:
    with judging(lambda _: '{"better": "A"}') as (judge, sent):
        both = both_orders(judge, OVERALL, [(TALK, BETTER)], Cache(None))
    assert [preference(*v) for v in both] == [0.5] and len(sent) == 2
    assert summarise_pairs(both, ["g"])["orders_disagree"] == 1.0


def test_a_judge_that_knows_the_better_one_says_so_in_both_orders() -> None:
    def answer(prompt: str) -> str:
        first = (
            prompt.index("<conversation A>")
            < prompt.index("BETTER")
            < prompt.index("</conversation A>")
        )
        return json.dumps({"better": "A" if first else "B"})

    with judging(answer) as (judge, _):
        both = both_orders(judge, OVERALL, [(TALK, BETTER), (BETTER, TALK)], Cache(None))
    assert [preference(*v) for v in both] == [0.0, 1.0]
    failed = Verdict("k", "refused", None, "")
    assert preference(failed, both[0][0]) is None
    assert summarise_pairs([(failed, both[0][0])], ["g"])["refused"] == 1


def test_a_real_small_model_behind_a_server_is_judged_by_what_it_says(tmp_path: Path) -> None:
    """It babbles: every answer must end up as a failure to parse, none as a score."""
    llm = TransformersLLM.from_dir(tiny_folder(tmp_path))
    lock = threading.Lock()

    def babble(prompt: str) -> str:
        with lock:
            return llm.generate([Request(prompt[-200:], 12)])[0].text

    with judging(babble) as (judge, _):
        verdicts = absolute(judge, OVERALL, [TALK, BETTER], Cache(None))
    assert {v.status for v in verdicts} <= {"unparsed", "refused"}
    assert all(v.value is None for v in verdicts)


def test_families_are_told_by_name() -> None:
    assert family("Qwen/Qwen3-32B-Instruct") == "qwen"
    assert same_family("qwen2.5", "Qwen3-8B") and not same_family("gpt-x", "parley-small")
    assert family("own-model") == "own-model"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    path, empty = tmp_path / "d.jsonl", tmp_path / "e.jsonl"
    path.write_text(dialogue().model_dump_json() + "\nbroken\n")
    empty.write_text("")
    for arguments, words in (
        ((str(path),), "1 malformed line:\nline 2"),
        ((str(empty),), "holds no dialogues"),
        ((str(tmp_path / "none.jsonl"),), "cannot be read"),
        ((str(path), "--rubric", "charm"), "No rubric 'charm'"),
        ((str(path), "--allow-bad", "--judge", "http://127.0.0.1:9/v1"), "--judge-model"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2 and words in result.stderr, result.stderr


def test_an_unreachable_judge_is_one_clear_error() -> None:
    llm = EndpointLLM("http://127.0.0.1:9/v1", "m", attempts=1)
    with pytest.raises(ParleyError, match="cannot be reached"):
        absolute(ModelJudge(llm, "m"), OVERALL, [TALK], Cache(None))
    llm.close()


def test_the_command_judges_and_compares(tmp_path: Path) -> None:
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    a.write_text("".join(dialogue(k, reply="BETTER.").model_dump_json() + "\n" for k in range(3)))
    b.write_text("".join(dialogue(k).model_dump_json() + "\n" for k in range(3)))

    def answer(prompt: str) -> str:
        if "conversation A" not in prompt:
            return '{"score": 4}'
        first = prompt.index("BETTER") < prompt.index("</conversation A>")
        return json.dumps({"better": "A" if first else "B"})

    with server(answer) as (url, _):
        common = ("--judge", url, "--judge-model", "qwen-9", "--generator", "Qwen3-4B")
        scored = run(str(a), *common, "--rubric", "relevance", "--out", str(tmp_path / "v.jsonl"))
        compared = run(str(a), "--pairwise", str(b), *common)
    assert scored.exit_code == 0, scored.output
    result = json.loads(scored.stdout.strip().splitlines()[-1])
    assert result["rubrics"]["relevance"]["mean"][0] == 4.0 and result["prompt_tokens"] == 300
    assert "one family" in scored.stderr
    assert len((tmp_path / "v.jsonl").read_text().splitlines()) == 3
    won = json.loads(compared.stdout.strip().splitlines()[-1])["rubrics"]["overall"]
    assert won["first_wins"][0] == 1.0 and won["orders_disagree"] == 0.0


def test_the_released_judge_learns_what_is_good_and_refuses_other_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, len(NAMES)))
    good = (x[:, 0] > 0).tolist()
    judge = fit(x, good, "test")
    scores = np.array([judge.score(row) for row in x])
    assert scores[np.array(good)].mean() > scores[~np.array(good)].mean() + 0.2
    path = tmp_path / "w.json"
    path.write_text(json.dumps({"features": ["other"]}))
    with pytest.raises(JudgeError, match="other features"):
        Released.load(path)
    assert len(Released.load().weights) == len(NAMES)


def test_labels_of_our_own_making_hold_a_spoilt_copy_of_every_dialogue() -> None:
    talks, good, groups = own_labels([dialogue(k, success=k % 2 == 0) for k in range(6)])
    assert len(talks) == len(good) == len(groups) == 12
    assert good[1::2] == [False] * 6 and good[::2] == [True, False] * 3
    assert all(t[0] == Exchange("user", "a desk lamp") or len(t) > 1 for t in talks)
