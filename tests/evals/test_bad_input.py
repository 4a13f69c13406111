"""Every command of the room on bad input: one clear line, status 2, never a traceback."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.evals.shop import dialogue

CLOSED = "http://127.0.0.1:9/v1"  # nothing listens there


def run(command: str, *arguments: str) -> Any:
    """The command, whose app is a Typer one."""
    return CliRunner().invoke(importlib.import_module(f"evals.{command}").app, list(arguments))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    good = dialogue().model_dump_json()
    texts = {
        "good": f"{good}\n",
        "bad": f'{good}\nnot json\n{{"id": 3}}\n',
        "empty": "",
        "arena": json.dumps({"conv_id": "a_b_c", "dialogue": [], "user_sentiment": "happy"}) + "\n",
        "yaml": "- {name: x, turns: []}\n",
    }
    paths = {}
    for name, text in texts.items():
        paths[name] = str(tmp_path / name)
        Path(paths[name]).write_text(text)
    return {**paths, "none": str(tmp_path / "none"), "out": str(tmp_path / "out")}


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("judge", ["bad"], "2 malformed lines:\nline 2"),
        ("report", ["bad", "--out", "out"], "2 malformed lines:\nline 2"),
        ("compare", ["good", "bad"], "2 malformed lines:\nline 2"),
        ("compare", ["empty", "good"], "holds no dialogues"),
        ("report", ["empty", "--out", "out"], "holds no dialogues"),
        ("report", ["none", "--out", "out"], "cannot be read"),
        ("report", ["good", "--out", "out", "--verdicts", "bad"], "is no verdict"),
        ("report", ["good", "--out", "out", "--calibration", "empty"], "is no calibration"),
        ("judge", ["good", "--rubric", "groundnig"], "did you mean grounding"),
        ("judge", ["good", "--pairwise", "empty"], "holds no dialogues"),
        ("calibrate", ["--data", "arena"], "not satisfied/frustrated"),
        ("calibrate", ["--data", "none"], "cannot be read"),
        ("calibrate", ["--data", "arena", "--by", "film"], "use dialogue or system"),
        ("golden", ["yaml", "--out", "out"], "conversation 1: turns"),
        ("golden", ["none", "--out", "out"], "cannot be read as YAML"),
        ("simulate", ["--n", "1", "--out", "out", "--personas", "none"], "holds no *.yaml"),
        ("understanding", ["--data", "none", "--arm", "llm"], "--llm-model"),
        ("embedded_judge", ["empty", "--out", "out"], "holds no dialogues"),
    ],
)
def test_what_is_wrong_is_named(
    command: str, arguments: list[str], words: str, files: dict[str, str]
) -> None:
    result = run(command, *(files.get(a, a) for a in arguments))
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.stderr.split(" ")), result.stderr
    assert "Traceback" not in result.output


def test_a_judge_that_cannot_be_reached_is_named(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the pauses between tries
    result = run("judge", files["good"], "--judge", CLOSED, "--judge-model", "m")
    assert result.exit_code == 2 and "127.0.0.1:9" in result.stderr, result.output


@pytest.mark.slow
def test_allowed_bad_lines_are_left_out_and_counted(files: dict[str, str]) -> None:
    result = run("judge", files["bad"], "--allow-bad")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.strip().splitlines()[-1])["bad_lines"] == 2
