"""Conversations of our own, forty over films, twenty over books, twenty over an outdoor shop:
facts are held, not wording.

The checks share no code with the agent: they read the catalogue's columns directly.
"""

import operator
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.agent import Agent
from agent.settings import Settings
from agent.state import Turn

GOLDEN = Path(__file__).parent.parent / "golden"
DATA = Path(__file__).parents[2] / "catalog" / "data"
FOLDERS = {"films": "movies", "books": "books", "outdoor": "outdoor"}
CONVERSATIONS = {
    name: yaml.safe_load((GOLDEN / f"{name}.yaml").read_text("utf-8")) for name in FOLDERS
}
#: Played by the fast suite; the rest by `make test-slow`.
FAST = (
    ("films", "arrival-not-slow"),
    ("films", "blocked"),
    ("films", "seen-and-rejected"),
    ("films", "retract-year"),
    ("books", "old-mystery"),
    ("books", "blocked"),
    ("outdoor", "jacket-not-red"),
    ("outdoor", "questions"),
)
SLOW = [
    (domain, c["name"])
    for domain, script in CONVERSATIONS.items()
    for c in script
    if (domain, c["name"]) not in FAST
]
NUMERIC = {">=": operator.ge, "<=": operator.le, "=": operator.eq}
INTENTIONAL = re.compile(r"^(\w+) (>=|<=|=|has|not) (.+)$")


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Agent]:
    """One agent a catalogue, opened when it is first needed."""

    @cache
    def opened(domain: str) -> Agent:
        home = tmp_path_factory.mktemp(f"golden-{domain}")
        return Agent.open(Settings.load(home=home, catalog=DATA / FOLDERS[domain]))

    return opened


def holds(values: dict[str, Any], rule: str) -> bool:
    match = INTENTIONAL.match(rule)
    assert match, f"unreadable rule {rule!r}"
    field, relation, wanted = match.groups()
    value = values.get(field)
    if relation in NUMERIC:
        return value is not None and NUMERIC[relation](float(value), float(wanted))
    held = value if isinstance(value, list | tuple) else [value]
    return (wanted in held) == (relation == "has")


def turns_of(conversation: dict[str, Any], agent: Agent) -> Iterator[tuple[dict[str, Any], Turn]]:
    thread = Agent.new_thread()
    for expected in conversation["turns"]:
        done = [e for e in agent.turn(thread, expected["say"]) if e.kind == "done"]
        assert len(done) == 1 and done[0].turn is not None
        yield expected, done[0].turn


def play(conversation: dict[str, Any], agent: Agent) -> None:
    shown: set[str] = set()
    titles = set(agent.catalog.df["title"].to_list())
    before: list[set[str]] = []
    for expected, turn in turns_of(conversation, agent):
        where = f"{conversation['name']}: {expected['say']!r} -> {turn.act}: {turn.text}"
        assert turn.act in expected["act"], where
        cards = [u for u in turn.units if turn.slate and u.item_id in turn.slate.item_ids]
        ids = [str(u.item_id) for u in cards]
        assert all(agent.catalog.has(i) for i in ids), where
        assert len(set(ids)) == len(ids), where
        assert not shown & set(ids), f"shown before: {where}"
        if turn.act == "undo":
            shown = before.pop() if before else set()
            continue
        before.append(set(shown))
        shown |= set(ids)
        if "count" in expected:
            assert len(ids) == expected["count"], where
        for item_id in ids:
            row = agent.catalog.df.row(agent.catalog.row(item_id), named=True)
            for rule in expected.get("every", []):
                assert holds(row, rule), f"{row['title']} breaks {rule!r}: {where}"
        for words in expected.get("has", []):
            assert words in turn.text, where
        for unit in turn.units:
            check_unit(unit.text, [s.evidence.text for s in unit.spans], titles, where)


def check_unit(text: str, proven: list[str], titles: set[str], where: str) -> None:
    assert not re.search(r"<[a-z]+\d*(\.[a-z0-9]+)?>", text), f"a slot was left: {where}"
    rest = text
    for words in sorted(proven, key=len, reverse=True):
        rest = re.sub(re.escape(words), " ", rest, flags=re.IGNORECASE)
    assert not re.search(r"\d", rest), f"an unproven number: {where}"
    for name in re.findall(r"(?<=[a-z,] )((?:[A-Z][\w'’-]+ ?){2,})", rest):
        assert name.strip() not in titles, f"an unproven title {name!r}: {where}"


def script(domain: str, name: str) -> dict[str, Any]:
    return next(c for c in CONVERSATIONS[domain] if c["name"] == name)


@pytest.mark.parametrize(("domain", "name"), FAST)
def test_golden_conversation(domain: str, name: str, agents: Callable[[str], Agent]) -> None:
    play(script(domain, name), agents(domain))


@pytest.mark.slow
@pytest.mark.parametrize(("domain", "name"), SLOW)
def test_every_golden_conversation(domain: str, name: str, agents: Callable[[str], Agent]) -> None:
    play(script(domain, name), agents(domain))
