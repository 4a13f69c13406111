"""Answers computed over the lamps: which of these, how many, the most of all, and giving way."""

from agent.answers import answer, comparison, link_of
from agent.asked_of_sets import of_catalogue, of_slate, of_two
from agent.state import Beliefs, DialogueState, Plan, Question, Slate, StateUpdate, Turn, Unit
from agent.verify import realise
from agent.yielding import told, yielded
from catalog.filters import Clause, compile
from tests.agent.shop import CATALOG

IDS = tuple(CATALOG.ids[:5])
PRICES = CATALOG.df["price"].to_list()


def said(plan: Plan) -> str:
    slots = {e.slot: e for e in plan.answers}
    unit: Unit = realise(plan.frame, slots, item_id=None, realised_by="template")
    assert all(
        unit.text[s.start : s.end].casefold() == s.evidence.text.casefold() for s in unit.spans
    )
    return unit.text


def test_which_of_these_are_cheap_enough() -> None:
    limit = sorted(p for p in PRICES[:5] if p is not None)[1]
    clause = Clause(field="price", op="le", values=(float(limit),))
    cheap = [i for i, p in zip(IDS, PRICES[:5], strict=True) if p is not None and p <= limit]
    text = said(of_slate(CATALOG, IDS, Question(kind="which", clauses=(clause,))))
    for item_id in IDS:
        assert (CATALOG.item(item_id).title in text) == (item_id in cheap), text
    counted = said(of_slate(CATALOG, IDS, Question(kind="count", clauses=(clause,))))
    assert counted.startswith(f"{['None', 'One', 'Two', 'Three', 'Four'][len(cheap)]} of these")
    nothing = Clause(field="price", op="le", values=(0.01,))
    assert said(of_slate(CATALOG, IDS, Question(kind="which", clauses=(nothing,)))).startswith(
        "None"
    )


def test_the_most_of_all_there_is() -> None:
    plan = of_catalogue(CATALOG, Question(kind="superlative", field="price", direction=1))
    row = max((p, -k) for k, p in enumerate(PRICES) if p is not None)
    assert CATALOG.item(CATALOG.ids[-row[1]]).values["price"] == row[0]
    assert CATALOG.item(plan.item_ids[0]).values["price"] == row[0]
    assert "most expensive" in said(plan)


def test_of_two_the_comparative() -> None:
    assert of_two(CATALOG.facet("price"), "price", -1) == "the cheaper of the two"
    assert of_two(CATALOG.facet("price"), "price", 1) == "the more expensive of the two"
    assert of_two(CATALOG.facet("year"), "year", 1) == "the newer of the two"
    assert of_two(None, "romantic", -1) == "the less romantic of the two"


def test_what_no_column_holds_is_unknown() -> None:
    question = Question(kind="fact", item_ids=IDS[:1], field="warranty")
    update = StateUpdate(intent="ask_fact", question=question)
    state = DialogueState(turns=[Turn(role="user", text="?")], slate=Slate(item_ids=IDS))
    plan = answer(state, update, CATALOG)
    assert (plan.act, plan.item_ids) == ("unknown", IDS[:1])
    assert all(u.text.startswith("Its page may tell: http") for u in link_of(CATALOG, plan))
    compared = Question(kind="which", clauses=(Clause(field="price", op="ge", values=(0.0,)),))
    asked = StateUpdate(intent="compare", question=compared)
    assert comparison(state, asked, CATALOG).frame


def test_older_clauses_give_way_to_a_request_of_its_own() -> None:
    kinds = [c for c in CATALOG.values("kind") if c]
    impossible = Clause(field="price", op="le", values=(0.01,), said="nearly free")
    kind = Clause(field="kind", op="any", values=(kinds[0],), said=kinds[0])
    beliefs = Beliefs(clauses=(impossible, kind))
    anew = StateUpdate(intent="recommend", add=(kind,), anew=True)
    left, dropped = yielded(beliefs, anew, CATALOG)
    assert dropped == (impossible,)
    assert left.clauses == (kind,)
    assert compile(CATALOG, left.clauses).any()
    assert told(dropped, CATALOG).text.startswith("For this I no longer look only for")
    change = anew.model_copy(update={"anew": False})
    assert yielded(beliefs, change, CATALOG) == (beliefs, ())
