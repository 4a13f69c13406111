"""Write the reply: one batch of drafts, each verified the moment it is finished.

Units are released in reading order as they pass, so nothing unverified is ever on
screen. A refused draft is rewritten once; a second refusal is realised from a plain
frame, and the unit says so (``realised_by``). A person can stop it between two units.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from agent.briefs import Unitary
from agent.budget import Budget
from agent.errors import LLMError
from agent.llm import LLM, Completion, Request
from agent.realise import plain_sentence
from agent.state import Call, Trace, Unit
from agent.talker import ACT_MEANING, Brief, render, required, small_prompt
from agent.telemetry import model_call
from agent.verify import Verifier, enriched, realise
from tools.tokens import SLOTS

MAX_TOKENS = 44
Emit = Callable[[Unit], None]
Stopped = Callable[[], bool]
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
        budget: Budget | None = None,
    ) -> None:
        self.budget = budget or Budget()
        self.llm = llm
        self.verifier = verifier
        self.style = style
        self.temperature = temperature
        self.top_p = top_p

    def write(
        self,
        units: Sequence[Unitary | Unit],
        seed: int,
        trace: Trace,
        emit: Emit,
        stopped: Stopped = lambda: False,
    ) -> list[Unit]:
        """Units for the briefs, in order; ``emit`` gets each as soon as all before it passed.

        A ``Unit`` among them is finished already and goes through as it is. Once ``stopped``
        says so, no more is written: what was released until then and the finished ones come
        back, fewer than there were briefs.
        """
        briefs = {k: u for k, u in enumerate(units) if not isinstance(u, Unit)}
        done = {k: u for k, u in enumerate(units) if isinstance(u, Unit)}
        release = _InOrder(emit, len(units))
        for index in sorted(done):
            release.offer(index, done[index])
        try:
            self._write(briefs, done, seed, trace, release, stopped)
        except _Stop:
            kept = [k for k in sorted(done) if k < release.count or isinstance(units[k], Unit)]
            for index in kept:
                if index >= release.count:
                    emit(done[index])
            return [done[k] for k in kept]
        return [done[k] for k in range(len(units))]

    def _write(
        self,
        units: Mapping[int, Unitary],
        done: dict[int, Unit],
        seed: int,
        trace: Trace,
        release: "_InOrder",
        stopped: Stopped,
    ) -> None:
        refused: dict[int, str] = {}
        started = time.perf_counter()

        def judge(index: int, completion: Completion, source: Source) -> None:
            _check(stopped)
            brief, evidence, item_id = units[index]
            verdict = self.verifier.check(completion.text, brief)
            trace.verdicts.append(
                {
                    "unit": index,
                    "act": brief.act,
                    "ties": list(brief.ties),
                    "slots": list(brief.slots),
                    "said": brief.said,
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
                enriched(completion.text, brief),
                evidence,
                item_id=item_id,
                realised_by=source,
                tie=brief.ties[0] if brief.ties else None,
            )
            release.offer(index, done[index])

        _check(stopped)
        if units and self._may(trace, started):
            self._draft(sorted(units), units, seed, refused, judge, "llm", trace, started)
        if refused and self._may(trace, started):
            _check(stopped)
            again = sorted(refused)
            self._draft(again, units, seed + 101, dict(refused), judge, "rewrite", trace, started)
        for index in sorted(units.keys() - done.keys()):
            _check(stopped)
            brief, evidence, item_id = units[index]
            done[index] = realise(
                enriched(plain_sentence(brief), brief),
                evidence,
                item_id=item_id,
                realised_by="template",
                tie=brief.ties[0] if brief.ties else None,
            )
            release.offer(index, done[index])

    def _draft(
        self,
        indices: list[int],
        units: Mapping[int, Unitary],
        seed: int,
        complaints: dict[int, str],
        judge: Callable[[int, Completion, Source], None],
        source: Source,
        trace: Trace,
        begun: float,
    ) -> None:
        left = self.budget.left(trace, begun)
        usual = MAX_TOKENS if self.style == "small" else 4 * MAX_TOKENS
        # A rewrite is sampled more carefully: the first draft erred by being too free.
        temperature = self.temperature if source == "llm" else self.temperature / 2
        requests = [
            Request(
                prompt=self._prompt(units[i][0], complaints.get(i, "")),
                max_tokens=min(usual, left.tokens),
                temperature=temperature,
                top_p=self.top_p,
                seed=seed + i,
                allowed_slots=frozenset(units[i][0].slots),
                stop=(),
                seconds=left.seconds,
            )
            for i in indices
        ]
        trace.model_calls += 1
        written: list[Completion] = []

        def finished(k: int, completion: Completion) -> None:
            written.append(completion)
            judge(indices[k], completion, source)

        started = time.perf_counter()
        try:
            with model_call("talk" if source == "llm" else source, len(requests)):
                self.llm.generate(requests, finished)
        except LLMError:
            # Out of time, not out of order: what came in time stands.
            if self.budget.left(trace, begun).spent != "seconds":
                raise
            trace.verdicts.append({"budget": "seconds"})
        finally:
            call = Call(
                node="respond",
                role="talk" if source == "llm" else "rewrite",
                seconds=round(time.perf_counter() - started, 4),
                prompt_tokens=sum(c.prompt_tokens for c in written),
                tokens=sum(c.tokens for c in written),
            )
            trace.calls.append(call)
            trace.prompt_tokens += call.prompt_tokens
            trace.tokens += call.tokens

    def _may(self, trace: Trace, started: float) -> bool:
        """Whether the turn may call the model once more."""
        spent = self.budget.left(trace, started).spent
        if spent:
            trace.verdicts.append({"budget": spent})
        return not spent

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


class _Stop(Exception):
    """The person asked to stop; never leaves this module."""


def _check(stopped: Stopped) -> None:
    if stopped():
        raise _Stop


class _InOrder:
    """Holds finished units back until everything before them is out; ``count`` are."""

    def __init__(self, emit: Emit, total: int) -> None:
        self._emit = emit
        self._waiting: dict[int, Unit] = {}
        self._total = total
        self.count = 0

    def offer(self, index: int, unit: Unit) -> None:
        self._waiting[index] = unit
        while self.count < self._total and self.count in self._waiting:
            unit = self._waiting.pop(self.count)
            self.count += 1
            self._emit(unit)


def stopwatch(trace: Trace, name: str, started: float) -> None:
    trace.seconds[name] = round(trace.seconds.get(name, 0.0) + time.perf_counter() - started, 4)
