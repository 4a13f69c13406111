"""What compose.yaml promises, tried with real parts: nothing lost, nothing mixed.

`make test-topology`. The database is asked what it holds by this process itself, through the
code that the replicas use.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from agent.checkpoints import open_memory
from agent.graph import build
from agent.memory import Graph, load, thread_config
from agent.state import DialogueState
from tests.postgres import Postgres
from tests.topology.parts import Browser, Chroma, Gate, Nginx, Replica

pytestmark = [pytest.mark.slow, pytest.mark.topology, pytest.mark.timeout(900)]
ANN, BOB = "a" * 32, "b" * 32
Pair = tuple[Replica, Replica]


@pytest.fixture
def ann() -> Iterator[Browser]:
    with Browser(ANN) as browser:
        yield browser


@pytest.fixture
def bob() -> Iterator[Browser]:
    with Browser(BOB) as browser:
        yield browser


@pytest.fixture
def graph(database: Postgres) -> Iterator[Graph]:
    memory = open_memory(database.url)
    yield build(memory.saver)
    memory.close()


def said(state: DialogueState) -> list[str]:
    """The person's messages; every one of them has its one answer."""
    assert [t.role for t in state.turns] == ["user", "agent"] * (len(state.turns) // 2)
    return [t.text for t in state.turns if t.role == "user"]


def test_a_conversation_alternates_between_replicas(
    replicas: Pair, graph: Graph, ann: Browser, bob: Browser
) -> None:
    thread = "1" * 32
    messages = ["a funny film", "after 2000", "shorter, please", "thanks"]
    for k, message in enumerate(messages):
        events = ann.turn(replicas[k % 2].url, thread, message)
        assert events[-1]["kind"] == "done", events[-1]
    state = load(graph, thread)
    assert said(state) == messages
    shown = [i for t in state.turns if t.slate and t.act != "why" for i in t.slate.item_ids]
    assert shown and len(set(shown)) == len(shown)  # the second replica knows what was shown
    undone = ann.client.post(f"{replicas[0].url}/parley/undo", params={"thread": thread})
    assert undone.json()["text"] == "thanks" and said(load(graph, thread)) == messages[:3]
    for replica in replicas:  # and it is Ann's on both
        lists = ann.client.get(f"{replica.url}/parley/conversations").json()["html"]
        assert "a funny film" in lists
        asked = bob.client.get(f"{replica.url}/parley/conversation", params={"thread": thread})
        assert asked.status_code == 404


def test_both_replicas_at_once_mix_nothing(replicas: Pair, graph: Graph, ann: Browser) -> None:
    """Two messages to one conversation at the same moment, and others beside it."""
    threads = [f"{k:032x}" for k in range(0x20, 0x24)]

    def talk(k: int) -> None:
        for turn in range(2):
            replica = replicas[(k + turn) % 2]
            assert ann.turn(replica.url, threads[k // 2], f"m{k}.{turn}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(talk, range(8)))
    for place, thread in enumerate(threads):
        held = said(load(graph, thread))
        want = [f"m{k}.{turn}" for k in (2 * place, 2 * place + 1) for turn in range(2)]
        assert sorted(held) == want
        for k in (2 * place, 2 * place + 1):
            assert held.index(f"m{k}.0") < held.index(f"m{k}.1")


def test_a_replica_killed_in_the_middle_of_a_turn(
    replicas: Pair, nginx: Nginx, graph: Graph, gate: Gate, ann: Browser
) -> None:
    first = replicas[0]
    thread = "3" * 32
    ann.turn(first.url, thread, "a funny film")
    body = {"thread": thread, "kind": "say", "text": "something older"}
    try:
        with gate.held(), ann.client.stream("POST", f"{first.url}/parley/turn", json=body) as turn:
            kinds = (json.loads(line)["kind"] for line in turn.iter_lines())
            assert next(kinds) == "begin" and next(kinds) == "slate"
            gate.wait()
            first.kill()
            with pytest.raises(httpx.TransportError):
                list(kinds)
        assert graph.get_state(thread_config(thread)).next == ("respond",)
        last = load(graph, thread).turns[-1]
        assert (last.role, last.text) == ("user", "something older")
        # The same address goes on; whoever opens the conversation there has it finished.
        query = {"thread": thread}
        opened = ann.client.get(f"{nginx.url}/parley/conversation", params=query)
        assert opened.json()["running"]
        followed = ann.client.get(f"{nginx.url}/parley/follow", params=query)
        # Read to its end where it still runs; 204 where it was quicker than this request.
        assert followed.status_code in (200, 204)
        assert said(load(graph, thread)) == ["a funny film", "something older"]
        ann.turn(nginx.url, thread, "thanks")
    finally:
        first.start().wait()
    ann.turn(first.url, thread, "and another one")
    assert said(load(graph, thread))[1:] == ["something older", "thanks", "and another one"]


def test_the_database_restarts_in_the_middle(
    database: Postgres, replicas: Pair, nginx: Nginx, graph: Graph, gate: Gate, ann: Browser
) -> None:
    thread = "4" * 32
    ann.turn(replicas[0].url, thread, "a film about chess")
    before = load(graph, thread)
    database.restart()
    assert load(graph, thread) == before
    for replica, message in zip(replicas, ("after 1980", "funnier"), strict=True):
        assert ann.turn(replica.url, thread, message)[-1]["kind"] == "done"
    body = {"thread": thread, "kind": "say", "text": "older ones"}
    with ExitStack() as closing:
        with gate.held():
            asked = ann.client.stream("POST", f"{replicas[0].url}/parley/turn", json=body)
            turn = closing.enter_context(asked)
            gate.wait()
            database.kill()
            answer = httpx.get(f"{replicas[1].url}/health", timeout=30)
            assert answer.status_code == 503 and not answer.json()["parts"]["database"]["ok"]
            database.start()
        # The database is back, but the turn's own connection to it, and its lock, are not.
        *_, last = (json.loads(line) for line in turn.iter_lines())
    assert last["kind"] == "failed" and "does not answer" in last["html"]
    assert ann.turn(replicas[1].url, thread, kind="resume")[-1]["kind"] == "done"
    messages = ["a film about chess", "after 1980", "funnier", "older ones"]
    assert said(load(graph, thread)) == messages
    ann.turn(nginx.url, thread, "thanks")
    assert said(load(graph, thread)) == [*messages, "thanks"]


def test_nginx_gives_the_page_and_every_piece_as_it_comes(nginx: Nginx, ann: Browser) -> None:
    assert "Parley" in ann.client.get(f"{nginx.url}/").text
    events = ann.turn(nginx.url, "5" * 32, "a funny film")
    assert [events[0]["kind"], events[-1]["kind"]] == ["begin", "done"]
    assert ann.client.get(f"{nginx.url}/metrics").status_code == 403
    assert ann.client.get(f"{nginx.url}/health").json()["status"] == "ready"


def test_programs_are_spread_and_find_their_conversation(
    nginx: Nginx, graph: Graph, replicas: Pair
) -> None:
    """The REST API behind the one address: nginx sends each request to whom it likes."""
    with httpx.Client(base_url=f"{nginx.url}/api/v1", timeout=180) as program:
        begun = program.post("/conversations", json={})
        assert begun.status_code == 201, begun.text
        thread = begun.json()["thread"]
        messages = ["a funny film", "after 2000", "shorter, please"]
        for message in messages:
            answer = program.post(f"/conversations/{thread}/turns", json={"text": message})
            assert answer.status_code == 200, answer.text
    assert said(load(graph, thread)) == messages
    turns = [
        httpx.get(f"{r.url}/metrics").text.count("parley_turn_seconds_count{") for r in replicas
    ]
    assert all(turns)  # both have answered


def test_every_part_of_a_replica_is_ready(replicas: Pair) -> None:
    for replica in replicas:
        answer = httpx.get(f"{replica.url}/health", timeout=30)
        parts = answer.json()["parts"]
        assert answer.status_code == 200, parts
        assert parts["database"]["facts"] == {"kind": "postgresql"} and parts["index"]["ok"]


def test_without_the_chroma_server_turns_go_on(
    chroma: Chroma, replicas: Pair, graph: Graph, ann: Browser
) -> None:
    """The last test here: nobody starts the server again."""
    chroma.close()
    answer = httpx.get(f"{replicas[0].url}/health", timeout=30)
    assert answer.status_code == 503 and not answer.json()["parts"]["index"]["ok"]
    assert httpx.get(f"{replicas[0].url}/health/live", timeout=30).status_code == 200
    thread = "6" * 32
    assert ann.turn(replicas[0].url, thread, "a funny film")[-1]["kind"] == "done"
    turn = load(graph, thread).turns[-1]
    assert turn.slate is not None and turn.slate.item_ids
