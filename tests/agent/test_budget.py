"""A turn that has spent its budget still answers: what is verified stands, the rest is plain."""

from pathlib import Path
from typing import Any

import pytest

from agent.budget import Budget
from agent.errors import LLMError
from tests.agent.shop import Junk, Plain, agent, items, say


class TooLate(Plain):
    """Writes the first unit and then needs longer than the turn has."""

    def __init__(self, writers: list[Any]) -> None:
        super().__init__(self._wait)
        self.writers = writers

    def _wait(self, place: int) -> None:
        if place == 1:
            writer = self.writers[0]
            writer.budget = Budget(4, 4000, 1e-9)  # the clock has run out meanwhile
            raise LLMError("did not answer within 0.1 s")


@pytest.mark.parametrize(
    ("budget", "spent"), [(Budget(1, 4000), "calls"), (Budget(9, 1), "tokens")]
)
def test_no_rewrite_when_calls_or_tokens_are_spent(
    tmp_path: Path, budget: Budget, spent: str
) -> None:
    shop = agent(tmp_path / "c.sqlite", Junk())
    shop.parts.writer.budget = budget
    turn = say(shop, "t", "a desk lamp")
    assert turn.trace is not None and turn.trace.model_calls == 1
    assert {"budget": spent} in turn.trace.verdicts
    assert len(items(turn)) == 2 and {u.realised_by for u in turn.units} == {"template"}
    shop.close()


def test_what_came_in_time_stands(tmp_path: Path) -> None:
    writers: list[Any] = []
    shop = agent(tmp_path / "c.sqlite", TooLate(writers))
    writers.append(shop.parts.writer)
    turn = say(shop, "t", "a desk lamp")
    assert [u.realised_by for u in turn.units] == ["llm", "template", "template"]
    assert turn.trace is not None and {"budget": "seconds"} in turn.trace.verdicts
    shop.close()
