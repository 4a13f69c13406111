"""A real OpenAI-compatible server on this machine, whose model is a function of the prompt."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str], str]


class Prompts(list[str]):
    """The prompts that came in; ``bodies`` are the whole requests."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, Prompts]]:
    """Its address, and what it was sent."""
    prompts = Prompts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompts.bodies.append(body)
            prompts.append(body["messages"][0]["content"])
            choice = {"message": {"content": answer(prompts[-1])}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 100, "completion_tokens": 10}
            self._give({"choices": [choice], "usage": usage})

        def do_GET(self) -> None:
            self._give({"object": "list", "data": [{"id": "a-function", "object": "model"}]})

        def _give(self, answered: dict[str, Any]) -> None:
            raw = json.dumps(answered).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/v1", prompts
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
