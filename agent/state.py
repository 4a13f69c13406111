"""What the dialogue manager knows: a turn, a slate, beliefs, and the state around them.

A dialogue is a list of ``Turn``s; the same list is the log and the training row.
State holds item ids and the person's words, never semantic IDs or row numbers, so
a rebuilt catalogue breaks no old conversation.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from catalog.filters import Clause, Scope

Intent = Literal[
    "greet",  # hello
    "recommend",  # wants suggestions, states a taste or a need
    "more",  # "three more", "anything else?"
    "critique",  # changes the present request: "newer", "less dark", "no Nolan"
    "answer",  # answers the agent's question
    "ask_fact",  # "how long is it?", "who directed the second?", "what is it about?"
    "ask_why",  # "why the third?"
    "compare",  # "which of these is shortest?", "compare 1 and 3"
    "accept",  # "I'll watch the second one"
    "reject",  # "not that one", "seen it", "none of these"
    "relax",  # agrees to give up a constraint after `blocked`
    "undo",
    "reset",
    "thanks",
    "bye",
    "help",  # "what can you do?"
    "chat",  # small talk or something outside the catalogue
]
Attitude = Literal["like", "dislike", "seen", "reject", "neutral"]
Act = Literal[
    "greet",
    "ask",
    "recommend",
    "refine",
    "more",
    "answer",
    "unknown",
    "why",
    "compare",
    "blocked",
    "undo",
    "accept",
    "chat",
    "help",
    "bye",
]


Source = Literal["fact", "editorial", "user", "computed"]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Mention(Frozen):
    """An item the person named (or pointed at on the slate) and what they think of it."""

    item_id: str
    said: str
    attitude: Attitude
    turn: int = -1
    relative: bool = False  # "more like the second": this one anchors the request


class Wish(Frozen):
    """A soft wish along one of the catalogue's scales: orders, never excludes."""

    scale: str
    direction: Literal[-1, 1]
    said: str
    relative_to: str | None = None  # item id: "funnier than that"
    turn: int = -1
    scope: Scope = "now"


class About(Frozen):
    """Free words to search by meaning: "hopeful about grief"."""

    text: str
    turn: int = -1
    scope: Scope = "now"


class Question(Frozen):
    """``which`` and ``count`` ask which items, and how many, meet ``clauses``."""

    kind: Literal["fact", "about", "why", "compare", "superlative", "which", "count"]
    item_ids: tuple[str, ...] = ()  # which items it is about; empty = the whole slate
    field: str | None = None  # facet asked for ("runtime")
    direction: Literal[-1, 1] | None = None  # superlative: 1 = most, -1 = least
    said: str = ""
    clauses: tuple[Clause, ...] = ()  # "how many of these are from the 90s?"
    over: Literal["slate", "catalogue"] = "slate"  # "what's the oldest western you have?"


Kind = Literal["clauses", "mentions", "wishes", "about"]  # of beliefs


class MoreLike(Frozen):
    """The things a person can do on the page, from here to ``Action``; one class a thing."""

    do: Literal["more_like"] = "more_like"
    item_id: str


class NotThis(Frozen):
    """Refuse one card; the others keep their places and a new one fills the freed place."""

    do: Literal["not_this"] = "not_this"
    item_id: str


class SeenIt(Frozen):
    """Seen already: the same as ``NotThis`` for the slate, but no dislike."""

    do: Literal["seen_it"] = "seen_it"
    item_id: str


class Why(Frozen):
    do: Literal["why"] = "why"
    item_id: str


class Remove(Frozen):
    """Take the beliefs at these places of ``Beliefs.<kind>`` back, and rank anew."""

    do: Literal["remove"] = "remove"
    kind: Kind
    places: tuple[int, ...]


class Replace(Frozen):
    """Put ``value`` at this place of ``Beliefs.<kind>``, and rank anew."""

    do: Literal["replace"] = "replace"
    kind: Kind
    place: int
    value: Clause | Mention | Wish | About


class Adventure(Frozen):
    """Turn the dial: 0 as usual, 1 far from the popular and from each other."""

    do: Literal["adventure"] = "adventure"
    level: float = Field(ge=0, le=1)


class Relax(Frozen):
    """Drop these clauses, as a ``blocked`` reply offered, and recommend."""

    do: Literal["relax"] = "relax"
    clauses: tuple[Clause, ...]


Action = Annotated[
    MoreLike | NotThis | SeenIt | Why | Remove | Replace | Adventure | Relax,
    Field(discriminator="do"),
]


class StateUpdate(Frozen):
    """What one user turn said. Every list may be empty; ``intent`` always holds."""

    intent: Intent
    mentions: tuple[Mention, ...] = ()
    add: tuple[Clause, ...] = ()
    retract: tuple[str, ...] = ()  # facet or scale names, item ids, "about", or "all"
    wishes: tuple[Wish, ...] = ()
    about: tuple[About, ...] = ()
    avoid: tuple[About, ...] = ()  # subjects that are not wanted: "nothing about boats"
    question: Question | None = None
    count: int | None = None  # how many items were asked for
    unknown: tuple[str, ...] = ()  # names that look like titles or people we do not have
    indifferent: tuple[str, ...] = ()  # facets the person does not mind about
    read_by: Literal["rules", "encoder", "both", "llm", "page"] = "rules"
    anew: bool = False  # a request of its own, not a change of the last one
    dropped: tuple[Clause, ...] = ()  # older clauses that gave way to what this turn asks
    action: Action | None = None  # read_by "page": what was done there
    unsaid: tuple[str, ...] = ()  # words of the person that a page action took back
    notice: str = ""  # said of the message itself, see agent.notices: "language:French", "forget"


class Beliefs(Frozen):
    """Everything held true of this person in this conversation, with who said it when."""

    clauses: tuple[Clause, ...] = ()
    mentions: tuple[Mention, ...] = ()
    wishes: tuple[Wish, ...] = ()
    about: tuple[About, ...] = ()
    avoid: tuple[About, ...] = ()
    shown: tuple[str, ...] = ()  # item ids already recommended, in order
    asked: tuple[str, ...] = ()  # facets already asked about, in order
    indifferent: tuple[str, ...] = ()
    adventure: float = 0.0  # 0..1: how far from the popular and from each other items may be
    standing: tuple[Clause | Wish, ...] = ()  # what the profile has brought in so far


class Evidence(Frozen):
    """One supported fact that a span of a reply may rest on."""

    slot: str  # "<i1.maker>"
    text: str  # what the slot stands for: "Denis Villeneuve"
    item_id: str | None = None
    field: str | None = None
    source: Source = "fact"


class Span(Frozen):
    """A piece of the reply ``[start, end)`` and the evidence it rests on."""

    start: int
    end: int
    evidence: Evidence


class Unit(Frozen):
    """A verified piece of a reply: one sentence, or the reason on one card."""

    text: str
    spans: tuple[Span, ...] = ()
    item_id: str | None = None  # set on a card's reason
    realised_by: Literal["llm", "rewrite", "template"] = "llm"
    tie: str | None = None  # what ties the item to what was said: "category", "alike", ...


class Slate(Frozen):
    item_ids: tuple[str, ...] = ()
    reasons: tuple[Unit, ...] = ()  # one an item, same order
    ordered_by: Literal["llm", "retrieval"] = "llm"


class Call(Frozen):
    """One call of a language model. ``seconds`` includes waiting for a place in a batch."""

    node: str  # "recommend", "respond"
    role: Literal["slate", "talk", "rewrite"]
    seconds: float
    prompt_tokens: int = 0
    tokens: int = 0


class Mask(Frozen):
    """The slate mask of a turn: how many items there are, and how many might be written."""

    items: int
    allowed: int


class Trace(BaseModel):
    """What happened in one turn, for the log, the page and the benchmarks.

    ``candidates`` are the retrieval prior's best items in its order, ``weights`` their
    shares of the prior; ``order`` is the slate as it stood after the language model.
    ``verdicts``: one a draft, {unit, act, ties, slots, said, draft, by, ok, complaint} (the brief
    and what came of it: a training row), and {verified} at the end.
    """

    nodes: list[str] = Field(default_factory=list)
    at: str = ""  # when the turn was understood, ISO 8601
    adapter: str = ""  # the arm of an A/B test that chose the items (agent.ab)
    model_calls: int = 0
    calls: list[Call] = Field(default_factory=list)
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: dict[str, float] = Field(default_factory=dict)
    first_unit_s: float | None = None
    total_s: float | None = None
    allowed_items: int | None = None
    mask: Mask | None = None
    candidates: list[str] = Field(default_factory=list)
    weights: list[float] = Field(default_factory=list)
    order: list[str] = Field(default_factory=list)
    verdicts: list[dict[str, Any]] = Field(default_factory=list)


class Turn(BaseModel):
    """One side's contribution. A dialogue is a list of these."""

    role: Literal["user", "agent"]
    text: str
    update: StateUpdate | None = None  # user turns: what was understood
    attempt: int = 0  # user turns: how often it was tried again
    avoid: tuple[str, ...] = ()  # user turns: item ids that earlier tries at it showed
    act: Act | None = None  # agent turns: what was done; None when stopped before anything was
    slate: Slate | None = None
    units: tuple[Unit, ...] = ()
    trace: Trace | None = None
    stopped: bool = False  # agent turns: the person ended it; what was verified by then stands


class Plan(BaseModel):
    """What the policy decided to do, and what the reply may rest on."""

    act: Act
    item_ids: tuple[str, ...] = ()
    facet: str | None = None  # ask: which facet; blocked: unused
    options: tuple[str, ...] = ()  # ask: likely answers; blocked: clauses to relax, in words
    relax: tuple[tuple[Clause, ...], ...] = ()
    answers: tuple[Evidence, ...] = ()
    note: str = ""  # e.g. a name that is not in the catalogue
    again: bool = False  # everything that fits was shown: the best of it comes again
    frame: str = ""  # a computed answer as a sentence in the slots of ``answers``
    ordered_by: Literal["llm", "retrieval"] = "llm"  # who put ``item_ids`` in order
    candidates: tuple[str, ...] = ()  # set by a person who stepped in: choose among these only


class DialogueState(BaseModel):
    """The graph's state. ``turns[-1]`` is the user turn being answered."""

    turns: list[Turn] = Field(default_factory=list)
    beliefs: Beliefs = Field(default_factory=Beliefs)
    slate: Slate = Field(default_factory=Slate)  # what "the second one" refers to
    plan: Plan | None = None
    trace: Trace = Field(default_factory=Trace)
    user: str = "anonymous"
