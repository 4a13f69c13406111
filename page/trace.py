"""What happened in one turn, as HTML text: nodes, model calls, mask, candidates, verdicts.

Everything here is a pure function from the turn's own trace, the same record that the log and
the benchmarks read, so the tab can show nothing that did not happen. Bars are HTML and CSS.
The Gradio part, with the step-in mode, is page/trace_tab.py. Needs page/static/trace.css.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from agent.state import DialogueState, StateUpdate, Trace, Turn
from catalog.items import Catalog

LISTED = 20  # candidates shown; the rest is counted
#: Verdicts by who wrote the draft that they judge, and what stood in the reply in the end.
AUTHORS = {
    "llm": "first draft",
    "rewrite": "rewritten once",
    "template": "plain frame, without the model",
}

ROLES = {
    "slate": "wrote the slate",
    "talk": "drafted the reply",
    "rewrite": "rewrote refused drafts",
}


def trace_html(turn: Turn, state: DialogueState, catalog: Catalog) -> str:
    """The trace of one agent turn of ``state``; one sentence where there is none."""
    trace = turn.trace
    if turn.role != "agent" or trace is None:
        return '<p class="trace-empty">Nothing was recorded for this turn.</p>'
    said = question_of(turn, state)
    parts = [
        heading(turn, said),
        totals(turn, trace),
        section("Nodes", node_bars(trace)),
        section("Model calls", call_table(trace)),
        section("What was understood", update_list(said.update if said else None, catalog)),
        section("Mask", mask_bar(trace, catalog)),
        section("Order: before and after the language model", orders(turn, trace, catalog)),
        section("Verifier", verdicts(turn, trace)),
        raw(turn, said),
    ]
    return f'<div class="trace">{"".join(parts)}</div>'


def empty_html() -> str:
    return (
        '<p class="trace-empty">No turn yet. After the first reply, this shows how it came '
        "about: what was understood, which items were allowed, and who ordered them.</p>"
    )


def turn_json(turn: Turn, said: Turn | None = None) -> str:
    """The turn as indented JSON; with ``said``, the list of the message and its answer."""
    one = turn.model_dump(mode="json")
    whole = one if said is None else [said.model_dump(mode="json"), one]
    return json.dumps(whole, ensure_ascii=False, indent=2)


def question_of(turn: Turn, state: DialogueState) -> Turn | None:
    """The user turn that ``turn`` answers: the last one before it."""
    before: Turn | None = None
    for one in state.turns:
        if one is turn or one == turn:
            return before
        if one.role == "user":
            before = one
    return None


def section(title: str, body: str) -> str:
    return f"<section><h4>{escape(title)}</h4>{body}</section>"


def heading(turn: Turn, said: Turn | None) -> str:
    words = f"“{cut(said.text)}”" if said else "The agent's own turn"
    return (
        f'<div class="trace-head"><h3>{escape(words)} → {escape(turn.act or "no act")}</h3>'
        '<button type="button" class="trace-copy" data-do="copy">Copy turn as JSON</button>'
        '<span class="trace-said" role="status"></span></div>'
    )


def totals(turn: Turn, trace: Trace) -> str:
    """The figures of the whole turn."""
    pairs = [
        ("Whole turn", seconds(trace.total_s)),
        ("First verified unit", seconds(trace.first_unit_s)),
        ("Model calls", str(trace.model_calls)),
        ("Prompt tokens", f"{trace.prompt_tokens:,}"),
        ("Tokens written", f"{trace.tokens:,}"),
    ]
    if turn.slate is not None:
        who = "language model" if turn.slate.ordered_by == "llm" else "retrieval alone"
        pairs.append(("Ordered by", who))
    if turn.stopped:
        pairs.append(("Stopped", "by the person"))
    drawn = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in pairs)
    return f'<dl class="trace-totals">{drawn}</dl>'


def node_bars(trace: Trace) -> str:
    """Nodes in the order they ran, each with its share of the time."""
    whole = sum(trace.seconds.values()) or 1.0
    rows = [
        f"<li><span>{escape(node)}</span>{bar(trace.seconds.get(node, 0.0) / whole)}"
        f"<span>{seconds(trace.seconds.get(node))}</span></li>"
        for node in dict.fromkeys(trace.nodes)
    ]
    return f'<ol class="trace-nodes">{"".join(rows)}</ol>'


def call_table(trace: Trace) -> str:
    if not trace.calls:
        return '<p class="trace-empty">No language model was called.</p>'
    heads = ("Node", "Role", "Seconds", "Prompt tokens", "Tokens")
    rows = [
        (
            call.node,
            ROLES[call.role],
            seconds(call.seconds),
            f"{call.prompt_tokens:,}",
            f"{call.tokens:,}",
        )
        for call in trace.calls
    ]
    return table("Model calls", heads, rows)


def update_list(update: StateUpdate | None, catalog: Catalog) -> str:
    """The state update, one line a thing said; what was not said is left out."""
    if update is None:
        return '<p class="trace-empty">This message was not read.</p>'
    lines: list[tuple[str, str]] = [
        ("Intent", f"{update.intent}, read by {update.read_by}"),
        *([("Done on the page", update.action.do)] if update.action else []),
        *(
            ("Constraint", f"{c.field} {c.op} {', '.join(map(str, c.values))}{quoted(c.said)}")
            for c in update.add
        ),
        *(("Taken back", name) for name in update.retract),
        *(
            (m.attitude.capitalize(), f"{title_of(m.item_id, catalog)}{quoted(m.said)}")
            for m in update.mentions
        ),
        *(
            (
                "Wish",
                f"{'more' if w.direction > 0 else 'less'} {w.scale}"
                + (f" than {title_of(w.relative_to, catalog)}" if w.relative_to else "")
                + quoted(w.said),
            )
            for w in update.wishes
        ),
        *(("About", about.text) for about in update.about),
        *(("Not in the catalogue", name) for name in update.unknown),
        *(("Does not mind", name) for name in update.indifferent),
    ]
    if update.question is not None:
        asked = update.question
        what = [asked.kind, asked.field or "", *(title_of(i, catalog) for i in asked.item_ids)]
        lines.append(("Question", ", ".join(w for w in what if w) + quoted(asked.said)))
    if update.count is not None:
        lines.append(("How many", str(update.count)))
    drawn = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in lines)
    return f'<dl class="trace-update">{drawn}</dl>'


def mask_bar(trace: Trace, catalog: Catalog) -> str:
    """How many items the slate was chosen from."""
    mask = trace.mask
    if mask is None:
        return '<p class="trace-empty">No slate was written, so nothing was masked.</p>'
    share = mask.allowed / max(mask.items, 1)
    return (
        f'<p class="trace-mask">{bar(share)}<span>{mask.allowed:,} of {mask.items:,} '
        f"{escape(catalog.domain.noun_many)} allowed ({share:.2%})</span></p>"
    )


def orders(turn: Turn, trace: Trace, catalog: Catalog) -> str:
    """The candidates in retrieval's order beside the slate, with how far each item moved."""
    if turn.slate is None:
        return '<p class="trace-empty">This turn showed no slate.</p>'
    shown = {item_id: place for place, item_id in enumerate(turn.slate.item_ids, 1)}
    before = {item_id: place for place, item_id in enumerate(trace.candidates, 1)}
    weights = trace.weights
    top = max(weights, default=0.0)
    left = [
        f"<li{' class=trace-chosen' if item_id in shown else ''}>"
        f"<span>{place}. {escape(title_of(item_id, catalog))}"
        + (f" <b>→ {shown[item_id]}</b>" if item_id in shown else "")
        + "</span>"
        + (
            f"{bar(weights[place - 1] / top)}<small>{weights[place - 1]:.3f}</small>"
            if place <= len(weights) and top > 0
            else ""
        )
        + "</li>"
        for item_id, place in list(before.items())[:LISTED]
    ]
    rest = len(trace.candidates) - LISTED
    more = f'<p class="trace-empty">and {rest} more</p>' if rest > 0 else ""
    right = [
        f"<li><span>{place}. {escape(title_of(item_id, catalog))}</span>"
        f"{move(before.get(item_id), place)}</li>"
        for item_id, place in shown.items()
    ]
    return (
        '<div class="trace-orders">'
        f"<div><h5>Candidates, with their prior weight</h5><ol>{''.join(left)}</ol>{more}</div>"
        f"<div><h5>Slate</h5><ol>{''.join(right)}</ol></div></div>"
    )


def move(before: int | None, after: int) -> str:
    """ "▲ 6, from 7" in a sign and in words."""
    if before is None:
        return '<small class="trace-move">new: not among the candidates</small>'
    if before == after:
        return '<small class="trace-move">= same place</small>'
    sign, word = ("▲", "up") if before > after else ("▼", "down")
    return (
        f'<small class="trace-move"><span aria-hidden="true">{sign}</span> '
        f"{word} {abs(before - after)}, from {before}</small>"
    )


def verdicts(turn: Turn, trace: Trace) -> str:
    """For each unit every draft and its verdict, then who realised what was shown."""
    judged: dict[int, list[Mapping[str, Any]]] = {}
    for verdict in trace.verdicts:
        if "unit" in verdict:
            judged.setdefault(int(verdict["unit"]), []).append(verdict)
    if not turn.units:
        return '<p class="trace-empty">Nothing was written.</p>'
    rows: list[str] = []
    for place, unit in enumerate(turn.units):
        drafts = "".join(
            f'<li class="{"trace-ok" if v.get("ok") else "trace-no"}">'
            f"<b>{'✓ passed' if v.get('ok') else '✗ refused'}</b> "
            f"{escape(AUTHORS.get(str(v.get('by')), str(v.get('by'))))}: "
            f"<q>{escape(str(v.get('draft', '')).strip())}</q>"
            + ("" if v.get("ok") else f" <em>{escape(str(v.get('complaint', '')))}</em>")
            + "</li>"
            for v in judged.get(place, [])
        )
        rows.append(
            f"<li><p>{escape(unit.text)}</p><p class='trace-by'>"
            f"{escape(AUTHORS.get(unit.realised_by, unit.realised_by))}, "
            f"evidence for {len(unit.spans)} span{'' if len(unit.spans) == 1 else 's'}</p>"
            + (f"<ul>{drafts}</ul>" if drafts else "")
            + "</li>"
        )
    return f'<ol class="trace-units">{"".join(rows)}</ol>'


def raw(turn: Turn, said: Turn | None) -> str:
    """The JSON that the button copies, readable here too."""
    return (
        '<details class="trace-raw"><summary>This turn as JSON</summary>'
        f'<pre tabindex="0" aria-label="Turn as JSON">{escape(turn_json(turn, said))}</pre>'
        "</details>"
    )


def table(name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(one))}</td>' for one in row)}</tr>" for row in rows
    )
    return (
        f'<div class="trace-scroll" role="region" tabindex="0" aria-label="{escape(name)}">'
        '<table class="trace-table">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def bar(share: float) -> str:
    width = min(max(share, 0.0), 1.0)
    return f'<i class="trace-bar" style="--share: {width:.1%}" aria-hidden="true"></i>'


def title_of(item_id: str, catalog: Catalog) -> str:
    return catalog.item(item_id).title if catalog.has(item_id) else f"{item_id} (gone)"


def quoted(said: str) -> str:
    return f" (“{said}”)" if said else ""


def seconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f} s"


def cut(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
