"""Servers that misbehave, real ones on real sockets: a clear error in time, and recovery."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.engines.http import Endpoint, Refused
from agent.engines.probe import probe, split_model
from agent.errors import LLMError
from agent.llm import EndpointLLM, Request
from tests.agent.shop import agent, say

Answer = Callable[[socket.socket, bytes], None]
CHAT = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}


class Rogue:
    """A TCP server whose way of answering a test can change while it runs."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.calls = answer, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self.over = threading.Event()
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def _serve(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.closing(connection):
            data = b""
            while b"\r\n\r\n" not in data:
                part = connection.recv(65536)
                if not part:
                    return
                data += part
            head, _, body = data.partition(b"\r\n\r\n")
            wanted = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
            size = int(wanted[0].split(b":")[1]) if wanted else 0
            while len(body) < size:
                body += connection.recv(65536)
            self.calls += 1
            with contextlib.suppress(OSError):  # the client has hung up, as it should
                self.answer(connection, head)

    def close(self) -> None:
        self.over.set()
        # A plain close would not wake the thread that waits for a connection.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._serving.join()


def whole(payload: Any, status: str = "200 OK") -> Answer:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()

    def answer(connection: socket.socket, _: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + data)

    return answer


def killed(connection: socket.socket, _: bytes) -> None:
    """Dies in the middle of its answer."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b'{"choices": [')


def hanging(connection: socket.socket, _: bytes) -> None:
    """Says nothing for as long as the client listens."""
    connection.settimeout(20)
    connection.recv(1)


def dribbling(connection: socket.socket, _: bytes) -> None:
    """One byte now and then, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.05)


def late(connection: socket.socket, head: bytes) -> None:
    time.sleep(0.2)
    whole(CHAT)(connection, head)


@pytest.fixture
def rogue() -> Iterator[Rogue]:
    server = Rogue(whole(CHAT))
    yield server
    server.close()


def asked(server: Rogue, timeout: float = 0.6, **more: Any) -> EndpointLLM:
    return EndpointLLM(server.url, "m", timeout=timeout, pause=0.01, **more)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (killed, "cannot be reached"),
        (hanging, "did not answer within 0.6 s"),
        (dribbling, "did not answer within 0.6 s"),
        (whole({"error": "boom"}, "500 Internal Server Error"), "500"),
        (whole(b"<html>welcome</html>"), "no JSON"),
        (whole({"hello": 1}), "no chat completion"),
        (whole([1, 2]), "no chat completion"),
        (whole({"choices": [{"message": {"content": 7}}]}), "no chat completion"),
        (whole(b"\xff\xfe\x00"), "no JSON"),
        (whole({"error": "no key"}, "401 Unauthorized"), "401.*key"),
    ],
)
def test_what_goes_wrong_is_said_in_time_and_the_next_call_works(
    rogue: Rogue, answer: Answer, said: str
) -> None:
    llm = asked(rogue)
    rogue.answer = answer
    with pytest.raises(LLMError, match=said):
        llm.generate([Request("hi")])
    rogue.answer = whole(CHAT)
    assert llm.generate([Request("hi")])[0].text == "Hello."
    llm.close()


def test_a_slow_first_byte_is_waited_for(rogue: Rogue) -> None:
    rogue.answer = late
    llm = asked(rogue, timeout=10)
    assert llm.generate([Request("hi")])[0].text == "Hello."
    llm.close()


def test_a_request_has_no_more_time_than_its_turn(rogue: Rogue) -> None:
    rogue.answer = hanging
    llm = asked(rogue, timeout=30)
    with pytest.raises(LLMError, match=r"within 0\.3 s"):
        llm.generate([Request("hi", seconds=0.3)])
    llm.close()


def test_a_failing_server_is_left_alone_for_a_while_and_then_tried_again(rogue: Rogue) -> None:
    rogue.answer = whole({}, "503 Service Unavailable")
    endpoint = Endpoint(rogue.url, timeout=5, attempts=1, trip=2, rest_s=0.3)
    for _ in range(2):
        with pytest.raises(LLMError, match="503"):
            endpoint.post("/x", {})
    with pytest.raises(LLMError, match="left alone"):
        endpoint.post("/x", {})
    assert rogue.calls == 2  # the third was not sent
    rogue.answer = whole(CHAT)
    time.sleep(0.35)
    assert endpoint.post("/x", {}) == CHAT
    endpoint.close()


def test_a_bad_request_is_no_fault_of_the_server(rogue: Rogue) -> None:
    rogue.answer = whole({"error": "bad"}, "400 Bad Request")
    endpoint = Endpoint(rogue.url, attempts=1, trip=1)
    for _ in range(3):
        with pytest.raises(Refused, match="400"):
            endpoint.post("/x", {})
    endpoint.close()


def test_a_turn_ends_with_the_message_and_goes_on_when_the_server_is_back(
    rogue: Rogue, tmp_path: Path
) -> None:
    llm = asked(rogue, timeout=0.5)
    shop = agent(tmp_path / "c.sqlite", llm)
    rogue.answer = killed
    with pytest.raises(LLMError, match="cannot be reached"):
        say(shop, "t", "a desk lamp please")
    assert [t.text for t in shop.state("t").turns] == ["a desk lamp please"]
    rogue.answer = whole(CHAT)
    turn = say(shop, "t", "a floor lamp instead")
    state = shop.state("t")
    assert [t.text for t in state.turns if t.role == "user"] == [
        "a desk lamp please",
        "a floor lamp instead",
    ]
    assert turn.units and {t.role for t in state.turns} == {"user", "agent"}
    shop.close()
    llm.close()


def routes(table: dict[str, Any]) -> Answer:
    """Another answer for each path; 404 for others."""

    def answer(connection: socket.socket, head: bytes) -> None:
        path = head.split(b" ")[1].decode()
        found = table.get(path)
        whole(found if found is not None else {}, "200 OK" if found else "404 Not Found")(
            connection, head
        )

    return answer


@pytest.mark.parametrize("holds", [True, False])
def test_a_plain_server_is_asked_what_it_can_do(rogue: Rogue, holds: bool) -> None:
    content = '{"ok": true, "why": "asked"}' if holds else 'Sure! {"ok": true}'
    chat = {"choices": [{"message": {"content": content}}]}
    rogue.answer = routes({"/v1/models": {"data": [{"id": "big"}]}, "/v1/chat/completions": chat})
    endpoint = Endpoint(rogue.url, attempts=1)
    found = probe(endpoint)
    assert (found.model, found.ours, found.slates, found.schema) == ("big", False, False, holds)
    assert any("slate processor" in said for said in found.missing)
    assert any("JSON schema" in said for said in found.missing) is not holds
    with pytest.raises(LLMError, match="has no model 'small', but big"):
        probe(endpoint, "small")
    endpoint.close()


def test_an_address_may_name_its_model() -> None:
    assert split_model("http://h:8000/v1#a/b") == ("http://h:8000/v1", "a/b")
    assert split_model("http://h:8000/v1/") == ("http://h:8000/v1", "")
