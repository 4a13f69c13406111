"""The chat benchmark and the reply count run, and end with the JSON they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.state import Trace, Turn, Unit
from evals.replies import distinct, read_script, tally

ROOT = Path(__file__).parent.parent.parent


def last_line(*command: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
def test_chat_benchmark_reports_what_a_person_waits() -> None:
    result = last_line("evals.bench.chat", "--turns", "6")
    wanted = {
        "first_unit_p50_s", "first_unit_p95_s", "turn_p50_s", "turn_p95_s", "rss_mb", "start_s",
    }  # fmt: skip
    assert wanted <= set(result)
    assert 0 < result["first_unit_p50_s"] <= result["turn_p50_s"] <= result["turn_p95_s"]


@pytest.mark.slow
def test_reply_count_reads_a_script(tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("- name: a\n  turns: [{say: hello}, {say: a comedy}]\n", "utf-8")
    result = last_line("evals.replies", str(script))
    assert result["turns"] == 2 and result["slates"] == 1 and result["slates_not_by_llm"] == 0
    assert result["units"] == 7


def test_shares_are_counted_by_act() -> None:
    verdicts = [{"unit": 0, "act": "intro"}, {"unit": 1, "act": "recommend"}]
    units = (Unit(text="a"), Unit(text="b", realised_by="template", item_id="x"))
    turn = Turn(role="agent", text="", act="recommend", units=units, trace=Trace(verdicts=verdicts))
    acts = tally([turn])
    assert acts["intro"]["llm"] == 1 and acts["recommend"]["template"] == 1
    assert acts["all"] == {"units": 2, "llm": 0.5, "rewrite": 0, "template": 0.5}
    assert distinct(["a b c", "a b d"]) == 0.75 and distinct([]) == 0


def test_a_bad_script_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("just words", "utf-8")
    with pytest.raises(Exception, match=r"bad\.yaml must be a list"):
        read_script(bad)
