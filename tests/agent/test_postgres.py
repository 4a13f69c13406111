"""Conversations in PostgreSQL: the same guarantees as in SQLite, and across processes.

Two agents over one database stand for two replicas; where one has to die, it is a process.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event as Signal
from typing import Any

import psycopg
import pytest

from agent.agent import Agent
from agent.errors import AgentError, MemoryError_
from agent.memory import thread_config
from agent.state import DialogueState, NotThis
from tests.agent.shop import Junk, Plain, agent, done, items, say
from tests.postgres import Postgres

WAIT_S = 60  # only a limit for something that never comes


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture
def url(server: Postgres, request: pytest.FixtureRequest) -> str:
    return server.database(f"t{abs(hash(request.node.name))}")


@pytest.fixture
def pair(url: str) -> Iterator[tuple[Agent, Agent]]:
    """Two replicas."""
    both = agent(url), agent(url)
    yield both
    for one in both:
        one.close()


def test_replicas_share_a_conversation(pair: tuple[Agent, Agent]) -> None:
    a, b = pair
    assert say(a, "t", "hello").act and b.state("t") == a.state("t")
    before = a.state("t")
    first = say(b, "t", "something under 200 €")
    assert not set(items(done(a.retry("t")))) & set(items(first))
    assert [c.messages for c in b.conversations("anonymous")] == [4]
    assert b.undo("t") == before == a.state("t")
    done(b.edit("t", 0, "a floor lamp"))
    assert [c.title for c in a.conversations("anonymous")] == ["a floor lamp"]
    assert a.undo("t") == DialogueState() and b.conversations("anonymous") == []
    say(a, "t", "a \0 desk lamp")
    a.delete("t", user="anonymous")
    assert b.state("t") == DialogueState() and b.conversations("anonymous") == []
    begun = a.begin("ann", state=before)  # as the API does it
    assert b.state(begun).turns == before.turns and b.state(begun).user == "ann"
    done(b.turn(begun, "something under 200 €", user="ann"))
    assert [c.thread for c in a.conversations("ann")] == [begun]


def test_one_turn_at_a_time_over_all_replicas(url: str) -> None:
    here, go = threading.Event(), threading.Event()

    def wait(piece: int) -> None:
        here.set()
        assert go.wait(WAIT_S)

    a, b = agent(url, Plain(wait)), agent(url)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(say, a, "t", "a desk lamp")
        assert here.wait(WAIT_S)
        assert b.busy("t") and a.busy("t") and not b.busy("other")
        quick = pool.submit(say, b, "t", "anything else?")
        assert say(b, "other", "hello").act  # another conversation waits for nobody
        assert not quick.done()
        go.set()
        slow.result(WAIT_S)
        quick.result(WAIT_S)
    assert [t.text for t in b.state("t").turns if t.role == "user"] == [
        "a desk lamp",
        "anything else?",
    ]
    assert not b.busy("t") and not a.busy("t")
    a.close()
    b.close()


def test_stop_reaches_the_replica_that_answers(url: str) -> None:
    here, go = threading.Event(), threading.Event()

    def wait(piece: int) -> None:
        if piece == 1:
            here.set()
            assert go.wait(WAIT_S)

    a, b = agent(url, Plain(wait)), agent(url)
    assert not b.stop("t")
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(say, a, "t", "a desk lamp")
        assert here.wait(WAIT_S)
        assert b.stop("t")
        place = a._threads._places["t"]
        assert place.stop is not None and place.stop.wait(WAIT_S)
        go.set()
        assert turn.result(WAIT_S).stopped
    a.close()
    b.close()


class Killed(Junk):
    """A model at which the process is killed, as by the kernel: no clean-up runs."""

    def __init__(self, at: int) -> None:
        self.left = at

    def generate(self, requests: Any, on_text: Any = None) -> Any:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(requests, on_text)


def run_until_killed(url: str, what: str, ready: Signal) -> None:
    a = agent(url, Killed(at=4))  # two turns of two calls go well
    say(a, "t", "hello")
    say(a, "t", "something under 200 €")
    ready.set()
    if what == "turn":
        list(a.turn("t", "under 100 €"))
    elif what == "retry":
        list(a.retry("t"))
    elif what == "edit":
        list(a.edit("t", 0, "a floor lamp"))
    elif what == "act":
        list(a.act("t", NotThis(item_id=a.state("t").slate.item_ids[0])))


SAID = {
    "turn": ["hello", "something under 200 €", "under 100 €"],
    "retry": ["hello", "something under 200 €"],
    "edit": ["a floor lamp"],
    "act": ["hello", "something under 200 €", "Not Aurora"],
}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["turn", "retry", "edit", "act"])
def test_a_killed_replicas_turn_is_finished_by_another(url: str, what: str) -> None:
    # A helper process imports what is large once, and the four that are killed come from it.
    helper = multiprocessing.get_context("forkserver")
    helper.set_forkserver_preload(["agent.agent"])
    ready = helper.Event()
    process = helper.Process(target=run_until_killed, args=(url, what, ready))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL and ready.is_set()
    b = agent(url)
    state = b.resume("t")
    said = [t.text for t in state.turns if t.role == "user"]
    assert said == SAID[what]
    assert [t.role for t in state.turns] == ["user", "agent"] * len(said)
    assert say(b, "t", "thanks").role == "agent"
    b.close()


def test_a_restarted_database_loses_nothing(server: Postgres, pair: tuple[Agent, Agent]) -> None:
    a, b = pair
    say(a, "t", "a desk lamp")
    server.restart()
    assert say(b, "t", "anything else?").role == "agent"
    server.kill()
    server.start()
    assert say(a, "t", "thanks").role == "agent"
    assert len(b.state("t").turns) == 6
    assert b.stop("t") is False


def test_a_turn_that_lost_its_lock_cannot_write(server: Postgres, url: str) -> None:
    """The database restarts in the middle of a turn; another replica takes over; the first one,
    which still runs, must not write a step of its own into the conversation."""
    here, go = threading.Event(), threading.Event()

    def wait(piece: int) -> None:
        here.set()
        assert go.wait(WAIT_S)

    a, b = agent(url, Plain(wait)), agent(url)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(say, a, "t", "a desk lamp")
        assert here.wait(WAIT_S)
        server.restart()
        assert b.graph.get_state(thread_config("t")).next == ("respond",)
        assert len(b.resume("t").turns) == 2
        last = say(b, "t", "a floor lamp")
        after = b.state("t")
        go.set()
        with pytest.raises(MemoryError_, match="does not answer"):
            slow.result(WAIT_S)
    assert a.state("t") == b.state("t") == after and after.turns[-1] == last
    assert say(a, "t", "thanks").role == "agent"  # and it goes on without a restart
    a.close()
    b.close()


def test_a_backup_restores_into_a_new_server(server: Postgres, url: str) -> None:
    """As docs/operations.md says it."""
    a = agent(url)
    say(a, "t", "a desk lamp")
    before = a.state("t")
    dump = server.program("pg_dump", "--format=custom", url)
    say(a, "t", "anything else?")
    a.close()
    with Postgres() as fresh:
        other = fresh.database("restored")
        fresh.program("pg_restore", "--no-owner", "--dbname", other, given=dump)
        b = agent(other)
        assert b.state("t") == before and [c.messages for c in b.conversations("anonymous")] == [2]
        assert say(b, "t", "thanks").role == "agent"
        b.close()


def test_many_replicas_may_set_up_a_new_database_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda _: agent(url), range(4)))
    for k, one in enumerate(several):
        say(one, f"t{k}", "hello")
        one.close()


def test_thirty_two_at_once_over_two_replicas(pair: tuple[Agent, Agent]) -> None:
    def chat(k: int) -> bool:
        thread, user = f"t{k}", f"u{k}"
        first = items(done(pair[k % 2].turn(thread, "a desk lamp", user=user)))
        done(pair[(k + 1) % 2].act(thread, NotThis(item_id=first[0]), user=user))
        texts = [t.text for t in pair[k % 2].state(thread).turns if t.role == "user"]
        mine = [c.thread for c in pair[k % 2].conversations(user)]
        return len(texts) == 2 and mine == [thread]

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(chat, range(32)))


def test_what_cannot_be_used_is_said_without_the_password(url: str) -> None:
    with pytest.raises(MemoryError_, match="PARLEY_DATABASE is no PostgreSQL URL") as caught:
        agent("postgresql://me:secret@[")
    assert "secret" not in str(caught.value)
    missing = url.replace("parley@", "parley:secret@") + "x"
    with psycopg.connect(url) as there:
        assert there.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(AgentError, match=r'database "t\d+x" does not exist|does not answer') as no:
        agent(missing)
    assert "secret" not in str(no.value)
