"""A rebuilt catalogue takes over between two turns; one that cannot be used changes nothing."""

import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.agent import Agent
from agent.assemble import Assembly
from agent.graph import Parts
from agent.renewal import InUse
from agent.settings import Settings
from catalog.errors import CatalogError, ParleyError
from tests.agent.lamps import lamps
from tests.agent.shop import CATALOG, Plain, agent, items, say


class Builder:
    """What ``Agent`` asks for new parts; holds what lies in the folder, so to speak."""

    def __init__(self) -> None:
        self.next: Parts | ParleyError | None = None
        self.asked = 0

    def __call__(self, old: Parts) -> Parts | None:
        self.asked += 1
        if isinstance(self.next, ParleyError):
            raise self.next
        return None if self.next is old else self.next


def other(parts: Parts) -> Parts:
    """The same shop, rebuilt: fewer items on a slate tell it from the old one."""
    return replace(parts, catalog=lamps(), slate_items=1)


def test_the_next_turn_has_the_new_one_and_a_turn_in_flight_the_old(tmp_path: Path) -> None:
    builder = Builder()

    def rebuild(k: int) -> None:
        if k == 0 and builder.next is None:
            builder.next = other(a.parts)
            assert a.reload() and a.catalog is builder.next.catalog

    model = Plain(rebuild)
    parts = agent(tmp_path / "other.sqlite", model).parts
    a = Agent(parts, tmp_path / "c.sqlite", renew=builder)
    assert a.catalog is CATALOG and not a.reload()
    assert len(items(say(a, "t", "something under 200 €"))) == 3
    assert len(items(say(a, "t", "more"))) == 1
    assert not a.reload()


def test_a_corrupt_one_is_reported_once_and_the_old_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    builder = Builder()
    a = Agent(agent(tmp_path / "other.sqlite").parts, tmp_path / "c.sqlite", renew=builder)
    builder.next = CatalogError("lamps/items.parquet is damaged. Rebuild it.")
    with caplog.at_level(logging.ERROR):
        assert not a.reload() and not a.reload()
    assert [r.getMessage() for r in caplog.records] == [
        "the rebuilt catalogue cannot be used, the old one stays: "
        "lamps/items.parquet is damaged. Rebuild it."
    ]
    assert a.catalog is CATALOG and say(a, "t", "a desk lamp").slate is not None
    builder.next = other(a.parts)
    assert a.reload()


def test_the_watch_finds_it_and_ends_with_its_agent(tmp_path: Path) -> None:
    builder = Builder()
    parts = agent(tmp_path / "other.sqlite").parts
    in_use = InUse(parts, builder, 0.01)
    builder.next = other(parts)
    for _ in range(500):
        if in_use.parts is builder.next:
            break
        time.sleep(0.01)
    assert in_use.parts is builder.next
    in_use.close()
    time.sleep(0.05)
    asked = builder.asked
    time.sleep(0.05)
    assert builder.asked == asked


@pytest.mark.slow
def test_edited_rules_are_taken_up_and_hold(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("require:\n  - {field: genres, none: [Comedy]}\n")
    assembly = Assembly(Settings(home=tmp_path / "home", rules=rules, watch_seconds=0))
    parts = assembly.parts()
    assert assembly.renew(parts) is None
    a = Agent(parts, tmp_path / "c.sqlite", renew=assembly.renew)
    shown = items(say(a, "t", "recommend me popular films of any kind"))
    shown += items(say(a, "t", "anything is fine"))
    assert shown and all("Comedy" not in a.catalog.item(i).values.get("genres", ()) for i in shown)
    assert say(a, "t2", "a comedy please").act == "blocked"
    pinned = a.catalog.ids[int(a.catalog.popularity.argmax())]
    rules.write_text(f"pin:\n  - {{position: 2, item: {pinned!r}}}\n")
    assert a.reload()
    assert a.parts.recommender.rules is not None
    assert a.parts.writer.llm is parts.writer.llm  # the models are shared
    assert items(say(a, "t3", "something to watch with friends, please"))[1] == pinned
    rules.write_text("pin: 3\n")
    assert not a.reload()
    a.close()
