# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""The intent of a turn: what was found in it, and what the agent had just done."""

import re
from typing import Final, Literal

from agent.reading import intents
from agent.reading.pieces import Reading
from agent.reading.refs import focus_item
from agent.state import Intent, Mention, Question, StateUpdate
from catalog.filters import Clause
from tools.names import tokens


def decide_intent(r: Reading, u: StateUpdate, pointing: bool) -> StateUpdate:
    """The intent that fits what was found and what the agent did last."""
    shown = bool(r.state.slate.item_ids)
    act = intents.last_act(r.state)
    content = bool(u.add or u.wishes or u.retract or u.about or u.avoid)
    if r.says("undo") and not u.add and not u.wishes:
        return _only("undo")
    if r.says("reset"):
        if u.add or u.wishes:
            return u.model_copy(update={"intent": "recommend", "retract": ("all",)})
        return _only("reset", retract=("all",))
    if act == "blocked":
        relaxed = _relax(r, u)
        if relaxed is not None:
            return relaxed
    if u.question is not None:
        kinds: dict[str, Intent] = {
            "why": "ask_why",
            "compare": "compare",
            "superlative": "compare",
            "which": "compare",
            "count": "compare",
        }
        return u.model_copy(update={"intent": kinds.get(u.question.kind, "ask_fact")})
    if act == "ask":
        asked = r.state.beliefs.asked[-1:] or ()
        if r.says("indifferent") and not u.add and not u.wishes and not u.mentions:
            indifferent = tuple(dict.fromkeys((*u.indifferent, *asked)))
            return u.model_copy(
                update={"intent": "answer", "indifferent": indifferent, "about": ()}
            )
        if (content or u.mentions) and not r.says("reset"):
            return u.model_copy(update={"intent": "answer"})
    return u.model_copy(update=_by_words(r, u, shown, content, pointing))


def _by_words(
    r: Reading, u: StateUpdate, shown: bool, content: bool, pointing: bool
) -> dict[str, object]:
    low = r.low
    firm = bool(u.add or u.wishes or u.retract or u.avoid)
    refused = any(m.attitude in ("reject", "seen", "dislike") for m in u.mentions)
    relative = any(m.relative for m in u.mentions)
    if shown and r.says("accept") and not firm and not refused and not relative:
        return _accepted(r, u)
    more = r.says("more") or (u.count is not None and not u.mentions)
    if shown and more and not firm and not u.about and not relative and not _named_off_slate(r, u):
        return {"intent": "more", "about": ()}
    if shown and (firm or relative):
        return {"intent": "critique"}
    if shown and (refused or r.says("reject")) and not u.about:
        return {"intent": "reject", "about": ()}
    if shown and (u.about or u.indifferent):
        return {"intent": "critique"}
    wants = r.says("recommend")
    chosen = len(u.mentions) == 1 and u.mentions[0].item_id in r.state.slate.item_ids
    plain = not (firm or refused or relative or u.about)
    if shown and chosen and plain and _assents(r, u):
        return _accepted(r, u)
    if (
        shown
        and chosen
        and pointing
        and plain
        and (len(r.toks) <= 4 or _CHOICE.search(low) or _PLEASE.search(low))
    ):
        if _CHOICE.search(low) or _PLEASE.search(low):
            return _accepted(r, u)
        return _explained(r, u)  # "the second one" alone chooses nothing yet
    if not firm and not u.mentions and not u.unknown and not wants and _off_topic(r):
        return {"intent": _small_talk(r) or "chat", "about": ()}
    if (
        firm
        or u.unknown
        or (u.mentions and not pointing)
        or (u.about and (wants or len(r.toks) < 15))
    ):
        small = _small_talk(r)
        if small and not firm and not u.mentions and not u.unknown and not wants:
            return {"intent": small, "about": ()}
        return {"intent": "recommend"}
    for name in ("help",):
        if r.says(name):
            return {"intent": name, "about": ()}
    if more and u.count is not None:
        return {"intent": "more" if shown else "recommend", "about": ()}
    if wants or (r.says("yes") and not shown and intents.last_act(r.state) in ("greet", "chat", "help")):  # fmt: skip
        return {"intent": "recommend"}
    small = _small_talk(r)
    if small:
        return {"intent": small, "about": ()}
    if shown and r.says("no") and len(r.toks) <= 4:
        return {"intent": "reject", "about": ()}
    if r.says("indifferent") and not u.about:
        return {"intent": "recommend"}
    if re.match(
        r"\W*(?:(?:but|and|please|also|ok),? )*(?:no|not|nothing|without|avoid|skip)\s+\w", low
    ):
        return {"intent": "critique" if shown else "recommend", "about": ()}
    tastes = bool(re.search(r"\b(?:i|we|my|me)\b", low)) and bool(
        {t.word for t in r.toks} & r.lexicon.nouns
    )
    return {"intent": "recommend" if (u.about or tastes) and not shown else "chat"}


def _off_topic(r: Reading) -> bool:
    """A question that asks for nothing we have: "what's the weather like?"."""
    asks = re.match(r"\W*(?:what|how|who|where|when|why|is|are|do|does|can|could|will)\b", r.low)
    nouns = any(t.word in r.lexicon.nouns for t in r.toks)
    return bool(asks) and not nouns and ("?" in r.low or len(r.toks) > 3)


def _small_talk(r: Reading) -> Intent | None:
    names: list[Intent] = ["bye", "thanks", "greet", "help"]
    for name in names:
        if r.says(name):
            return name
    return None


def _explained(r: Reading, u: StateUpdate) -> dict[str, object]:
    """A finger pointed at an item: what it is about is told."""
    premise = next((f.name for f in r.lexicon.by_role("premise")), None)
    ids = (u.mentions[0].item_id,)
    question = Question(kind="about", item_ids=ids, field=premise, said=u.mentions[0].said)
    return {"intent": "ask_fact", "question": question, "about": ()}


def _named_off_slate(r: Reading, u: StateUpdate) -> bool:
    return any(m.item_id not in r.state.slate.item_ids for m in u.mentions)


def _accepted(r: Reading, u: StateUpdate) -> dict[str, object]:
    """A choice: the item named or pointed at, else what was spoken of last."""
    chosen = list(u.mentions)
    if not chosen:
        focus = focus_item(r.state)
        chosen = [Mention(item_id=focus, said="", attitude="like", turn=r.turn)] if focus else []
    liked = tuple(m.model_copy(update={"attitude": "like"}) for m in chosen)
    return {"intent": "accept", "mentions": liked, "about": ()}


def _only(intent: Intent, retract: tuple[str, ...] = ()) -> StateUpdate:
    return StateUpdate(intent=intent, retract=retract)


def _relax(r: Reading, u: StateUpdate) -> StateUpdate | None:
    """After ``blocked``: which of the offered options is agreed to; None when it is something else."""
    options = r.state.plan.relax if r.state.plan else ()
    if not options or u.question is not None or (r.says("no") and not u.retract):
        return None
    m = re.search(r"\b(first|second|third|fourth|1|2|3|4|one|two|three)\b", r.low)
    place = {"first": 0, "1": 0, "one": 0, "second": 1, "2": 1, "two": 1, "third": 2, "3": 2, "three": 2, "fourth": 3, "4": 3}  # fmt: skip
    fields = {c.field for option in options for c in option}
    if u.retract or u.indifferent:
        named = [f for f in (*u.retract, *u.indifferent) if f in fields]
        return u.model_copy(update={"intent": "relax" if named else "critique"})
    if u.add or u.wishes:
        return None
    chosen: tuple[Clause, ...] = ()
    by_word = [
        o
        for o in options
        if any(_names_field(r, c.field) or (c.said and c.said.lower() in r.low) for c in o)
    ]
    if by_word:
        chosen = by_word[0]
    elif m and len(r.toks) <= 8 and place[m.group()] < len(options):
        chosen = options[place[m.group()]]
    elif r.says("yes") or r.says("indifferent"):
        chosen = options[0]
    if not chosen:
        return None
    return _only("relax", tuple(dict.fromkeys(c.field for c in chosen)))


def _names_field(r: Reading, name: str) -> bool:
    words: set[str] = r.lexicon.facet_words(name)
    return any(re.search(rf"\b{re.escape(w)}\b", r.low) for w in words)


_PLEASE: Final = re.compile(
    r"\b(?:(?:sounds?|looks?|seems?) (?:right|good|fine|best)|please|pls|will do|would do|nicely|looks? right|then|it is|is fine|works|i choose|for me)\b"
)
_ASSENT: Final = frozenset(
    "great ok okay yes yeah yep sure perfect fine then please cool good alright right so it is lovely "
    "nice brilliant excellent and the that one".split()
)


def _assents(r: Reading, u: StateUpdate) -> bool:
    """ "great, Crazy, Stupid, Love. then": a title on screen, and nothing else but assent."""
    said = u.mentions[0].said
    rest = r.text.replace(said, " ", 1)
    words = [t.word for t in tokens(rest)]
    return said in r.text and bool(words) and all(w in _ASSENT for w in words)


_CHOICE: Final = re.compile(
    r"^\W*(?:ok|okay|yes|yeah|sure|right|alright|fine|then|maybe|i'?d like|i want|i would like|let me)\b|\bthen\W*$"
)
#: What each intent needs before the encoder may decide for it.
_NEEDS: Final[dict[str, str]] = {
    "more": "shown", "critique": "shown", "accept": "shown", "reject": "shown", "compare": "shown",
    "ask_why": "shown", "ask_fact": "shown", "relax": "blocked", "answer": "ask", "undo": "never",
    "reset": "never",
}  # fmt: skip
_SURE_INTENT: Final = 0.6
_LOOSE_ROLES: Final = frozenset({"origin", "language", "date", "amount", "audience"})
_SURE_OFF_TOPIC: Final = 0.95  # "a good recipe for pasta?" asks for something else


def settle(r: Reading, u: StateUpdate) -> StateUpdate:
    """Where rules found nothing firm, the encoder's intent, if it is sure and it can be.

    It never decides to undo or reset: a wrong guess there would throw a conversation away.
    """
    if r.sensed is None:
        return u
    guess = r.sensed.intent
    firm = bool(u.add or u.wishes or u.retract or u.avoid or u.question or u.unknown or u.count)
    told = u.intent in ("chat", "recommend", "critique") and not firm
    by: Literal["both", "encoder"] = "both" if r.by_rules else "encoder"
    if not r.by_rules:
        return _as_guessed(r, u, guess).model_copy(update={"read_by": by})
    if _off_our_subject(r, u):
        return StateUpdate(intent="chat", read_by=by)
    if not told or guess == u.intent or r.sensed.intents[guess] < _SURE_INTENT:
        return u.model_copy(update={"read_by": by})
    if guess == "accept" and _chooses(r, u):
        return _as_guessed(r, u, guess).model_copy(update={"read_by": by})
    if u.intent != "chat" and (u.mentions or r.says("recommend")):
        return u.model_copy(update={"read_by": by})
    vague = len(r.toks) > 6 or (len(r.toks) < 3 and len(r.state.slate.item_ids) > 1)
    if guess == "accept" and not u.mentions and vague:
        return u.model_copy(update={"read_by": by})  # "yes", said of five, chooses none of them
    act = intents.last_act(r.state)
    here = {"shown": bool(r.state.slate.item_ids), "blocked": act == "blocked", "ask": act == "ask"}
    if guess in _NEEDS and not here.get(_NEEDS[guess], False):
        return u.model_copy(update={"read_by": by})
    return _as_guessed(r, u, guess).model_copy(update={"read_by": by})


def _off_our_subject(r: Reading, u: StateUpdate) -> bool:
    """ "a winery in the south of France": the encoder is sure that it is small talk.

    Only where all that rules found is a place, a number or loose words.
    """
    if r.sensed is None or r.sensed.intents["chat"] < _SURE_OFF_TOPIC:
        return False
    roles = {r.lexicon.facets[c.field].role for c in u.add if c.field in r.lexicon.facets}
    ours = u.mentions or u.wishes or u.retract or u.unknown or roles - _LOOSE_ROLES
    if ours or any(t.word in r.lexicon.nouns for t in r.toks) or r.says("indifferent"):
        return False  # "surprise me" is no small talk
    if u.question is not None:
        if u.question.over == "catalogue":
            return False
        return not u.question.item_ids and not r.state.slate.item_ids
    return u.intent in ("chat", "recommend", "critique") and (not u.add or len(r.toks) > 5)


def _chooses(r: Reading, u: StateUpdate) -> bool:
    """ "Titanic would be great", said of a list with Titanic on it."""
    shown = r.state.slate.item_ids
    named = [m for m in u.mentions if m.item_id in shown and m.attitude in ("neutral", "like")]
    return bool(named) and len(named) == len(u.mentions) == 1 and not named[0].relative


def _as_guessed(r: Reading, u: StateUpdate, guess: str) -> StateUpdate:
    """The update with the encoder's intent and what that intent needs."""
    change: dict[str, object] = {"intent": guess}
    if guess in ("thanks", "bye", "greet", "help", "chat", "more", "reject"):
        change["about"] = ()
    if guess == "accept":
        change = _accepted(r, u)
    if guess == "reset":
        change["retract"] = ("all",)
    if guess == "answer" and not (u.add or u.wishes or u.about or u.mentions):
        change["indifferent"] = r.state.beliefs.asked[-1:]
    if guess == "relax" and not u.retract:
        options = r.state.plan.relax if r.state.plan else ()
        change["retract"] = tuple(c.field for c in options[0]) if options else ()
    if guess in ("ask_fact", "ask_why", "compare") and u.question is None:
        kinds: dict[str, Literal["fact", "why", "compare"]] = {"ask_fact": "fact", "ask_why": "why"}
        focus = focus_item(r.state)
        ids = (focus,) if focus and guess != "compare" else ()
        change["question"] = Question(kind=kinds.get(guess, "compare"), item_ids=ids, said=r.text)
        change["about"] = ()
    return u.model_copy(update=change)
