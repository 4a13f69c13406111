"""The language models behind one protocol: masks, batches, streaming, a real local server."""

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from agent.errors import LLMError
from agent.llm import (
    BatchingLLM,
    Completion,
    EndpointLLM,
    OnText,
    Request,
    ScriptedLLM,
    TransformersLLM,
)
from tests.tiny_lm import tiny_folder
from tools.small_model import LoadedModel, load_small
from tools.tokens import EOS, SLOTS, SPECIAL


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_small(tiny_folder(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def small(loaded: LoadedModel) -> TransformersLLM:
    return TransformersLLM(loaded)


def specials_in(text: str) -> set[str]:
    return {token for token in SPECIAL if token in text}


def test_only_allowed_slots_are_ever_written(small: TransformersLLM) -> None:
    allowed = frozenset({"<i1.title>", "<m2>"})
    requests = [
        Request(f"<task:reply>{k}<out>", 40, temperature=3.0, seed=k, allowed_slots=allowed)
        for k in range(12)
    ]
    texts = [c.text for c in small.generate(requests)]
    assert all(specials_in(text) <= allowed for text in texts)
    # At this temperature the allowed ones do get written, so the test has teeth.
    free = [Request(r.prompt, 40, temperature=3.0, seed=r.seed) for r in requests]
    assert any(specials_in(c.text) for c in small.generate(free))
    assert all(specials_in(c.text) <= set(SLOTS) for c in small.generate(free))


def test_a_once_slot_is_written_once(small: TransformersLLM, loaded: LoadedModel) -> None:
    slot = frozenset({"<m1>"})
    table = loaded.model.lm_head.weight
    row = int(loaded.tokenizer.convert_tokens_to_ids("<m1>"))
    before = table[row].clone()
    with torch.no_grad():
        hidden = loaded.model.model(torch.tensor([loaded.encode("Do")])).last_hidden_state[0, -1]
        table[row] = hidden * 5
    try:
        many = small.generate([Request("Do", 8, allowed_slots=slot)])[0]
        once = small.generate([Request("Do", 8, allowed_slots=slot, once_slots=slot)])[0]
    finally:
        with torch.no_grad():
            table[row] = before
    assert many.text.count("<m1>") > 1
    assert once.text.count("<m1>") == 1


def test_greedy_equals_a_plain_forward(small: TransformersLLM, loaded: LoadedModel) -> None:
    ids = loaded.encode("Do you want")
    banned = [i for t, i in loaded.tokenizer.get_vocab().items() if t in SPECIAL and t != EOS]
    wanted: list[int] = []
    for _ in range(10):
        with torch.no_grad():
            logits = loaded.model(torch.tensor([ids + wanted])).logits[0, -1]
        logits[banned] = -torch.inf
        if int(logits.argmax()) == loaded.eos:
            break
        wanted.append(int(logits.argmax()))
    got = small.generate([Request("Do you want", 10, allowed_slots=frozenset())])[0]
    assert got.text == str(loaded.tokenizer.decode(wanted)).strip()
    assert got.prompt_tokens == len(ids)


def test_a_completion_does_not_depend_on_its_neighbours(small: TransformersLLM) -> None:
    requests = [
        Request("I like", 12, temperature=0.8, top_p=0.9, seed=5),
        Request("What is it about? It is about a family", 3),
        Request("Here", 25, temperature=0.8, seed=7),
    ]
    together = [c.text for c in small.generate(requests)]
    alone = [small.generate([r])[0].text for r in requests]
    assert together == alone


def test_each_completion_is_reported_when_done_shortest_first(small: TransformersLLM) -> None:
    seen: list[tuple[int, int]] = []
    requests = [Request("I like", n) for n in (9, 2, 5)]
    completions = small.generate(requests, lambda k, c: seen.append((k, c.tokens)))
    assert sorted(k for k, _ in seen) == [0, 1, 2]
    assert [t for _, t in seen] == sorted(t for _, t in seen)
    assert [c.tokens for c in completions] == [dict(seen)[k] for k in range(3)]
    assert all(
        c.finished == (c.tokens < r.max_tokens) for c, r in zip(completions, requests, strict=True)
    )


def test_a_stop_string_ends_and_is_cut_off(small: TransformersLLM) -> None:
    whole = small.generate([Request("Here is", 20)])[0].text
    stop = whole[4:6]
    cut = small.generate([Request("Here is", 20, stop=(stop,))])[0]
    assert cut.text == whole[: whole.find(stop)].strip() and cut.finished


def test_the_nucleus_of_nothing_is_the_best_token(small: TransformersLLM) -> None:
    greedy = small.generate([Request("I like", 10)])[0].text
    assert small.generate([Request("I like", 10, temperature=1.0, top_p=1e-9)])[0].text == greedy


def test_no_requests_no_work_and_bad_requests_are_named(small: TransformersLLM) -> None:
    assert small.generate([]) == []
    with pytest.raises(LLMError, match="prompt of 0 tokens"):
        small.generate([Request("")])
    with pytest.raises(LLMError, match="<nonsense>"):
        small.generate([Request("Hi", allowed_slots=frozenset({"<nonsense>"}))])


def test_the_script_says_its_lines_and_then_fails() -> None:
    scripted = ScriptedLLM(["one two", "three"])
    seen: list[int] = []
    texts = [
        c.text for c in scripted.generate([Request("a"), Request("b")], lambda k, _: seen.append(k))
    ]
    assert texts == ["one two", "three"] and seen == [0, 1]
    assert [r.prompt for r in scripted.requests] == ["a", "b"]
    with pytest.raises(LLMError, match="script is over"):
        scripted.generate([Request("c")])


class Echo:
    """Repeats prompts, last first; optionally waits until released."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.fail = False

    def generate(
        self, requests: Sequence[Request], on_text: OnText | None = None
    ) -> list[Completion]:
        self.gate.wait(5)
        if self.fail:
            raise LLMError("the model is gone; start it")
        done = [Completion(r.prompt.upper(), 1, 1, 0.0, True) for r in requests]
        for k in reversed(range(len(done))):
            if on_text is not None:
                on_text(k, done[k])
        return done


def test_concurrent_calls_are_merged_and_come_back_to_their_callers() -> None:
    echo = Echo()
    batching = BatchingLLM(echo, window=0.05)
    answers: dict[int, list[str]] = {}

    def ask(k: int) -> None:
        requests = [Request(f"{k}a"), Request(f"{k}b")]
        answers[k] = [c.text for c in batching.generate(requests)]

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    echo.gate.set()
    for thread in threads:
        thread.join()
    batching.close()
    assert answers == {k: [f"{k}A", f"{k}B"] for k in range(8)}
    assert sum(batching.batches) == 16 and len(batching.batches) < 8


def test_an_error_reaches_every_caller_and_the_next_call_works() -> None:
    echo = Echo()
    echo.gate.set()
    batching = BatchingLLM(echo)
    echo.fail = True
    with pytest.raises(LLMError, match="gone"):
        batching.generate([Request("a")])
    echo.fail = False
    assert batching.generate([Request("a")])[0].text == "A"
    batching.close()
    with pytest.raises(LLMError, match="closed"):
        batching.generate([Request("a")])


def test_a_failing_callback_hurts_only_its_own_caller() -> None:
    echo = Echo()
    echo.gate.set()
    batching = BatchingLLM(echo)

    def explode(_k: int, _c: Completion) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        batching.generate([Request("a")], explode)
    assert batching.generate([Request("b")])[0].text == "B"
    batching.close()


class Server(BaseHTTPRequestHandler):
    """A small chat endpoint: fails as often as told, then answers in capitals."""

    failures = 0
    status = 503
    asked: list[dict[str, object]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = type(self)
        kind.asked.append({**body, "key": self.headers.get("Authorization")})
        if kind.failures:
            kind.failures -= 1
            self._answer(kind.status, {"error": "busy"})
        elif body["model"] == "odd":
            self._answer(200, {"choices": []})
        else:
            text = body["messages"][0]["content"].upper()
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 4}
            self._answer(200, {"choices": [choice], "usage": usage})

    def _answer(self, status: int, payload: dict[str, object]) -> None:
        data = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Server.failures, Server.status, Server.asked = 0, 503, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def endpoint(url: str, model: str = "m") -> EndpointLLM:
    return EndpointLLM(url, model, "secret", timeout=5, pause=0.01)


def test_an_endpoint_answers_a_batch_in_order(url: str) -> None:
    llm = endpoint(url)
    seen: list[int] = []
    prompts = [f"p{k}" for k in range(5)]
    done = llm.generate([Request(p, 7, stop=(".",)) for p in prompts], lambda k, _: seen.append(k))
    llm.close()
    assert [c.text for c in done] == [p.upper() for p in prompts]
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert done[0].tokens == 4 and done[0].prompt_tokens == 3 and done[0].finished
    assert Server.asked[0]["key"] == "Bearer secret"
    assert Server.asked[0]["max_tokens"] == 7 and Server.asked[0]["stop"] == ["."]


def test_a_busy_endpoint_is_tried_again(url: str) -> None:
    Server.failures = 2
    llm = endpoint(url)
    assert llm.generate([Request("hi")])[0].text == "HI"
    llm.close()
    assert len(Server.asked) == 3


@pytest.mark.parametrize(("status", "tries"), [(401, 1), (500, 4)])
def test_a_refusal_names_status_and_remedy(url: str, status: int, tries: int) -> None:
    Server.failures, Server.status = 9, status
    llm = endpoint(url)
    with pytest.raises(LLMError, match=rf"{status}.*PARLEY_ENDPOINT_URL"):
        llm.generate([Request("hi")])
    llm.close()
    assert len(Server.asked) == tries


def test_what_is_no_chat_completion_is_said(url: str) -> None:
    llm = endpoint(url, "odd")
    with pytest.raises(LLMError, match="no chat completion"):
        llm.generate([Request("hi")])
    llm.close()


def test_no_server_at_all() -> None:
    llm = endpoint("http://127.0.0.1:9/v1")
    with pytest.raises(LLMError, match="cannot be reached"):
        llm.generate([Request("hi")])
    llm.close()
