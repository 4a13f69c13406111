"""Who judges: a model at any OpenAI-compatible endpoint, or the embedded judge.

Verdicts are kept in a JSON-lines cache, one a line, keyed by a hash of judge, rubric and
conversation, so that a run that was stopped goes on and the same question is paid for once.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from agent.llm import LLM, Request
from catalog.errors import ParleyError
from evals.embedded_judge import Released
from evals.features import Describer, Exchange
from evals.rubric import Rubric, absolute_prompt, pairwise_prompt, read_choice, read_score

MAX_TOKENS = 256
TIE = 0.02  # difference in probability that the embedded judge calls a tie
FAMILIES = ("qwen", "llama", "gpt", "claude", "gemini", "gemma", "mistral", "mixtral", "phi",
            "deepseek", "parley", "olmo", "command", "granite")  # fmt: skip


class Verdict(NamedTuple):
    """One answer. ``value``: score, or "A"/"B"/"tie"; None when refused or unparsed."""

    key: str
    status: str
    value: float | str | None
    reason: str
    prompt_tokens: int = 0
    tokens: int = 0


class Judge(Protocol):
    """Answers about conversations. ``name`` says which judge, for the cache and the report."""

    name: str

    def absolute(self, rubric: Rubric, talks: Sequence[Sequence[Exchange]]) -> list[Verdict]: ...

    def pairwise(
        self, rubric: Rubric, pairs: Sequence[tuple[Sequence[Exchange], Sequence[Exchange]]]
    ) -> list[Verdict]: ...


class ModelJudge:
    """A language model that answers in JSON, temperature 0."""

    def __init__(self, llm: LLM, name: str) -> None:
        self.llm, self.name = llm, name

    def absolute(self, rubric: Rubric, talks: Sequence[Sequence[Exchange]]) -> list[Verdict]:
        return self._ask([absolute_prompt(rubric, t) for t in talks], rubric)

    def pairwise(
        self, rubric: Rubric, pairs: Sequence[tuple[Sequence[Exchange], Sequence[Exchange]]]
    ) -> list[Verdict]:
        return self._ask([pairwise_prompt(rubric, a, b) for a, b in pairs], None)

    def _ask(self, prompts: Sequence[str], rubric: Rubric | None) -> list[Verdict]:
        done = self.llm.generate([Request(p, MAX_TOKENS) for p in prompts])
        verdicts = []
        for prompt, said in zip(prompts, done, strict=True):
            read = read_score(said.text, rubric) if rubric else read_choice(said.text)
            verdicts.append(
                Verdict(key_of(self.name, prompt), *read, said.prompt_tokens, said.tokens)
            )
        return verdicts


class EmbeddedJudge:
    """The released weights: scores ``overall`` alone, from the words of the conversation."""

    def __init__(self, describer: Describer, weights: Released) -> None:
        self.describer, self.weights = describer, weights
        self.name = "parley-embedded-judge"

    def absolute(self, rubric: Rubric, talks: Sequence[Sequence[Exchange]]) -> list[Verdict]:
        """The probability of satisfaction, spread over the rubric's scale."""
        self._only_overall(rubric)
        low, high = rubric.scale
        return [
            Verdict(self._key(t), "ok", round(low + (high - low) * self._score(t), 4), "")
            for t in talks
        ]

    def pairwise(
        self, rubric: Rubric, pairs: Sequence[tuple[Sequence[Exchange], Sequence[Exchange]]]
    ) -> list[Verdict]:
        self._only_overall(rubric)
        verdicts = []
        for a, b in pairs:
            gap = self._score(a) - self._score(b)
            value = "tie" if abs(gap) < TIE else "A" if gap > 0 else "B"
            verdicts.append(Verdict(self._key([*a, *b]), "ok", value, ""))
        return verdicts

    def _score(self, talk: Sequence[Exchange]) -> float:
        return self.weights.score(self.describer.describe(talk))

    def _key(self, talk: Sequence[Exchange]) -> str:
        return key_of(self.name, json.dumps([list(e) for e in talk]))

    def _only_overall(self, rubric: Rubric) -> None:
        if rubric.name != "overall":
            raise ParleyError(
                f"The embedded judge cannot score {rubric.name!r}: it knows only 'overall'. Name "
                "an endpoint with --judge and --judge-model for the other rubrics."
            )


def key_of(judge: str, question: str) -> str:
    """What a verdict is cached under: judge and the whole question, rubric included."""
    return hashlib.sha256(f"{judge}\0{question}".encode()).hexdigest()[:24]


def family(model: str) -> str:
    """The family a model's name tells: "qwen" of "Qwen3-8B-Instruct"; the name if unknown."""
    low = model.casefold().rpartition("/")[2]
    return next((f for f in FAMILIES if f in low), low)


def same_family(judge: str, generator: str) -> bool:
    """Does the judge come from the family of what it judges? Such scores flatter."""
    return family(judge) == family(generator)


class Cache:
    """Verdicts on disk, one a line; a torn last line (a killed process) is dropped."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, Verdict] = {}
        self._lock = threading.Lock()
        if path is None or not path.exists():
            return
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            path.write_bytes(whole)
        for number, line in enumerate(whole.decode("utf-8").splitlines(), start=1):
            try:
                verdict = Verdict(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise ParleyError(
                    f"{path}, line {number} is no verdict ({error}): move the cache away."
                ) from error
            self.known[verdict.key] = verdict

    def add(self, verdicts: Sequence[Verdict]) -> None:
        """Remember them. Failures to parse are kept too: asking again would say the same."""
        with self._lock:
            self.known |= {v.key: v for v in verdicts}
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    for verdict in verdicts:
                        print(json.dumps(verdict._asdict()), file=file)


class Asked(NamedTuple):
    """One question to a judge: about one conversation, or about two in this order."""

    id: str
    rubric: str
    order: Literal["", "AB", "BA"]
    verdict: Verdict


def cost(verdicts: Sequence[Verdict], price_in: float, price_out: float) -> dict[str, Any]:
    """Tokens and money; prices are for a million tokens."""
    prompt, written = sum(v.prompt_tokens for v in verdicts), sum(v.tokens for v in verdicts)
    return {
        "prompt_tokens": prompt,
        "tokens": written,
        "cost": round((prompt * price_in + written * price_out) / 1e6, 6),
    }
