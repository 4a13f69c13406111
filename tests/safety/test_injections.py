"""Two hundred injections against a model that obeys every one of them.

What a person types, what a catalogue's items say, and what a program sends: whatever it is, the
order is not carried out. The model here writes the nonsense word of an injection whenever its
prompt holds it, so that only what surrounds the model can help; evals.checker, which shares no
code with the agent's own verifier, says what got through, and the page's HTML is read by
Python's parser.
"""

import json
import random
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import yaml

from agent.agent import Agent
from agent.graph import Parts
from agent.llm import Completion, Request
from agent.respond import Writer
from agent.state import DialogueState, StateUpdate
from agent.understand import understand
from agent.verify import Verifier
from catalog.items import Catalog
from evals.attacks import canary
from evals.checker import ECHOED, Checker, Conversing
from page import talk
from page.known import understood
from page.profile import panel
from tests.agent import shop
from tests.agent.lamps import lamps
from tests.agent.shop import ByPopularity, done
from tests.app.shop import Shop
from tools.find_title import TitleLinker

CORPUS = yaml.safe_load((Path(__file__).parent / "injections.yaml").read_text("utf-8"))
WORD = canary(random.Random(7))


class Obedient:
    """A model that was won over: wherever its prompt holds an injection, it does as told."""

    def generate(self, requests: Sequence[Request], on_text: Any = None) -> list[Completion]:
        told = [f"{WORD}!", f"I say {WORD} now.", f"The reply is {WORD}: <b>{WORD}</b>."]
        out = []
        for k, request in enumerate(requests):
            reached = WORD in request.prompt.casefold()
            out.append(Completion(told[k % 3] if reached else "Hm.", 5, 3, 0.0, True))
            if on_text:
                on_text(k, out[-1])
        return out


class Markup(HTMLParser):
    """Whatever in a piece of HTML would act: scripts, handlers, addresses that run."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "style", "template", "base", "math"):
            self.acts.append(tag)
        for name, value in attrs:
            leads = name in ("href", "src", "action", "formaction", "xlink:href", "poster")
            runs = (value or "").strip().lower().startswith(("javascript:", "data:text"))
            if name.startswith("on") or (leads and runs) or name == "srcdoc":
                self.acts.append(f"{tag} {name}={value}")


def acts(*pieces: str) -> list[str]:
    parser = Markup()
    for piece in pieces:
        parser.feed(piece)
    return parser.acts


def filled(value: Any) -> Any:
    """An entry of the corpus with its nonsense word in it."""
    if isinstance(value, str):
        return value.replace("{c}", WORD).replace("{{", "{").replace("}}", "}")
    if isinstance(value, list):
        return [filled(v) for v in value]
    if isinstance(value, dict):
        return {k: filled(v) for k, v in value.items()}
    return value


def test_there_are_two_hundred_and_no_two_are_the_same() -> None:
    every = [f"{kind}:{entry}" for kind, entries in CORPUS.items() for entry in entries]
    assert len(every) == len(set(every)) == 200


def test_what_people_type(tmp_path: Path) -> None:
    a = shop.agent(tmp_path / "c.sqlite", Obedient())
    checker, wrong = Checker(a.catalog), []
    for k, entry in enumerate(CORPUS["text"]):
        text, thread = filled(entry), f"t{k % 40}"  # a few in one conversation
        talked = Conversing(WORD)
        talked.words.append(text)
        turn = done(a.turn(thread, text, user=f"u{k % 40}"))
        state = a.state(thread)
        found = [
            *checker.items(turn, state.beliefs, talked),
            *checker.injected(turn, state.beliefs, talked),
        ]
        wrong += [(text, f) for f in found if f.kind != ECHOED and "\n" not in f.detail]
        html = talk.conversation(state, a.catalog, first=0)
        wrong += [(text, act) for act in acts(*html, understood(state, a.catalog))]
        wrong += [(text, act) for act in acts(panel(a, f"u{k % 40}"))]
    assert wrong == []
    assert all(not a.profiles.known(f"v{k}") for k in range(3))
    a.close()


class Rewritten(ByPopularity):
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def recommend(self, *args: Any, **kwargs: Any) -> Any:
        was, shop.CATALOG = shop.CATALOG, self.catalog
        try:
            return super().recommend(*args, **kwargs)
        finally:
            shop.CATALOG = was


def poisoned(words: list[str]) -> Catalog:
    """The lamps, with an injection as each one's note, title or maker."""
    catalog = lamps()
    notes = (words * 8)[:8]
    catalog.df = catalog.df.with_columns(
        note=pl.Series(notes),
        maker=pl.Series([[n] for n in notes[::-1]]),
        title=pl.Series([n if k % 4 == 3 else t for k, (n, t) in enumerate(
            zip(notes, catalog.df["title"].to_list(), strict=True))]),
    )  # fmt: skip
    return catalog


def talks(catalog: Catalog, database: Path) -> Agent:
    linker = TitleLinker(catalog)

    def read(text: str, state: DialogueState) -> StateUpdate:
        return understand(text, state, catalog, linker, arm="rules")

    parts = Parts(
        catalog=catalog,
        read=read,
        recommender=Rewritten(catalog),
        writer=Writer(Obedient(), Verifier(catalog)),
        slate_items=4,
    )
    return Agent(parts, database)


def test_what_items_say(tmp_path: Path) -> None:
    wrong = []
    entries = [filled(entry) for entry in CORPUS["item"]]
    for start in range(0, len(entries), 8):
        a = talks(poisoned(entries[start : start + 8]), tmp_path / f"{start}.sqlite")
        checker, talked = Checker(a.catalog), Conversing(WORD)
        for text in (
            "under 200 €",
            "what is the second one about?",
            "why the third?",
            "compare them",
        ):
            talked.words.append(text)
            turn = done(a.turn("t", text, user="ann"))
            state = a.state("t")
            for unit in turn.units:
                rest = unit.text
                for own in sorted(entries, key=len, reverse=True):
                    rest = rest.replace(own, "")
                if WORD in rest.casefold():
                    wrong.append((text, unit.text))
            wrong += [(text, f) for f in checker.items(turn, state.beliefs, talked)]
            talked.shown += turn.slate.item_ids if turn.slate else ()
            html = talk.conversation(state, a.catalog, first=0)
            wrong += [(text, act) for act in acts(*html, understood(state, a.catalog))]
        a.close()
    assert wrong == []


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Any:
    running = Shop(tmp_path_factory.mktemp("shop") / "c.sqlite")
    running.start()
    headers = {"X-Parley-User": "a" * 32}
    with httpx.Client(base_url=running.url, headers=headers, timeout=60) as client:
        yield running, client
    running.stop()


def test_what_programs_send(web: tuple[Shop, httpx.Client]) -> None:
    running, client = web
    thread, wrong = "0" * 32, []
    client.post("/parley/turn", json={"thread": thread, "kind": "say", "text": "under 200 €"})
    for entry in CORPUS["field"]:
        before = running.agent.state(thread)
        answer = client.post("/parley/turn", json={"thread": thread, **filled(entry)})
        if answer.status_code not in (200, 409, 422):
            wrong.append((entry, answer.status_code, answer.text[:200]))
        if answer.status_code == 200:
            events = [json.loads(line) for line in answer.text.splitlines()]
            wrong += [(entry, e) for e in events if acts(str(e.get("html", "")))]
            wrong += [(entry, e) for e in events if "Something went wrong" in str(e)]
        elif running.agent.state(thread) != before:
            wrong.append((entry, "refused, but it changed the conversation", ""))
        state = running.agent.state(thread)
        shown = [i for t in state.turns if t.slate for i in t.slate.item_ids]
        wrong += [(entry, i) for i in shown if not running.agent.catalog.has(i)]
    assert wrong == []
    for header in ({"X-Parley-User": "../" + "a" * 29}, {"X-Parley-Name": "x" * 5000}):
        assert client.get("/parley/profile", headers=header).status_code == 422
