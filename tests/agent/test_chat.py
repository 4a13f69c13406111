"""The terminal chat as a person runs it: the command, its JSON, its errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KEYS = {
    "reply", "act", "slate", "constraints", "evidence",
    "model_calls", "realised_by", "first_unit_s", "total_s",
}  # fmt: skip


def chat(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent.chat", *arguments],
        cwd=ROOT,
        env={**os.environ, "PARLEY_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_script_prints_one_object_a_turn_and_the_thread_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "turns.txt"
    script.write_text("a western from the sixties\n\nthree more\n", "utf-8")
    done = chat("--script", str(script), "--thread", "t", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2 and all(set(row) >= KEYS for row in rows)
    assert [len(row["slate"]) for row in rows] == [5, 3]
    for row in rows:
        assert all("Western" in i["genres"] and 1960 <= i["year"] <= 1969 for i in row["slate"])
        assert row["model_calls"] <= 3
    script.write_text("what is the first one called again?\n", "utf-8")
    again = chat("--script", str(script), "--thread", "t", home=tmp_path / "home")
    constraints = json.loads(again.stdout)["constraints"]
    assert {c["field"] for c in constraints} == {"genres", "year"}


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    missing = chat("--script", str(tmp_path / "none.txt"), home=tmp_path)
    assert missing.returncode == 2 and "none.txt" in missing.stderr
    nowhere = chat("--catalog", str(tmp_path / "nowhere"), home=tmp_path)
    assert nowhere.returncode == 2 and "nowhere" in nowhere.stderr
    assert "Traceback" not in missing.stderr + nowhere.stderr
