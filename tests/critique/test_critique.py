"""Three hundred turns of our own, and sixty written after the reader was mended, read exactly.

First sight and today's figures: docs/results/critique.md.
"""

from pathlib import Path

import pytest

from agent.state import Mention, StateUpdate
from catalog.errors import ParleyError
from catalog.filters import Clause
from catalog.items import Catalog
from evals.critique import DATA, Outcome, read_cases, run, summarise, wilson, wrong

HERE = Path(__file__).parent
FILES = [HERE / f"{name}.yaml" for name in ("films", "books", "outdoor")]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[Outcome]]:
    return {f.stem: [*run(f), *run(HERE / "fresh" / f.name)] for f in FILES}


@pytest.mark.parametrize("domain", ["films", "books", "outdoor"])
def test_nearly_every_turn_is_read_exactly(outcomes: dict[str, list[Outcome]], domain: str) -> None:
    failed = [f"{o.say!r}: {'; '.join(o.wrong)}" for o in outcomes[domain] if o.wrong]
    assert len(outcomes[domain]) == 120
    assert len(failed) <= 6, "\n".join(failed)


def test_no_category_is_read_badly(outcomes: dict[str, list[Outcome]]) -> None:
    summary = summarise([o for several in outcomes.values() for o in several])
    assert summary["all"]["exact"] >= 0.95
    assert all(row["exact"] >= 0.9 for row in summary.values()), summary


def test_the_check_sees_what_is_wrong() -> None:
    """Known answers: a reading that is off by one, too much, or too little is not exact."""
    catalog = Catalog.open(DATA / "movies")
    case = next(c for c in read_cases(FILES[0], catalog) if c.spec["say"] == "newer than that")
    right = Clause(field="year", op="ge", values=(2009.0,))
    assert wrong(case, StateUpdate(intent="critique", add=(right,))) == ()
    off = right.model_copy(update={"values": (2008.0,)})
    assert wrong(case, StateUpdate(intent="critique", add=(off,)))
    assert wrong(case, StateUpdate(intent="critique"))
    liked = Mention(item_id=case.shown[0], said="that", attitude="like")
    assert wrong(case, StateUpdate(intent="critique", add=(right,), mentions=(liked,)))
    always = right.model_copy(update={"scope": "always"})
    assert wrong(case, StateUpdate(intent="critique", add=(always,)))


def test_intervals_against_known_figures() -> None:
    low, high = wilson(95, 100)
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)  # Wilson 1927, by hand
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    catalog = Catalog.open(DATA / "outdoor")
    bad = tmp_path / "outdoor.yaml"
    bad.write_text("slates: {a: {items: [No such tent]}}\nturns: {}\n", "utf-8")
    with pytest.raises(ParleyError, match="No such tent"):
        list(read_cases(bad, catalog))
    bad.write_text("- nothing\n", "utf-8")
    with pytest.raises(ParleyError, match="no file of turns"):
        list(read_cases(bad, catalog))
