"""The catalogue changes under a running agent: new rows are shown, old conversations go on."""

import json
import time
from pathlib import Path

import pytest

from agent.agent import Agent
from agent.settings import Settings
from catalog.build import build
from catalog.update import update

HEAD = "id,title,type,price,description"
KINDS = {
    "reading": "A desk lamp with a narrow beam for reading late without waking anyone.",
    "garden": "A garden lantern for long summer evenings under the trees.",
    "bedside": "A dim bedside light for children who fear the dark.",
}


def rows(kinds: dict[str, str], each: int) -> str:
    lines = [HEAD]
    for kind, text in kinds.items():
        lines += [
            f'{kind}-{n},{kind.title()} Light {n},{kind},{20 + n} €,"{text}"' for n in range(each)
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@pytest.mark.timeout(1200)  # many programs are started; minutes on a busy machine
def test_a_new_row_is_recommended_and_a_removed_one_never_again(tmp_path: Path) -> None:
    source = tmp_path / "lamps.csv"
    source.write_text(rows(KINDS, 6), "utf-8")
    build(source, tmp_path / "lamps")
    settings = Settings.load(home=tmp_path / "home", catalog=tmp_path / "lamps", watch_seconds=1)
    agent = Agent.open(settings)
    try:
        first = done(agent, "old", "Something for the garden, please.")
        assert first and all(item.startswith("garden") for item in first)
        more = {"camping": "A camping lamp that folds flat and hangs from the tent pole."}
        (tmp_path / "more.csv").write_text(rows(more, 3), "utf-8")
        started = time.monotonic()
        update(tmp_path / "lamps", tmp_path / "more.csv", [first[0]])
        while not agent.catalog.has("camping-0"):
            assert time.monotonic() - started < 60
            time.sleep(0.2)
        shown = done(agent, "new", "A lamp for camping, please.")
        assert shown and shown[0].startswith("camping")
        again = done(agent, "old", "Show me more of those, please.")  # it named what is gone
        assert first[0] not in again
        assert first[0] not in done(agent, "third", "Something for the garden, please.")
        said = json.dumps([turn.text for turn in agent.state("old").turns])
        assert "film" not in said and "movie" not in said
    finally:
        agent.close()


def done(agent: Agent, thread: str, text: str) -> list[str]:
    """The items shown in answer to a message."""
    turn = next(e.turn for e in agent.turn(thread, text) if e.kind == "done")
    return list(turn.slate.item_ids) if turn is not None and turn.slate else []
