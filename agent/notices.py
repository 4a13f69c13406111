"""What is answered about a message itself, before any recommending: two things.

* it is not in English: said so, naming the language (agent.language);
* it asks to be forgotten: everything is deleted, after one question and a plain yes.

A notice stands in ``StateUpdate.notice``; the reply is written here, by no model.
"""

import re
from typing import Final

from agent.language import foreign
from agent.state import DialogueState, StateUpdate, Unit
from agent.verify import realise

FORGET, FORGOTTEN, LANGUAGE = "forget", "forgotten", "language:"
_FORGET: Final = re.compile(
    r"\b(?:forget|delete|erase|wipe|remove|destroy)\b[^.!?]{0,25}"
    r"\b(?:everything|all|anything|whatever)\b[^.!?]{0,40}\b(?:about me|of me|on me|"
    r"i(?:'ve| have)? (?:ever )?(?:said|told)|my (?:data|history|profile|conversations|chats))\b"
    r"|\b(?:delete|erase|wipe|remove)\b[^.!?]{0,12}\bmy (?:whole |entire )?"
    r"(?:data|profile|account|history|conversations|chats)\b"
    r"|^\W*(?:please )?forget (?:about )?me(?: completely| entirely)?(?: please)?\W*$",
    re.IGNORECASE,
)
_YES: Final = re.compile(
    r"^\W*(?:yes|yep|yeah|sure|ok|okay|please do|do it|go ahead|confirm(?:ed)?|"
    r"i confirm|delete (?:it|it all|all|everything))\b"
    r"(?:\W+(?:please|do it|do|it|it all|all|delete|forget|everything|me|about|of|that|i am sure|"
    r"i'm sure|go ahead))*\W*$",
    re.IGNORECASE,
)
ASK: Final = (
    "Shall I delete everything that I keep of you: your profile and all your conversations, this "
    "one included? It cannot be brought back. Say “yes, delete everything”; anything else "
    "keeps it."
)
GONE: Final = "Everything that I kept of you is deleted."
ENGLISH: Final = "That looks like {}. I understand only English so far: please say it in English."


def before_reading(text: str, state: DialogueState) -> StateUpdate | None:
    """A message about what is kept; None for all others. ``state.turns[-1]`` is this turn."""
    text = text.replace("’", "'")
    asked = [t for t in state.turns[:-1] if t.role == "user"]
    if asked and asked[-1].update and asked[-1].update.notice == FORGET and _YES.match(text):
        return StateUpdate(intent="chat", notice=FORGOTTEN)
    if len(text) <= 300 and _FORGET.search(text):
        return StateUpdate(intent="chat", notice=FORGET)
    return None


def after_reading(text: str, update: StateUpdate) -> StateUpdate:
    """The update itself, or a notice in its place when the message is in another language."""
    names = [m.said for m in update.mentions]
    names += [c.said for c in update.add if any(str(v) in c.said for v in c.values)]
    names += update.unknown
    language = foreign(text, names)
    if language is None:
        return update
    return StateUpdate(intent="chat", read_by=update.read_by, notice=f"{LANGUAGE}{language}")


def reply(state: DialogueState) -> Unit | None:
    """The answer to a notice; None where there is none."""
    update = state.turns[-1].update
    notice = update.notice if update else ""
    if notice == FORGET:
        text = ASK
    elif notice == FORGOTTEN:
        text = GONE
    elif notice.startswith(LANGUAGE):
        text = ENGLISH.format(notice.removeprefix(LANGUAGE))
    else:
        return None
    return realise(text, {}, item_id=None, realised_by="template")
