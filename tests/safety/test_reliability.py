"""What goes wrong around a conversation: killed, no space, no rights, damaged, far too long.

Each has one outcome: an error that names the file and the remedy, and nothing that was said is
lost. Killed means SIGKILL to a process of its own, forked so that it starts at once.
"""

import os
import resource
import signal
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.agent import Agent
from agent.checkpoints import open_memory
from agent.errors import AgentError, MemoryError_
from catalog.errors import StoreError
from catalog.store import VectorStore
from tests.agent.shop import CATALOG, Plain, agent, done, items

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
TEXTS = ("a desk lamp", "I never want lamps by Ada Holm")
OK, TOLD = 0, 7


def forked(work: Callable[[], int | None]) -> int:
    """Run ``work`` in a process of its own; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = work() or OK
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def said(a: Agent, thread: str = "t") -> list[str]:
    return [t.text for t in a.state(thread).turns if t.role == "user"]


def events_of_a_turn(folder: Path) -> int:
    a = agent(folder / "count.sqlite", Plain())
    done(a.turn("t", TEXTS[0], user="ann"))
    count = len(list(a.turn("t", TEXTS[1], user="ann")))
    a.close()
    return count


def test_killed_between_any_two_events_of_a_turn(tmp_path: Path) -> None:
    for k in range(events_of_a_turn(tmp_path)):
        path = tmp_path / f"{k}.sqlite"

        def work(path: Path = path, k: int = k) -> None:
            a = agent(path, Plain())
            done(a.turn("t", TEXTS[0], user="ann"))
            for n, _ in enumerate(a.turn("t", TEXTS[1], user="ann")):
                if n == k:
                    die()

        assert forked(work) == -signal.SIGKILL
        a = agent(path, Plain())
        state = a.resume("t")
        assert said(a) == list(TEXTS), k
        assert [t.role for t in state.turns] == ["user", "agent"] * 2, k
        assert a.conversations("ann")[0].messages == 4, k
        assert [c.clause.field for c in a.profiles.known("ann") if c.clause] == ["maker"], k
        a.undo("t")
        assert a.profiles.known("ann") == [] and said(a) == [TEXTS[0]], k
        a.close()


@pytest.mark.parametrize("piece", [0, 1, 2])
def test_killed_after_a_stop(tmp_path: Path, piece: int) -> None:
    path = tmp_path / "c.sqlite"

    def work() -> None:
        model = Plain()
        a = agent(path, model)
        done(a.turn("t", TEXTS[0], user="ann"))

        def stop(k: int) -> None:
            if k == piece:
                a.stop("t")

        model.before = stop
        for event in a.turn("t", "anything else?", user="ann"):
            if event.kind == "done" or a.graph.get_state(
                {"configurable": {"thread_id": "t"}}
            ).next == ("respond",):
                die()

    assert forked(work) == -signal.SIGKILL
    a = agent(path, Plain())
    state = a.resume("t")
    assert said(a) == [TEXTS[0], "anything else?"]
    assert [t.role for t in state.turns] == ["user", "agent"] * 2
    a.close()


def test_killed_while_forgetting_finishes_with_the_next_message(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"

    def work() -> None:
        a = agent(path, Plain())
        done(a.turn("t1", TEXTS[1], user="ann"))
        done(a.turn("t2", "forget everything about me", user="ann"))
        a.keeping.forget = lambda user: die()  # type: ignore[assignment, return-value]
        done(a.turn("t2", "yes, delete everything", user="ann"))

    assert forked(work) == -signal.SIGKILL
    a = agent(path, Plain())
    done(a.turn("t2", "hello", user="ann"))
    assert said(a, "t2") == ["hello"] and said(a, "t1") == []
    assert a.profiles.known("ann") == []
    a.close()


def test_a_full_disk_is_told_and_what_was_said_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    first = agent(path, Plain())
    done(first.turn("t", TEXTS[0], user="ann"))
    first.close()

    def work() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        a = agent(path, Plain())
        size = max(f.stat().st_size for f in tmp_path.glob("c.sqlite*"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            for _ in range(40):
                done(a.turn("t", "anything else?", user="ann"))
        except MemoryError_ as error:
            return TOLD if "free some space" in str(error) and "c.sqlite" in str(error) else 3
        return OK

    assert forked(work) == TOLD
    a = agent(path, Plain())
    a.resume("t")
    assert said(a)[0] == TEXTS[0] and items(done(a.turn("t", "a floor lamp", user="ann")))
    a.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MemoryError_, match=r"/proc/parley.*PARLEY_HOME"):
        open_memory(Path("/proc/parley/conversations.sqlite"))
    file = tmp_path / "a-file"
    file.write_text("x")
    with pytest.raises(MemoryError_, match="PARLEY_HOME"):
        open_memory(file / "conversations.sqlite")


def test_a_database_that_became_read_only(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite", Plain())
    done(a.turn("t", TEXTS[0], user="ann"))
    a.memory.saver.conn.execute("PRAGMA query_only=ON")  # type: ignore[attr-defined]
    with pytest.raises(MemoryError_, match=r"c\.sqlite.*writable"):
        done(a.turn("t", "hello", user="ann"))
    a.memory.saver.conn.execute("PRAGMA query_only=OFF")  # type: ignore[attr-defined]
    assert said(a)[0] == TEXTS[0] and done(a.turn("t", "hello", user="ann"))
    a.close()


def test_a_database_damaged_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    a = agent(path, Plain())
    for _ in range(3):
        done(a.turn("t", TEXTS[0], user="ann"))
    a.close()
    raw = bytearray(path.read_bytes())
    raw[4096:] = os.urandom(len(raw) - 4096)  # all but the first page
    path.write_bytes(raw)
    with pytest.raises(AgentError, match=r"damaged file away"):
        broken = agent(path, Plain())
        done(broken.turn("t", "hello", user="ann"))
    path.rename(tmp_path / "damaged")
    for rest in tmp_path.glob("c.sqlite-*"):
        rest.unlink()
    fresh = agent(path, Plain())
    assert done(fresh.turn("t", TEXTS[0], user="ann")).act == "recommend"
    fresh.close()


def test_a_damaged_vector_index_names_the_folder_to_delete(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "chroma.sqlite3").write_bytes(b"this is no database" * 500)
    for folder in ("index", "chroma", "vectors"):
        (home / folder).mkdir()
        (home / folder / "chroma.sqlite3").write_bytes(b"this is no database" * 500)
    with pytest.raises(StoreError, match="delete that folder"):
        VectorStore.open(CATALOG, home)


@pytest.mark.parametrize(
    "text",
    ["x" * 10_000, "a lamp " * 1_430, "é" * 9_999, "\0\1\2 " * 2_500, "(((((" * 2_000,
     "not " * 2_500, "under 5 € " * 1_000, "<b>" * 3_334, "Aurora and " * 900, "12345 " * 1_666],
    ids=lambda t: t[:8].strip("\0\1\2 "),
)  # fmt: skip
def test_ten_thousand_characters(tmp_path: Path, text: str) -> None:
    a = agent(tmp_path / "c.sqlite", Plain())
    turn = done(a.turn("t", text, user="ann"))
    assert turn.text and len(turn.text) < 2_000
    assert said(a) == [text.strip()[:10_000]]
    assert sum(len(str(k)) for k in a.profiles.known("ann")) < 20_000
    a.close()


def test_logs_hold_no_words_of_people(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for ours in ("agent", "tools", "catalog", "page"):
        caplog.set_level("DEBUG", logger=ours)
    a = agent(tmp_path / "c.sqlite", Plain())
    done(a.turn("t", "a desk lamp for the zilvumaq", user="walrus"))
    done(a.turn("t", "I never want lamps by Ada Holm, zilvumaq", user="walrus"))
    a.forget("walrus")
    a.close()
    assert "zilvumaq" not in caplog.text and "walrus" not in caplog.text


def test_deleted_words_leave_sqlites_free_pages(tmp_path: Path) -> None:
    memory = open_memory(tmp_path / "c.sqlite")
    for connection in (memory.saver.conn, memory.store.conn):  # type: ignore[attr-defined]
        assert isinstance(connection, sqlite3.Connection)
        assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
    memory.close()
