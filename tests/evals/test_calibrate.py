"""Calibration against people: figures with known answers, and the baseline that must be beaten."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from catalog.errors import ParleyError
from evals.arena import ASPECTS, Labelled, read_arena
from evals.calibrate import app, auc, kappa, spearman
from evals.calibrate import calibrate as full
from evals.dialogues import DialoguesError
from evals.embedded_judge import cross_validated
from evals.features import Exchange

ARENA = Path(__file__).resolve().parents[3] / "shared/data/crsarena/crs_arena_dev.jsonl.gz"


def calibrate(scores: np.ndarray, people: list[Labelled]) -> dict[str, Any]:
    """With few draws: the figures' places are tested, not the width of their intervals."""
    return full(scores, people, resamples=100)


def labelled(n: int = 60, seed: int = 0) -> list[Labelled]:
    """Invented conversations; satisfaction has nothing to do with length."""
    rng = np.random.default_rng(seed)
    out = []
    for k in range(n):
        good = bool(rng.random() < 0.4)
        words = "word " * int(rng.integers(3, 30))
        talk = (Exchange("user", "hello"), Exchange("agent", words))
        aspects = {a: float(2 * good) for a in ASPECTS}
        out.append(Labelled(f"s{k % 4}_{k}", f"s{k % 4}", str(k // 2), talk, good, aspects, 0.0))
    return out


def test_auc_counts_pairs() -> None:
    scores, good = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True])
    assert auc(scores, good) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert auc(-scores, good) == pytest.approx(1 - 3.5 / 4)
    assert np.isnan(auc(scores, np.ones(4, dtype=bool)))


def test_spearman_and_kappa_have_known_ends() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(a, a**3) == pytest.approx(1) and spearman(a, -a) == pytest.approx(-1)
    assert spearman(a, np.ones(4)) == 0
    good = np.array([False, False, True, True])
    assert kappa(a, good) == 1 and kappa(-a, good) == -1


def test_a_perfect_judge_beats_length_and_a_constant_one_does_not() -> None:
    people = labelled()
    best = calibrate(np.array([float(p.satisfied) for p in people]), people)
    assert best["auc"] == 1 and best["beats_length"] and best["difference_ci"][0] > 0
    flat = calibrate(np.zeros(len(people)), people)
    assert flat["auc"] == 0.5 and not flat["beats_length"]
    assert best["length_auc"] == flat["length_auc"]


def test_length_against_itself_differs_by_nothing() -> None:
    people = labelled()
    same = calibrate(np.array([p.length for p in people]), people)
    assert same["auc"] == same["length_auc"] and same["difference_ci"] == (0.0, 0.0)


def test_parse_failures_are_left_out_and_counted() -> None:
    people = labelled()
    scores = np.array([float(p.satisfied) for p in people])
    scores[:10] = np.nan
    found = calibrate(scores, people)
    assert found["parse_failures"] == 10 and found["n"] == 50 and found["auc"] == 1
    with pytest.raises(ParleyError, match="too few"):
        calibrate(np.full(len(people), np.nan), people)


def test_cross_validation_scores_only_what_was_held_out() -> None:
    """A feature that is the label is found; one that only names the session is of no use."""
    people = labelled(48)
    y = np.array([float(p.satisfied) for p in people])
    noise = np.random.default_rng(1).normal(size=(48, 3))
    for by in ("dialogue", "system"):
        told = cross_validated(np.c_[y, noise], people, by, trees=20)
        assert auc(told, y > 0.5) > 0.95
        blind = cross_validated(noise, people, by, trees=20)
        assert auc(blind, y > 0.5) < 0.8


def test_a_file_is_read_and_its_bad_lines_named(tmp_path: Path) -> None:
    good = {
        "conv_id": "sys_redial_1", "user_sentiment": "satisfied",
        "dialogue": [
            {"role": "USER", "utterance": "hi"}, {"role": "ASST", "utterance": "two words"},
        ],
        "dial_level_aggregated": {"dialogue_overall": 3},
    }  # fmt: skip
    bad = {**good, "user_sentiment": "delighted"}
    sad = {**good, "conv_id": "sys_redial_2", "user_sentiment": "frustrated"}
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in (good, bad, sad)))
    with pytest.raises(DialoguesError, match=r"line 2.*delighted"):
        read_arena(path)
    found = read_arena(path, allow_bad=True)
    assert [c.group for c in found] == ["1", "2"] and found[0].system == "sys_redial"
    assert found[0].length == 2 and found[0].aspects["dialogue_overall"] == 3
    path.write_text(json.dumps(good))
    with pytest.raises(DialoguesError, match="both satisfied and frustrated"):
        read_arena(path)
    result = CliRunner().invoke(app, ["--data", str(tmp_path / "none")])
    assert result.exit_code == 2 and "--data names the file" in result.stderr


@pytest.mark.slow
def test_the_command_prints_the_figures_the_specification_asks_for() -> None:
    if not ARENA.exists():
        pytest.skip(f"{ARENA} is not here: the labelled dialogues are no part of the repository")
    result = CliRunner().invoke(app, ["--data", str(ARENA)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.strip().splitlines()[-1])
    wanted = {"auc", "auc_ci", "length_auc", "difference_ci", "spearman", "n", "parse_failures"}
    assert wanted <= found.keys() and found["n"] == 220 and found["auc"] > 0.7
