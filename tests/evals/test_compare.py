"""The regression gate: worse outside the paired interval ends with 1, all else with 0."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from catalog.errors import ParleyError
from evals.compare import GATED, app, compare
from evals.dialogues import Dialogue, Outcome
from tests.evals.shop import dialogue, lamps

SHOP = lamps()


def run(share: float, n: int = 60) -> list[Dialogue]:
    return [dialogue(k, success=k < share * n) for k in range(n)]


def test_the_same_is_not_worse() -> None:
    assert not any(c.worse for c in compare(run(0.8), run(0.8), SHOP, GATED))


def test_a_clear_loss_is_worse_and_a_gain_is_not() -> None:
    lost = {c.metric: c for c in compare(run(0.9), run(0.5), SHOP, GATED)}
    assert lost["success"].worse and lost["success"].difference.mean == pytest.approx(-0.4)
    assert lost["frustrated"].worse and not lost["constraint satisfaction"].worse
    assert not any(c.worse for c in compare(run(0.5), run(0.9), SHOP, GATED))


def test_a_loss_within_the_interval_is_not_worse() -> None:
    before, after = run(0.8), run(0.8)
    after[0] = dialogue(0, success=False)
    found = {c.metric: c for c in compare(before, after, SHOP, GATED)}
    assert found["success"].difference.mean < 0 and not found["success"].worse


def test_what_must_never_happen_is_worse_at_once() -> None:
    after = run(0.8)
    crashed = Outcome(end="crashed", success=True, turn=1)
    after[0] = after[0].model_copy(update={"outcome": crashed})
    after[1] = dialogue(1, ids=("l1", "l1"))
    found = {c.metric: c for c in compare(run(0.8), after, SHOP, GATED)}
    assert found["crashed"].worse and found["repeated items"].worse


def test_files_that_do_not_meet_and_unknown_metrics_are_refused() -> None:
    with pytest.raises(ParleyError, match="share no goal"):
        compare(run(0.5), [dialogue(900)], SHOP, GATED)
    with pytest.raises(ParleyError, match="did you mean 'success'"):
        compare(run(0.5), run(0.5), SHOP, ["succes"])


@pytest.mark.parametrize(("share", "code"), [(0.9, 0), (0.3, 1)])
def test_the_command_exits_by_it(tmp_path: Path, share: float, code: int) -> None:
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for path, held in ((a, run(0.9)), (b, run(share))):
        path.write_text("".join(d.model_dump_json() + "\n" for d in held))
    result = CliRunner().invoke(app, [str(a), str(b), "--metric", "success"])
    assert result.exit_code == code, result.output
