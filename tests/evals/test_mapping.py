"""Dialogues played and judged on a Ray cluster of two workers: whole, once, and gone on with."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is an optional extra: requirements/ray.txt")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> dict[str, Any]:
    """A command of evals; the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return last


def test_dialogues_are_played_once_and_judged_once(tmp_path: Path) -> None:
    out, cache = tmp_path / "d.jsonl", tmp_path / "cache"
    play = ("evals.simulate", "--seed", "3", "--out", str(out), "--workers", "2", "--ray", "local")
    first = run(*play, "--n", "2")
    assert first["dialogues"] == 2 and first["already_there"] == 0
    with out.open("ab") as file:  # as a kill in the middle of a line leaves it
        file.write(b'{"id": "3-00')
    again = run(*play, "--n", "3")
    assert again["dialogues"] == 1 and again["already_there"] == 2
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(row["index"] for row in rows) == [0, 1, 2]
    assert not any(row["outcome"]["end"] == "crashed" for row in rows)
    alone = tmp_path / "alone.jsonl"
    run("evals.simulate", "--seed", "3", "--out", str(alone), "--workers", "1", "--n", "1")
    here = json.loads(alone.read_text())
    there = next(row for row in rows if row["index"] == 0)
    assert said(here) == said(there)  # a dialogue is a function of seed and number, not of where
    verdicts = tmp_path / "verdicts.jsonl"
    judge = ("evals.judge", str(out), "--cache", str(cache), "--out", str(verdicts))
    judged = run(*judge, "--ray", "local", "--workers", "2")
    kept = cache.read_bytes() if cache.is_file() else b""
    assert run(*judge)["rubrics"] == judged["rubrics"]
    assert len(verdicts.read_text().splitlines()) == 3
    assert cache.read_bytes() == kept  # all was known: nothing was asked again


def said(row: dict[str, Any]) -> list[str]:
    """What both said, but for times."""
    return [re.sub(r"\s+", " ", turn["text"]) for turn in row["turns"]]
