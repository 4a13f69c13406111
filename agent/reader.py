"""Turns read by a language model under a JSON schema, in place of rules and encoder.

The schema is ``agent.reading.said.Said``; a server that holds to schemas is given it, any other
is asked in words and its answer is checked. An answer that is not the JSON asked for is asked
for once more, then the turn is read by rules and the log says so: a person's words are never
lost to a model's slip. A server that fails is an ``LLMError`` like everywhere else.
"""

import logging
import re
from typing import get_args

from pydantic import ValidationError

from agent.llm import LLM, Request
from agent.phrases import clauses_text
from agent.reading.said import Said, grounded
from agent.state import DialogueState, Intent, StateUpdate
from agent.talker import render
from agent.understand import clean, understand
from catalog.items import Catalog
from tools.find_title import TitleLinker

log = logging.getLogger(__name__)
MAX_TOKENS = 500
TRIES = 2
EXAMPLES = 30  # values of a facet that the prompt lists


class Reader:
    """Reads turns over one catalogue with one model."""

    def __init__(self, llm: LLM, catalog: Catalog, linker: TitleLinker) -> None:
        self.llm, self.catalog, self.linker = llm, catalog, linker
        self._schema = Said.model_json_schema()

    def read(self, text: str, state: DialogueState) -> StateUpdate:
        """See ``agent.understand.understand``. Raises ``LLMError`` when the model fails."""
        if not clean(text):
            return understand(text, state, self.catalog, self.linker, arm="rules")
        prompt, complaint = self.prompt(clean(text), state), ""
        for attempt in range(TRIES):
            request = Request(
                prompt,
                MAX_TOKENS,
                temperature=0.0 if attempt == 0 else 0.5,
                seed=attempt,
                allowed_slots=frozenset(),
                schema=self._schema,
            )
            answer = self.llm.generate([request])[0].text
            try:
                said = Said.model_validate_json(json_in(answer))
            except ValidationError as error:
                complaint = f"{error.error_count()} mistakes in {answer[:200]!r}"
                continue
            return grounded(said, state, self.catalog, self.linker)
        log.warning("a turn was read by rules, the model wrote no usable JSON: %s", complaint)
        return understand(text, state, self.catalog, self.linker, arm="rules")

    def prompt(self, text: str, state: DialogueState) -> str:
        """What the model is asked."""
        domain, catalog = self.catalog.domain, self.catalog
        facets = [
            {
                "name": f.name,
                "kind": f.kind,
                "examples": list(catalog.values(f.name))[:EXAMPLES]
                if f.kind == "categories"
                else [],
            }
            for f in domain.facets
            if f.filterable and f.kind in ("number", "categories", "people")
        ]
        by_name = {f.name: f for f in domain.facets}
        last = next((t.text for t in reversed(state.turns) if t.role == "agent"), "")
        return render(
            "understand",
            nouns=domain.noun_many,
            facets=facets,
            scales=[s.name for s in domain.scales],
            held=[words for _, words in clauses_text(by_name, state.beliefs.clauses)],
            slate=[catalog.item(i).title for i in state.slate.item_ids if catalog.has(i)],
            last=last[:300],
            intents=get_args(Intent),
            text=text,
        )


def json_in(answer: str) -> str:
    """The outermost object of an answer: models like to put it into a fence or a sentence."""
    found = re.search(r"\{.*\}", answer, re.DOTALL)
    return found.group() if found else answer
