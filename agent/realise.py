"""The plain sentence for each act, used when two drafts of the model were refused.

Deliberately dull: one frame an act. The trace counts how often it is needed (at most
15 % of units in version 0), so it can never quietly become the talker.
"""

from agent.talker import Brief, required

REASONS = {
    "category": "It is listed as <i1.category>.",
    "maker": "It is by <i1.maker>.",
    "people": "It has <i1.people>.",
    "tag": "It is about <i1.tag>.",
    "mood": "You asked for something <i1.mood>: this one fits.",
    "origin": "It is from <i1.origin>.",
    "language": "It is in <i1.language>.",
    "date": "It is from <i1.date>.",
    "amount": "It comes to <i1.amount>.",
    "audience": "It is advised from <i1.audience>.",
    "talked": "People who bring up <m1> talk about this one too.",
    "wish": "You asked for <u1>, and it goes that way.",
    "popular": "People talk about this one a lot.",
}
SENTENCES = {
    "greet": "Hello! What kind of <noun> would you like?",
    "intro": "Here are <count> <nouns> for you.",
    "more": "Here are <count> more <nouns>.",
    "refine": "With that in mind, here are <count> <nouns>.",
    "undo": "Done, I have taken that back.",
    "accept": "Good choice: <i1.title>. Enjoy it!",
    "chat": "Glad to hear from you. Tell me what you feel like and I will look for <nouns>.",
    "help": "Tell me what you like or want to avoid, and I will suggest <nouns>.",
    "bye": "Goodbye, and enjoy!",
}


def plain_sentence(brief: Brief) -> str:
    """A delexicalised sentence that uses exactly what the brief requires."""
    offered = set(brief.slots)
    if brief.act in SENTENCES:
        if "<count>" in SENTENCES[brief.act] and "<count>" not in offered:
            return "Here is a <noun> for you."
        return SENTENCES[brief.act]
    if brief.act in ("recommend", "why"):
        lead = "I chose <i1.title> for this: " if brief.act == "why" else ""
        parts = [_reason(tie, offered) for tie in brief.ties]
        return lead + " ".join(parts)
    if brief.act == "ask":
        options = [s for s in brief.slots if s.startswith("<q.o")]
        return f"Which <q.facet> would you like: {' or '.join(options)}?"
    if brief.act == "blocked":
        clauses = [s for s in brief.slots if s.startswith("<c")]
        options = [s for s in brief.slots if s.startswith("<q.o")]
        offer = f" Shall I drop {' or '.join(options)}?" if options else ""
        return f"I have no <nouns> {' and '.join(clauses)}.{offer}"
    if brief.act == "unknown":
        if "<q.facet>" in offered:
            return "I do not know that about <i1.title>: <q.facet>."
        return "I do not have <u1> in my catalogue."
    if brief.act == "compare" and "<a1>" in offered:
        return "<a1> is <a2>: <a3>." if "<a3>" in offered else "<a1> is <a2>."
    slots = [s for s in brief.slots if s not in ("<i1.title>", "<i2.title>")]
    if brief.act == "compare":
        first = [s for s in slots if s.startswith("<i1")]
        second = [s for s in slots if s.startswith("<i2")]
        return f"<i1.title>: {', '.join(first)}. <i2.title>: {', '.join(second)}."
    fact = next((s for s in slots), "<i1.title>")
    return f"For <i1.title>: {fact}."


def _reason(tie: str, offered: set[str]) -> str:
    if tie == "about":
        if "<i1.premise>" in offered:
            return "You asked for <u1>: <i1.premise>"
        slot = "<i1.tag>" if "<i1.tag>" in offered else "<i1.category>"
        return f"You asked for <u1>, and it has {slot}."
    if tie == "alike":
        shared = "It shares <i1.shared> with <m1>."
        return shared if "<i1.shared>" in offered else "It is close to <m1>."
    if tie in ("maker", "people") and f"<i1.{tie}>" not in offered:
        return "It shares <i1.shared> with <m1>."
    return REASONS[tie]


def sanity(brief: Brief) -> bool:
    """Whether the plain sentence satisfies its own brief (held by a test over all acts)."""
    text = plain_sentence(brief)
    return all(any(all(s in text for s in a) for a in group) for group in required(brief))
