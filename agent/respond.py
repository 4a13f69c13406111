"""Write the reply: one batch of drafts, each verified the moment it is finished.

Units are released in reading order as they pass, so nothing unverified is ever on
screen. A refused draft is rewritten once; a second refusal is realised from a plain
frame, and the unit says so (``realised_by``).
"""

import time
from collections.abc import Callable, Sequence
from typing import Literal

from agent.briefs import Unitary
from agent.llm import LLM, Completion, Request
from agent.realise import plain_sentence
from agent.state import Trace, Unit
from agent.talker import ACT_MEANING, Brief, render, required, small_prompt
from agent.verify import Verifier, realise
from tools.tokens import SLOTS

MAX_TOKENS = 44
Emit = Callable[[Unit], None]
Source = Literal["llm", "rewrite", "template"]


class Writer:
    """Turns briefs into verified units with one model.

    ``style`` says how the model is asked: "small" renders special tokens for
    parley-small, "large" renders instructions for an instruction-tuned model.
    """

    def __init__(
        self,
        llm: LLM,
        verifier: Verifier,
        *,
        style: Literal["small", "large"] = "small",
        temperature: float = 0.7,
        top_p: float = 0.9,
    ) -> None:
        self.llm = llm
        self.verifier = verifier
        self.style = style
        self.temperature = temperature
        self.top_p = top_p

    def write(self, units: Sequence[Unitary], seed: int, trace: Trace, emit: Emit) -> list[Unit]:
        """Units for the briefs, in order; ``emit`` gets each as soon as all before it passed."""
        release = _InOrder(emit, len(units))
        done: dict[int, Unit] = {}
        refused: dict[int, str] = {}

        def judge(index: int, completion: Completion, source: Source) -> None:
            brief, evidence, item_id = units[index]
            verdict = self.verifier.check(completion.text, brief)
            trace.tokens += completion.tokens
            trace.verdicts.append(
                {
                    "unit": index,
                    "act": brief.act,
                    "draft": completion.text,
                    "by": source,
                    "ok": verdict.ok,
                    "complaint": verdict.complaint,
                }
            )
            if not verdict.ok:
                refused[index] = verdict.complaint
                return
            refused.pop(index, None)
            done[index] = realise(
                completion.text,
                evidence,
                item_id=item_id,
                realised_by=source,
                tie=brief.ties[0] if brief.ties else None,
            )
            release.offer(index, done[index])

        self._draft(list(range(len(units))), units, seed, refused, judge, "llm", trace)
        if refused:
            self._draft(sorted(refused), units, seed + 101, dict(refused), judge, "rewrite", trace)
        for index in sorted(refused):
            brief, evidence, item_id = units[index]
            done[index] = realise(
                plain_sentence(brief),
                evidence,
                item_id=item_id,
                realised_by="template",
                tie=brief.ties[0] if brief.ties else None,
            )
            release.offer(index, done[index])
        return [done[k] for k in range(len(units))]

    def _draft(
        self,
        indices: list[int],
        units: Sequence[Unitary],
        seed: int,
        complaints: dict[int, str],
        judge: Callable[[int, Completion, Source], None],
        source: Source,
        trace: Trace,
    ) -> None:
        # A rewrite is sampled more carefully: the first draft erred by being too free.
        temperature = self.temperature if source == "llm" else self.temperature / 2
        requests = [
            Request(
                prompt=self._prompt(units[i][0], complaints.get(i, "")),
                max_tokens=MAX_TOKENS if self.style == "small" else 4 * MAX_TOKENS,
                temperature=temperature,
                top_p=self.top_p,
                seed=seed + i,
                allowed_slots=frozenset(units[i][0].slots),
                stop=(),
            )
            for i in indices
        ]
        trace.model_calls += 1
        self.llm.generate(requests, lambda k, completion: judge(indices[k], completion, source))

    def _prompt(self, brief: Brief, complaint: str) -> str:
        if self.style == "small":
            return small_prompt(brief)
        must = [s for group in required(brief) for s in group[0]]
        return render(
            "reply_large",
            act=brief.act,
            act_meaning=ACT_MEANING[brief.act],
            ties=brief.ties,
            said=brief.said,
            slot_texts=sorted(brief.texts.items(), key=lambda kv: SLOTS.index(kv[0])),
            must=must,
            complaint=complaint,
            noun=brief.texts.get("<noun>", "item"),
            nouns=brief.texts.get("<nouns>", "items"),
            facet_labels="name of a category",
        )


class _InOrder:
    """Holds finished units back until everything before them is out."""

    def __init__(self, emit: Emit, count: int) -> None:
        self._emit = emit
        self._waiting: dict[int, Unit] = {}
        self._next = 0
        self._count = count

    def offer(self, index: int, unit: Unit) -> None:
        self._waiting[index] = unit
        while self._next < self._count and self._next in self._waiting:
            self._emit(self._waiting.pop(self._next))
            self._next += 1


def stopwatch(trace: Trace, name: str, started: float) -> None:
    trace.seconds[name] = round(trace.seconds.get(name, 0.0) + time.perf_counter() - started, 4)
