"""One bad case as HTML (steps 1 to 6): its picture, question and answers, and its path to a QA and the next answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dataengine_lib.core.records import LETTERS
from dataengine_lib.core.text import one_line
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import displayed, escaped
from dataengine_lib.widgets.case_list import outcome_text

if TYPE_CHECKING:
    import pandas as pd

MOST_QUERIES = 12  # of a case's path that are shown
_LEVELS = {"answer": 0, "bad case": 0, "query": 1, "reply": 2, "record": 2}
# colours of JupyterLab's theme, light or dark, with one for pages without it
STYLE = """<style>
.de-case { color: var(--jp-ui-font-color1, #1f2328); font-size: 13px; line-height: 1.45; overflow-wrap: anywhere; }
.de-case p { margin: 4px 0; }
.de-case .de-question { font-size: 15px; font-weight: 600; }
.de-case img, .de-case svg { height: auto; max-width: 100%; }
.de-case .de-large > summary { cursor: zoom-in; list-style: none; width: fit-content; max-width: 100%; }
.de-case .de-large > summary img { max-height: 260px; width: auto; }
.de-case .de-large[open] > summary { cursor: zoom-out; }
.de-case .de-large[open] > summary img { max-height: none; width: 1024px; }
.de-case .de-no-image { border: 1px dashed var(--jp-border-color1, #888); padding: 12px; }
.de-case .de-type { border: 1px solid var(--jp-border-color1, #888); border-radius: 9px; padding: 0 8px; }
.de-case ul, .de-case ol { list-style: none; margin: 4px 0; padding: 0; }
.de-case .de-muted { color: var(--jp-ui-font-color2, #57606a); }
.de-case .de-path li { align-items: start; border-left: 3px solid var(--jp-border-color1, #888); display: flex; gap: 8px;
  margin: 3px 0; padding: 1px 0 1px 8px; }
.de-case .de-path .de-1 { margin-left: 18px; }
.de-case .de-path .de-2 { margin-left: 36px; }
.de-case .de-path img { flex: none; height: 48px; width: auto; }
.de-case .de-grid { display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); }
.de-case figure { border: 1px solid var(--jp-border-color2, #ccc); margin: 0; padding: 6px; }
</style>"""


def case_html(case: Mapping[str, Any], image: str) -> str:
    """The case with `image`, which is HTML; a click on it shows it large."""
    sure = case["confidence"]
    confident = f", confidence {sure:.2f}" if sure == sure else ""  # NaN is not itself
    answer = one_line(case["model_answer"]) or "–"
    fate = outcome_text(case)
    return _block(
        f'<details class="de-large"><summary title="click: larger or smaller">{image}</summary></details>'
        f'<p><span class="de-type">{escaped(plain_name(case["question_type"]))}</span> '
        f'<span class="de-muted">round {case["round"]}, {escaped(case["question_id"] or "no id")}</span></p>'
        f'<p class="de-question">{escaped(case["question"])}</p>'
        f"{_options(case)}"
        f"<p>The student answers <b>{escaped(answer)}</b>{confident}; right is <b>{escaped(case['right_answer'])}</b>."
        f"{f' It was {escaped(fate)}.' if fate else ''}</p>"
    )


def _options(case: Mapping[str, Any]) -> str:
    choices: Sequence[str] = case["choices"]
    items = []
    for place, choice in enumerate(choices):
        right, chosen = place == case["correct_choice_idx"], place == case["predicted_choice_idx"]
        mark = " ✓ right" if right else " ✗ student" if chosen else ""
        look = ' class="right"' if right else ' class="wrong"' if chosen else ""
        items.append(f"<li{look}>({LETTERS[place % len(LETTERS)]}) {escaped(choice)}{mark}</li>")
    return f"<ul>{''.join(items)}</ul>" if items else ""


def path_html(path: "pd.DataFrame", thumbnail: Callable[[Mapping[str, Any]], str]) -> str:
    """The path of a case as `OpenedRun.trace` gives it; `thumbnail` makes the small picture of a query's row, as HTML.

    Of many queries the first are shown, and how many there are.
    """
    rows: list[dict[str, Any]] = path.to_dict("records")
    queries = sum(row["part"] == "query" for row in rows)
    items, shown, hidden = [], 0, False
    for row in rows:
        if row["part"] == "query":
            shown += 1
        # what follows a query that is not shown belongs to it
        hidden = shown > MOST_QUERIES and _LEVELS[row["part"]] > 0
        if not hidden:
            small = thumbnail(row) if row["part"] == "query" else ""
            items.append(f'<li class="de-{_LEVELS[row["part"]]}">{small}<span>{_row_html(row)}</span></li>')
    more = f' <span class="de-muted">{MOST_QUERIES} of its {queries:,} queries are shown.</span>'
    return _block(
        f"<p><b>{escaped(path_summary(rows))}</b>{more if queries > MOST_QUERIES else ''}</p>"
        f'<ol class="de-path">{"".join(items)}</ol>'
    )


def path_summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """`2 queries show it, 1 of 2 QAs is kept; fixed in round 2`."""
    queries = sum(row["part"] == "query" for row in rows)
    records = [row for row in rows if row["part"] == "record"]
    kept = sum(row["status"] == "kept" for row in records)
    answers = [row for row in rows if _LEVELS[row["part"]] == 0]
    asked = "1 query shows it" if queries == 1 else f"{queries:,} queries show it"
    made = f", {kept} of {len(records)} QAs {'is' if kept == 1 else 'are'} kept" if records else ""
    later = f"; {answers[-1]['status']} in round {answers[-1]['round']}" if len(answers) > 1 else ""
    return f"{asked}{made}{later}."


def _row_html(row: Mapping[str, Any]) -> str:
    part, status, reason = row["part"], row["status"], one_line(row["reason"])
    why = f" ({escaped(reason)})" if reason else ""
    if _LEVELS[part] == 0:
        name = "bad case" if part == "bad case" else "answer"
        given = escaped(one_line(row["model_answer"]) or "–")
        return f"Round {row['round']}, {name}: <b>{escaped(status)}</b>, answered {given}"
    if part == "query":
        cosine = row["similarity"]
        near = f"a neighbour, cosine {cosine:.2f}" if cosine == cosine else "a neighbour"
        drawn = "drawn at random" if status == "random" else near
        return f"query {escaped(row['query_id'])}: {escaped(row['role'])}; its image is {escaped(drawn)}"
    if part == "reply":
        return f"reply: {escaped(status)}{why}"
    asked = one_line(row["question"])
    text = f": {escaped(asked)} → {escaped(one_line(row['right_answer']))}" if asked else ""
    return f"QA <b>{escaped(status)}</b>{why}{text}"


def _block(text: str) -> str:
    return displayed(f'<div class="de-case">{text}</div>')
