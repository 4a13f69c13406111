"""Suggestions while typing: one GET route, and the script that shows what it answers.

    app.router.routes.extend(suggest.routes(agent))
    <textarea data-suggest="message">, page/static/suggest.js and suggest.css

The browser sends the end of what stands before the caret; the last one to four words of it are
looked up in ``tools.suggest``, and each answer says which words it would replace. Looking up
runs in a few threads of its own and gives way under load: a page without suggestions is as
good as before, a chat that waits for them is not. Nothing of a conversation is read or kept.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agent.agent import Agent
from catalog.items import Catalog
from tools.names import fold, rank
from tools.suggest import Suggester, Suggestion, folded

PATH = "/parley/suggest"
MAX_QUERY = 200  # characters; the script sends the last 80 before the caret
MAX_WORDS = 4  # of a name that are looked up together
MIN_LETTERS = 2  # of the word at the caret
MIN_NEAR = 4  # letters from which a slip or a synonym is thought of
LIMIT = 8
SHARE = {"title": 4, "person": 2, "value": 2}  # of the limit, while there are others
POOL = 60  # names looked at: a frequent kind shall not crowd out the others
DOUBTFUL = 3  # suggestions for words that may stand beside each other by chance
EVERYDAY = 350  # words this common suggest nothing on their own, unless capitalised
AT_ONCE, WAITING = 2, 16  # look-ups running, and waiting before further ones are refused
ORDINALS = ("first", "second", "third", "fourth", "fifth", "last", "one")
WORDS = re.compile(r"[^\W_]+(?:[-'’.:&][^\W_]+)*")
HEADERS = {"Cache-Control": "no-store"}


class Completion(NamedTuple):
    """A suggestion and the typed words, the end of the query, that it would replace."""

    suggestion: Suggestion
    typed: str

    def as_json(self) -> dict[str, Any]:
        one = self.suggestion
        return {
            "text": one.text,
            "kind": one.kind,
            "detail": one.detail,
            "item_id": one.item_id,
            "typed": self.typed,
        }


def completions(
    suggest: Callable[[str, int], list[Suggestion]], before: str, limit: int = LIMIT
) -> list[Completion]:
    """What could stand in place of the last words of ``before``, the longest run of words first.

    Once a run that can hardly be chance leads somewhere, shorter ones are not looked up: after
    "spirited aw" nobody means Awkwafina. What is written as typed comes before what is reached
    by a slip or a synonym. Nothing after a space or a full stop, within two letters, or for an
    everyday word alone.
    """
    asis: list[Completion] = []
    near: list[Completion] = []
    for typed, telling in endings(before):
        new = [one for one in suggest(typed, POOL) if one.text.lower() != typed.lower()]
        written = [Completion(one, typed) for one in new if goes_on(typed, one.text)]
        asis += written if telling else written[:DOUBTFUL]
        if asis and telling:
            break
        if len(folded(typed)) >= MIN_NEAR:
            near = [Completion(one, typed) for one in new]  # of the shortest run, in the end
    return chosen(asis or near, limit)


def goes_on(typed: str, text: str) -> bool:
    """Do the typed words stand in this name, the last one as the beginning of a word?"""
    return f" {folded(typed)}" in f" {folded(text)}"


def chosen(found: list[Completion], limit: int) -> list[Completion]:
    """The first of each kind up to its share, then whatever is left; each name once.

    Titles, people, values: every kind has its place in the list, so that it can be read.
    """
    count: dict[str, int] = defaultdict(int)
    held: set[tuple[str, str, str | None]] = set()
    first: list[Completion] = []
    rest: list[Completion] = []
    for one in found:
        key = (one.suggestion.kind, one.suggestion.text.lower(), one.suggestion.item_id)
        if key in held:
            continue
        held.add(key)
        count[one.suggestion.kind] += 1
        (first if count[one.suggestion.kind] <= SHARE[one.suggestion.kind] else rest).append(one)
    kinds = list(SHARE)
    return sorted([*first, *rest][:limit], key=lambda one: kinds.index(one.suggestion.kind))


def endings(before: str) -> list[tuple[str, bool]]:
    """The last four, three, two and one words of ``before`` that are worth looking up.

    With each: is it telling, or may a name that has these words be chance ("with mo")?
    """
    words = list(WORDS.finditer(before))[-MAX_WORDS:]
    if not words or words[-1].end() != len(before):
        return []
    last = words[-1].group()
    if len(words) > 1 and words[-2].group() in ("the", "that") and points(last):
        return []  # "why the thi": one of the cards, not a title
    runs: list[tuple[str, bool]] = []
    for k, word in enumerate(words):
        if re.search(r"[.,;!?\n]", before[word.start() : words[-1].start()]):
            continue  # words on both sides of a stop or a comma are not one name
        alone = k == len(words) - 1
        common = everyday(word.group())
        short = len(last) < MIN_LETTERS and (alone or common)
        if not short and not (alone and common):
            runs.append((before[word.start() :], not common or k <= len(words) - 3))
    return runs


def points(word: str) -> bool:
    """May this lower-case word become "third"?"""
    return any(one.startswith(word) for one in ORDINALS)


def everyday(word: str) -> bool:
    """ "the", "with", "film": as written in running text, not meant as the start of a name."""
    return (word[0].islower() or word == "I") and rank(fold(word)) <= EVERYDAY


class Suggestions:
    """The index over the agent's catalogue; it takes up what changed there."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._lock = threading.Lock()
        self._held: tuple[Catalog, Suggester] | None = None

    def suggester(self) -> Suggester:
        catalog = self._agent.catalog
        with self._lock:
            if self._held is None or self._held[0] is not catalog:
                before = self._held
                made = before[1].grown(catalog) if before else Suggester(catalog)
                self._held = catalog, made
            return self._held[1]

    def __call__(self, before: str, titles: bool = False) -> list[Completion]:
        """For a message; with ``titles``, for a field that holds one title and nothing else."""
        if not titles:
            return completions(self.suggester().suggest, before)
        found = self.suggester().suggest(before, POOL)
        return [Completion(one, before) for one in found if one.kind == "title"][:LIMIT]


def routes(agent: Agent) -> list[Route]:
    """The page's one extra route, ``GET /parley/suggest?q=...``; give it to ``launch``.

    Answers ``{"suggestions": [{text, kind, detail, item_id, typed}]}``, 400 for a query over
    ``MAX_QUERY`` characters, 503 when too many look-ups wait already.
    """
    look_up = Suggestions(agent)
    look_up.suggester()  # the first person to type shall not wait for the index
    running = anyio.CapacityLimiter(AT_ONCE)

    async def answer(request: Request) -> JSONResponse:
        before = request.query_params.get("q", "")
        if len(before) > MAX_QUERY:
            return refusal(400, f"q has {len(before)} characters, at most {MAX_QUERY} are read.")
        if running.statistics().tasks_waiting >= WAITING:
            return refusal(503, "Too many suggestions are being looked up: type on.")
        titles = request.query_params.get("kind") == "title"
        found = await anyio.to_thread.run_sync(look_up, before, titles, limiter=running)
        return JSONResponse({"suggestions": [one.as_json() for one in found]}, headers=HEADERS)

    return [Route(PATH, answer, methods=["GET"])]


def refusal(status: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status_code=status, headers=HEADERS)
