"""The browser of bad cases in JupyterLab (steps 1 to 6): a list with filters, one case with its path, and two decisions."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataengine_lib.errors import DataEngineError
from dataengine_lib.queries.examples.decisions import (
    NEVER,
    USE,
    ExampleDecision,
    read_example_decisions,
    write_example_decision,
)
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Html, escaped
from dataengine_lib.widgets.case_list import (
    CASE_OUTCOMES,
    DECISIONS,
    MOST_ROWS_SHOWN,
    ORDERS,
    CaseFilter,
    CaseKey,
    CaseList,
    case_label,
)
from dataengine_lib.widgets.case_view import STYLE, case_html, path_html
from dataengine_lib.widgets.lab_form import LabForm, action_button, narrow_field, wide_field
from dataengine_lib.widgets.pictures import LARGE, SMALL, picture

if TYPE_CHECKING:
    import pandas as pd

    from dataengine_lib.runs.opened.opened_run import OpenedRun

_EFFECTS = {USE: "is used as an example", NEVER: "is never used as an example", None: "is undecided"}


class CaseBrowser(LabForm):
    """Shows the bad cases of all rounds of a run in JupyterLab; decisions about examples are written to `file` at once.

    Step 2 obeys the file as `example_decisions`. A report shows the number of cases.
    """

    def __init__(self, run: "OpenedRun", file: Path) -> None:
        self.run, self.file = run, file
        self.cases = CaseList(run)

    def summary(self) -> Html:
        """How many cases and decisions there are, and what reads these."""
        return Html(
            f'<p class="why">{len(self.cases):,} bad cases of {len(self.cases.rounds)} rounds. {escaped(self.counts())} '
            "Decisions are made in JupyterLab; step 2 obeys them with example_decisions.</p>"
        )

    def counts(self) -> str:
        """How many cases are to be used and how many never, and in which file; why it cannot be read."""
        try:
            values = list(self.decisions().values())
        except DataEngineError as error:
            return str(error)
        return f"Decisions in {self.file}: {values.count(USE)} use, {values.count(NEVER)} never."

    def decisions(self) -> dict[str, ExampleDecision]:
        """The decisions by question id; none while there is no file. Raises DataEngineError for a wrong one."""
        return read_example_decisions(self.file) if self.file.exists() else {}

    def decide(self, key: CaseKey, decision: ExampleDecision | None) -> str:
        """Write the decision about a case, or remove it with None; returns what was written, as a sentence.

        Raises DataEngineError when the case has no id or the file cannot be read or written; then nothing changes.
        """
        if not key.question_id:
            raise DataEngineError(
                "this case has no question_id, so no decision can name it; give the questions ids"
            )
        write_example_decision(self.file, key.question_id, decision)
        return f"Written: {key.question_id} {_EFFECTS[decision]}. {self.counts()}"

    def case_shown(self, key: CaseKey) -> str:
        """The case as HTML with its picture, empty where there is none of that key."""
        case = self.cases.case(key)
        if case is None:
            return ""
        return case_html(case, picture(lambda: self.run.image(case), f"Image of: {case['question']}", LARGE))

    def path_shown(self, key: CaseKey) -> str:
        """The path of the case as HTML."""
        if not key.question_id:
            return ""
        return path_html(
            self.run.trace(key.question_id),
            lambda row: picture(lambda: self.run.image(row), f"Image of query {row['query_id']}", SMALL),
        )

    def make_widget(self) -> Any:
        """The fields, the list and the case."""
        return _Form(self).box


class _Form:
    """The fields of the browser and the case that they show."""

    def __init__(self, browser: CaseBrowser) -> None:
        import ipywidgets as w

        self.browser = browser
        self.found: pd.DataFrame = browser.cases.frame
        self.page = 0
        self.filling = False  # while options change, of which each would show a case
        cases = browser.cases
        self.round = _dropdown("round", [(f"round {number}", number) for number in cases.rounds])
        self.kind = _dropdown("type", [(plain_name(kind), kind) for kind in cases.types])
        self.outcome = _dropdown("outcome", [(name, name) for name in CASE_OUTCOMES])
        self.letter = _dropdown("chosen", [(name, name) for name in cases.letters])
        self.decision = _dropdown("decision", [(name, name) for name in DECISIONS])
        self.order = w.Dropdown(options=ORDERS, description="order", **narrow_field())
        self.text = w.Text(
            description="search", placeholder="words of question, options, answers, ids", **wide_field()
        )
        self.count, self.status = w.HTML(), w.HTML()
        self.listing = w.Select(rows=16, layout=w.Layout(width="auto"))
        self.shown, self.path = w.HTML(), w.HTML()
        buttons: dict[str, tuple[str, Callable[[], None]]] = {
            "Previous page": ("", lambda: self.turn(-1)),
            "Next page": ("", lambda: self.turn(1)),
            "Use as example": ("success", lambda: self.decide(USE)),
            "Never use": ("danger", lambda: self.decide(NEVER)),
            "Undecided": ("", lambda: self.decide(None)),
        }
        self.buttons = {}
        for name, (style, act) in buttons.items():
            self.buttons[name] = action_button(name, style, act)
        fields = [self.round, self.kind, self.outcome, self.letter, self.decision, self.order, self.text]
        for field in fields:
            field.observe(lambda _: self.search(), names="value")
        self.listing.observe(lambda _: self.show(), names="value")
        turning, deciding = (list(self.buttons.values())[part] for part in (slice(2), slice(2, None)))
        wrapped = w.Layout(flex_flow="row wrap")
        half = w.Layout(flex="1 1 380px", min_width="280px", overflow="hidden")
        left = w.VBox([self.count, self.listing, w.HBox(turning, layout=wrapped)], layout=half)
        right = w.VBox([w.HBox(deciding, layout=wrapped), self.status, self.shown, self.path], layout=half)
        self.box = w.VBox(
            [w.HTML(STYLE), w.HBox(fields, layout=wrapped), w.HBox([left, right], layout=wrapped)]
        )
        self.status.value = escaped(browser.counts())
        self.search()

    @property
    def wanted(self) -> CaseFilter:
        """What the fields say."""
        return CaseFilter(
            # not by its truth: the round of single files is 0
            round=None if self.round.value == "" else self.round.value,
            question_type=self.kind.value,
            outcome=self.outcome.value,
            letter=self.letter.value,
            decision=self.decision.value,
            text=self.text.value,
            order=self.order.value,
        )

    def decisions(self) -> dict[str, ExampleDecision]:
        try:
            return self.browser.decisions()
        except DataEngineError as error:
            self.status.value = escaped(error)
            return {}

    def search(self) -> None:
        """List the cases that pass the filter, from the first page."""
        self.found = self.browser.cases.select(self.wanted, self.decisions())
        self.page = 0
        self.fill()

    def turn(self, step: int) -> None:
        """Go a page on or back, as far as there are any."""
        last = max(0, len(self.found) - 1) // MOST_ROWS_SHOWN
        self.page = min(max(self.page + step, 0), last)
        self.fill()

    def fill(self, kept: int = 0) -> None:
        """List the cases of the page and show the one at place `kept` of it."""
        first = self.page * MOST_ROWS_SHOWN
        rows = self.found.iloc[first : first + MOST_ROWS_SHOWN].to_dict("records")
        decisions = self.decisions()
        options = [
            (case_label(row, decisions.get(row["question_id"])), CaseKey(row["round"], row["question_id"]))
            for row in rows
        ]
        self.filling = True
        try:
            self.listing.options = options
            self.listing.index = kept if options else None
        finally:
            self.filling = False
        places = f"{first + 1:,} to {first + len(rows):,} of " if len(self.found) > len(rows) else ""
        self.count.value = f"{places}{len(self.found):,} of {len(self.browser.cases):,} bad cases"
        for name, there in (("Previous page", first > 0), ("Next page", first + len(rows) < len(self.found))):
            self.buttons[name].disabled = not there
        self.show()

    def show(self) -> None:
        """Show the chosen case with its path."""
        if self.filling:
            return
        key: CaseKey | None = self.listing.value
        for name in ("Use as example", "Never use", "Undecided"):
            self.buttons[name].disabled = key is None
        self.shown.value = self.browser.case_shown(key) if key else "No case passes these filters."
        try:
            self.path.value = self.browser.path_shown(key) if key else ""
        except DataEngineError as error:
            self.path.value = escaped(error)

    def decide(self, decision: ExampleDecision | None) -> None:
        """Write the decision about the chosen case, which stays chosen. A wrong file only shows its error."""
        if (key := self.listing.value) is None:
            return
        try:
            message = self.browser.decide(key, decision)
        except DataEngineError as error:
            self.status.value = escaped(error)
            return
        self.fill(self.listing.index)
        self.status.value = escaped(message)


def _dropdown(name: str, options: list[tuple[str, Any]]) -> Any:
    """A field of one filter; its first option lets every case pass."""
    import ipywidgets as w

    # an empty text as in CaseFilter, for the round too: a number is never equal to it
    return w.Dropdown(options=[("all", ""), *options], description=name, **narrow_field())
