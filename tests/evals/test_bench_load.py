"""The load benchmark: its markers, what it counts as mixed, and a short run on a real server."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evals.bench.load import (
    FOLLOW_UPS,
    LoadError,
    Marker,
    Said,
    Tally,
    check,
    markers,
    script,
    summary,
)
from tests.agent.lamps import lamps

ROOT = Path(__file__).parent.parent.parent
MARKER = Marker("a desk lamp from 2010 to 2019", frozenset({"l1"}))


def answer(thread: str = "t", *items: str) -> dict[str, Any]:
    shown = [{"id": i, "title": i.upper()} for i in items]
    return {"conversation": thread, "reply": "Here.", "items": shown, "act": "recommend"}


def test_every_client_has_a_constraint_of_its_own() -> None:
    found = markers(lamps(), 8)
    assert len({one.opening for one in found}) == 8
    by_words = {one.opening: one.allowed for one in found}
    assert by_words["a bedside lamp from 2010 to 2019"] == {"l5"}
    assert by_words["a floor lamp from 2010 to 2019"] == {"l3"}
    with pytest.raises(LoadError, match=r"has \d+ markers for 100 clients"):
        markers(lamps(), 100)


def test_clients_say_different_things_in_different_orders() -> None:
    first, second = script(MARKER, 0, 0), script(MARKER, 1, 0)
    assert first[0] == second[0] == MARKER.opening
    assert first[1:] != second[1:] and set(first[1:]) <= set(FOLLOW_UPS)


def test_what_belongs_to_another_chat_is_counted() -> None:
    said, tally = Said(""), Tally()
    check(answer("t", "l1"), said, "hello", MARKER, tally)
    assert (said.thread, said.sent, said.replies, tally.slates) == ("t", ["hello"], ["Here."], 1)
    assert tally.mixed == []
    check(answer("t", "l1", "l2"), said, "more", MARKER, tally)
    check(answer("u"), said, "more", MARKER, tally)
    assert tally.mixed == [
        "'L2' for 'a desk lamp from 2010 to 2019'",
        "asked in t, answered in u",
    ]


def test_the_summary_counts_errors_and_changed_histories_as_lost() -> None:
    one = Tally(seconds=[0.1, 0.3], errors=["ReadTimeout: ..."], mixed=["x"])
    alone = Tally(seconds=[0.1])
    result = summary([one, Tally()], 2.0, ["t: 3 turns kept, 4 seen"], alone)
    assert (result["turns"], result["turns_per_s"], result["p50_over_alone"]) == (2, 1.0, 2.0)
    assert (result["errors"], result["lost"], result["mixed"]) == (1, 2, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_short_run_loses_and_mixes_nothing() -> None:
    """Three clients on ``python app.py`` over the bundled books, the smallest catalogue."""
    books = ROOT / "catalog" / "data" / "books"
    command = ["-m", "evals.bench.load", "--clients", "3", "--minutes", "0.1"]
    done = subprocess.run(
        [sys.executable, *command, "--catalog", str(books)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=560,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["clients"] == 3 and result["turns"] > 0 and result["slates"] > 0
    assert result["lost"] == result["mixed"] == result["errors"] == 0
