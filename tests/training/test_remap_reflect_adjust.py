"""Remap, reflect, adjust: known answers on the lamp shop, and a real local teacher."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tests.agent.lamps import lamps
from training.remap_reflect_adjust import (
    TeacherError,
    adjust,
    endpoint_ratings,
    parse_ratings,
    reflect,
    remap,
    retrieval_lists,
    slates,
)
from training.rl_prompts import Prompt, Prompts


def prompt(targets: list[int], gone: list[int], said: int | None = None) -> Prompt:
    vectors = lamps().vectors
    top = np.array([row for row in range(8) if row not in gone])
    shares = np.arange(len(top), 0, -1) / np.arange(len(top) + 1).sum()
    vector = np.zeros(384, np.float32) if said is None else vectors[said]
    return Prompt(np.arange(3), top, shares, np.array(gone), np.array(targets), vector, 0.05)


def test_a_listed_item_scores_by_its_place_and_lifts_what_is_like_it() -> None:
    vectors, nothing = lamps().vectors, np.zeros(384, np.float32)
    scores = remap([0], vectors, nothing)
    assert scores[0] == pytest.approx(2.0, abs=1e-5)  # itself alike, and exactly itself
    assert np.argsort(-scores)[:2].tolist() == [0, 1]  # Borealis is close to Aurora
    second = remap([4, 0], vectors, nothing)[0] - remap([4], vectors, nothing)[0]
    assert second == pytest.approx(2 / np.sqrt(2), abs=1e-5)
    assert remap([], vectors, vectors[5])[5] == pytest.approx(1.0, abs=1e-5)


def test_ratings_move_scores_by_half_and_wrong_ones_are_refused() -> None:
    scores = np.zeros(4, np.float32)
    assert reflect(scores, [1, 3], [2, -1]).tolist() == [0, 1.0, 0, -0.5]
    assert reflect(scores, [1], None).tolist() == [0, 0, 0, 0]
    with pytest.raises(TeacherError, match="3"):
        reflect(scores, [1], [3])


def test_adjusting_raises_what_people_took_and_leaves_the_rest_near() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(30, 6)).astype(np.float32)
    fitted = adjust(scores, [[2]] * 30)
    assert fitted.after < fitted.before - 0.5
    assert int(np.argmax(fitted.bias)) == 2
    assert np.abs(np.delete(fitted.weight, 2) - 1).max() < 1.5


def test_slates_hold_the_wanted_item_first_and_nothing_that_may_not_be_shown() -> None:
    catalog = lamps()
    prompts = Prompts.pack([prompt([6], [0, 1]) for _ in range(12)], "lamps")
    made, fitted = slates(prompts, catalog, retrieval_lists, None, n=4)
    assert fitted.after < fitted.before
    assert all(slate[0] == 6 for slate in made)
    assert not {0, 1} & {row for slate in made for row in slate}


def test_a_teachers_lines_are_read_and_babble_is_none() -> None:
    assert parse_ratings("1. +2\n3) -1\n 2: 0\n9. 2", 3) == [2, 0, -1]
    assert parse_ratings("I like the first one.", 3) is None


@pytest.fixture
def teacher() -> Iterator[str]:
    """A real server that rates whatever stands under Glow highest."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            lines = body["messages"][0]["content"].splitlines()
            rated = [line.split(". ")[0] + ". 2" for line in lines if line.endswith(". Glow")]
            answer = {"choices": [{"message": {"content": "\n".join(rated)}}], "usage": {}}
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_a_teacher_at_an_endpoint_corrects_the_list(teacher: str) -> None:
    catalog = lamps()
    rate = endpoint_ratings(teacher, "m", catalog)
    rows = [0, 6, 3]
    assert rate(prompt([2], [5]), rows) == [0, 2, 0]
