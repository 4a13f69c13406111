"""The vocabulary that is not words: roles, slots and semantic-ID codes.

One list, shared by the tokenizer (training), the two decoders (tools) and the
talker (agent). Order is part of the released format: only ever append before
``SPARE``; ids are looked up by name, never by position.
"""

from typing import Final

PAD: Final = "<pad>"
EOS: Final = "<eos>"
USER: Final = "<user>"
AGENT: Final = "<agent>"
TASK_SLATE: Final = "<task:slate>"
TASK_REPLY: Final = "<task:reply>"
TASK_USER: Final = "<task:user>"
CONVERSATION: Final = "<conv>"
QUERY: Final = "<query>"
LIKED: Final = "<like>"
DISLIKED: Final = "<dislike>"
CANDIDATES: Final = "<cand>"
EVIDENCE: Final = "<ev>"
OUT: Final = "<out>"
STRUCTURE: Final = (
    PAD,
    EOS,
    USER,
    AGENT,
    TASK_SLATE,
    TASK_REPLY,
    TASK_USER,
    CONVERSATION,
    QUERY,
    LIKED,
    DISLIKED,
    CANDIDATES,
    EVIDENCE,
    OUT,
)

# Roles a catalogue column can play in a sentence; a film's director and a book's
# author are both "maker", so language learnt on one catalogue serves another.
ROLES: Final = (
    "title",
    "date",
    "maker",
    "people",
    "category",
    "tag",
    "mood",
    "premise",
    "amount",
    "origin",
    "language",
    "audience",
    "shared",  # the value this item has in common with what the person named
)
ITEM_SLOTS: Final = tuple(f"<i{k}.{role}>" for k in range(1, 11) for role in ROLES)
MENTIONS: Final = tuple(f"<m{k}>" for k in range(1, 10))  # items the person named
WORDS: Final = tuple(f"<u{k}>" for k in range(1, 7))  # the person's own words
CLAUSES: Final = tuple(f"<c{k}>" for k in range(1, 7))  # constraints, put in words
ANSWERS: Final = tuple(f"<a{k}>" for k in range(1, 7))  # computed answers
QUESTION: Final = ("<q.facet>", "<q.o1>", "<q.o2>", "<q.o3>", "<q.o4>")
NOUNS: Final = ("<noun>", "<nouns>", "<count>")
SLOTS: Final = ITEM_SLOTS + MENTIONS + WORDS + CLAUSES + ANSWERS + QUESTION + NOUNS

ACTS: Final = tuple(
    f"<act:{a}>"
    for a in (
        "greet",
        "ask",
        "intro",
        "recommend",
        "refine",
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
        "more",
    )
)
# What ties an item to what the person said (one reason each).
TIES: Final = tuple(
    f"<tie:{t}>"
    for t in (
        "category",
        "maker",
        "people",
        "tag",
        "mood",
        "origin",
        "language",
        "date",
        "amount",
        "audience",
        "about",  # its premise or keywords match the person's words
        "talked",  # mentioned together with something the person likes
        "alike",  # close in content to something the person likes
        "wish",  # moves the way a soft wish asked ("funnier")
        "popular",  # much talked about: the honest reason when nothing is known
    )
)
SPARE: Final = tuple(f"<x{k}>" for k in range(64))

LEVELS: Final = "abcd"
CODES: Final = 256
SID_TOKENS: Final = tuple(f"<{level}_{code}>" for level in LEVELS[:3] for code in range(CODES))

#: Every special token, in released order. The SID block comes last so that it is
#: one contiguous slice of the embedding table, level after level.
SPECIAL: Final = STRUCTURE + SLOTS + ACTS + TIES + SPARE + SID_TOKENS
