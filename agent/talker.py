"""The contract between what may be said and who says it.

A ``Brief`` is one reply unit's dialogue act, the ties it must show, and the slots it
may use. The prompt is rendered from ``prompts/reply_*.md``; the trainer renders its
rows through the same function, so the model sees at serving time exactly what it was
taught on. Text comes back delexicalised ("You asked for <u1>: <i1.premise>").
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import Field

from agent.state import Frozen

#: What each act has to do, in words (for a large model) ...
ACT_MEANING = {
    "greet": "greet the person and ask what they feel like",
    "ask": "ask the person about the facet <q.facet>, offering the options",
    "intro": "open the list of <count> suggestions, naming what they were chosen for",
    "more": "open a list of <count> further suggestions",
    "refine": "open the list again after the person changed the request",
    "recommend": "say in one sentence why this item suits this person",
    "why": "explain why <i1.title> was chosen, resting on the ties given",
    "answer": "answer the person's question from the slots",
    "unknown": "say plainly that the catalogue does not tell",
    "compare": "state the result of the comparison",
    "blocked": "say that nothing fits all wishes at once and offer what to give up",
    "undo": "confirm that the last turn is undone",
    "accept": "confirm the choice of <i1.title> warmly",
    "chat": "answer the small talk in a few words and lead back to recommending",
    "help": "say what you can do",
    "bye": "say goodbye",
}
#: ... and which slot groups its sentence must contain: one of each group. A group
#: none of whose slots is on offer is not required.
MUST: dict[str, tuple[tuple[str, ...], ...]] = {
    "ask": (("<q.facet>",), ("<q.o1>", "<q.o2>", "<q.o3>", "<q.o4>")),
    "answer": (("answer",),),
    "unknown": (("<q.facet>", "<u1>"), ("<i1.title>", "<u1>")),
    "compare": (("<a1>",), ("<a2>",)),
    "blocked": (("<c1>", "<u1>"), ("<c2>",), ("<q.o1>",)),
    "accept": (("<i1.title>",),),
    "why": (("<i1.title>",), ("tie",)),
    "recommend": (("tie",),),
}
#: The slot(s) through which each tie shows: all of one alternative must be written.
TIE_SLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "category": (("<i1.category>",),),
    "maker": (("<i1.maker>",), ("<m1>", "<i1.shared>")),
    "people": (("<i1.people>",), ("<m1>", "<i1.shared>")),
    "tag": (("<i1.tag>",),),
    "mood": (("<i1.mood>",),),
    "origin": (("<i1.origin>",),),
    "language": (("<i1.language>",),),
    "date": (("<i1.date>",),),
    "amount": (("<i1.amount>",),),
    "audience": (("<i1.audience>",),),
    "about": (("<u1>", "<i1.premise>"), ("<u1>", "<i1.tag>"), ("<u1>", "<i1.category>")),
    "talked": (("<m1>",),),
    "alike": (("<m1>", "<i1.shared>"), ("<m1>", "<i1.premise>"), ("<m1>",)),
    "wish": (("<u1>",),),
    "popular": ((),),
}


class Brief(Frozen):
    """What one unit of a reply must do and may rest on.

    ``slots`` are in canonical order; ``texts`` maps each to its surface form and is
    what the realised reply will show. ``said`` is the delexicalised user turn (chat only).
    """

    act: str
    ties: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    texts: dict[str, str] = Field(default_factory=dict)
    said: str = ""


@cache
def environment() -> Environment:
    folder = Path(__file__).parent / "prompts"
    return Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=False)


def render(name: str, **values: Any) -> str:
    """Render ``prompts/<name>.md``; a missing value is an error, never an empty string."""
    return environment().get_template(f"{name}.md").render(**values).rstrip("\n")


def small_prompt(brief: Brief) -> str:
    """The embedded model's prompt for a brief (special tokens only, about 10 tokens)."""
    return render("reply_small", act=brief.act, ties=brief.ties, said=brief.said, slots=brief.slots)


def required(brief: Brief) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Alternatives to satisfy, outermost AND, then OR, then AND over slots.

    Each element is a tuple of alternatives; one alternative's slots must all be present.
    Only alternatives whose slots are on offer count.
    """
    groups: list[tuple[tuple[str, ...], ...]] = []
    for group in MUST.get(brief.act, ()):
        if group == ("tie",):
            for tie in brief.ties:
                options = [a for a in TIE_SLOTS[tie] if set(a) <= set(brief.slots)]
                # A fit to free words must be shown by the most telling field there is.
                options = options[:1] if tie == "about" else options
                groups.append(tuple(options) if options else ((),))
        elif group == ("answer",):
            facts = [s for s in brief.slots if s.startswith(("<a", "<i")) and s != "<i1.title>"]
            groups.append(tuple((s,) for s in facts) or ((),))
        else:
            offered = [(s,) for s in group if s in brief.slots]
            if offered:
                groups.append(tuple(offered))
    return tuple(groups)
