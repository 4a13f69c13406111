"""Figures and pages: metrics with known answers, one whole page, nothing unescaped."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.state import Turn
from catalog.errors import ParleyError
from evals.outcomes import (
    coverage,
    distinct,
    interval,
    jackknife,
    paired,
    pass_k,
    question_bits,
    repetition,
    said_again,
    satisfaction,
    success_at,
    summarise,
)
from evals.report import Run, app, calibration_flags, markdown, notes, page, rank
from tests.evals.shop import agent_turn, dialogue, lamps

SHOP = lamps()


def test_an_interval_resamples_groups_and_covers_its_mean() -> None:
    values = [0.0, 1.0] * 50
    found = interval(values, [str(k) for k in range(100)])
    assert found.mean == 0.5 and 0.38 < found.low < 0.45 and 0.55 < found.high < 0.62
    tied = interval(values, [str(k % 2) for k in range(100)])  # only two groups: nothing is known
    assert (tied.low, tied.high) == (0.0, 1.0)
    assert interval([], []).n == 0


def test_paired_differences_meet_by_key() -> None:
    found = paired({"a": 0.0, "b": 1.0, "c": 1.0}, {"a": 1.0, "b": 1.0, "z": 0.0})
    assert found.mean == 0.5 and found.n == 2


def test_pass_k_is_the_unbiased_estimate() -> None:
    trials = [dialogue(k, goal="one", trial=k, success=k < 3) for k in range(4)]
    found = pass_k(trials, 2)
    assert found is not None and found.mean == pytest.approx(3 / 6)  # C(3,2) / C(4,2)
    four = pass_k(trials, 4)
    assert four is not None and four.mean == 0
    assert pass_k(trials, 8) is None


def test_metrics_of_one_dialogue_have_known_answers() -> None:
    mixed = dialogue(ids=("l1", "l3", "l1"))
    assert satisfaction(mixed, SHOP) == pytest.approx(2 / 3)  # l3 stands on the floor
    assert repetition(mixed) == pytest.approx(1 / 3)
    assert said_again(mixed) == pytest.approx(2 / 4)  # one reason, three times
    assert success_at(mixed, 1) == 1 and success_at(dialogue(success=False), 9) == 0
    assert coverage([mixed], SHOP) == 2 / 8


def test_a_question_gains_the_bits_its_answer_cuts() -> None:
    ask = agent_turn("Which kind?", (), act="ask")
    asked = dialogue().model_copy(
        update={
            "turns": (
                Turn(role="user", text="a lamp"), ask,
                Turn(role="user", text="desk"), agent_turn("Two.", ("l1",)),
            ),
            "allowed": (8, 2),
        }
    )  # fmt: skip
    assert question_bits(asked) == [2.0]


def test_distinct_counts_different_pairs() -> None:
    assert distinct(["a b a b"]) == pytest.approx(2 / 3)
    assert distinct([]) == 0


def test_counts_of_different_things_get_a_jackknife_interval() -> None:
    held = [dialogue(k, ids=("l1", f"l{k % 8 + 1}")) for k in range(40)]
    found = jackknife(held, lambda d: coverage(d, SHOP))
    assert found.mean == 1.0 and found.low == 1.0  # every item is shown in many blocks
    lone = [dialogue(0, ids=("l3",)), *(dialogue(k) for k in range(1, 40))]
    found = jackknife(lone, lambda d: coverage(d, SHOP))
    assert found.mean == 3 / 8 and found.low < 3 / 8 < found.high  # one goal alone shows l3
    assert jackknife(held[:1], lambda d: coverage(d, SHOP)).low == 1 / 8


def test_what_a_reader_must_know_is_said() -> None:
    held = [dialogue(k) for k in range(3)]
    made = Run("a", held, summarise(held, SHOP), 2)
    said = " ".join(notes([made], {"overall": {"other": 3.0}}))
    assert "2 malformed" in said and "no pass^4" in said and "other dialogues" in said
    four = [dialogue(k, goal="one", trial=k) for k in range(4)]
    assert notes([Run("b", four, summarise(four, SHOP), 0)], {"overall": {"d1": 3.0}}) == []
    html = page([made], {"overall": {"d0": 3.0, "d1": 4.0}, "none": {"x": 1.0}}, [], "abc")
    assert "overall" in html and "<td>none</td>" not in html


def test_the_summary_holds_every_metric_the_specification_names() -> None:
    found = summarise([dialogue(k, goal=f"g{k // 4}", trial=k % 4) for k in range(8)], SHOP)
    wanted = {
        "success@3", "constraint satisfaction", "pass^4", "repeated items", "diversity",
        "novelty (bits)", "coverage", "distinct-2 of replies", "catalogue-valid",
        "turn seconds p50", "turn seconds p95",
    }  # fmt: skip
    assert wanted <= found.keys()
    assert found["catalogue-valid"].mean == 1 and found["turn seconds p50"].mean == 0.5
    assert np.isfinite([f.mean for f in found.values()]).all()


def test_the_page_is_whole_escaped_and_ranked() -> None:
    rude = dialogue(1, success=False, said="<script>alert(1)</script>")
    held = [dialogue(0), rude, *(dialogue(k) for k in range(2, 50))]
    made = Run("a", held, summarise(held, SHOP), 0)
    assert rank(held, {})[-1].id == "d1"
    html = page([made], {}, ["Mind this."], "abc")
    assert html.startswith("<!doctype html>") and html.rstrip().endswith("</html>")
    assert "<script" not in html and "&lt;script&gt;" in html and "Mind this." in html
    assert html.count("<details>") == 40 and "<svg" in html
    assert not re.search(r"(src|href)=", html)  # nothing is fetched from elsewhere
    assert "| success | 0.98" in markdown([made])


def test_a_judge_that_does_not_beat_length_is_flagged(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('noise\n{"judge": "j", "difference_ci": [-0.1, 0.2]}\n')
    assert "not shown to beat" in calibration_flags(path)[0]
    path.write_text('{"judge": "j", "difference_ci": [0.1, 0.2]}')
    assert calibration_flags(path) == []
    path.write_text("{}")
    with pytest.raises(ParleyError, match="is no calibration"):
        calibration_flags(path)


def test_the_command_reports_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("x\n" + dialogue().model_dump_json() + "\n")
    result = CliRunner().invoke(app, [str(path), "--out", str(tmp_path / "r.html")])
    assert result.exit_code == 2 and "1 malformed line" in result.stderr
    # The dialogue is of another shop: its items are not counted as valid, nothing falls over.
    result = CliRunner().invoke(
        app, [str(path), "--out", str(tmp_path / "r.html"), "--allow-bad"], catch_exceptions=False
    )
    assert "malformed" in json.loads(result.stdout.strip().splitlines()[-1])["flags"][0]
