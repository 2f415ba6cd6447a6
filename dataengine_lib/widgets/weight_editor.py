"""The editor of weights in JupyterLab (steps 1 and 2): a slider a type, what its share gives, and presets by rule."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataengine_lib.errors import DataEngineError
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Html, escaped
from dataengine_lib.widgets.case_view import STYLE
from dataengine_lib.widgets.lab_form import LabForm
from dataengine_lib.widgets.weight_plan import PlannedShare, WeightPlan, weight_plan

if TYPE_CHECKING:
    from dataengine_lib.runs.opened.opened_run import OpenedRun

_BY_HAND = "by hand"  # the preset's name once a slider was moved
_STEP = 0.001  # of a slider: the decimals of a weight in the written file
_WIDTH = 160  # pixels of an interval's bar


class WeightEditor(LabForm):
    """Shows the weights of a round's types in JupyterLab; the button writes `file`, which step 2 reads as `weight`."""

    def __init__(self, run: "OpenedRun", file: Path, round_: int | None = None) -> None:
        self.file = file
        self.plan: WeightPlan = weight_plan(run, round_)

    def summary(self) -> Html:
        """What the editor is about."""
        return Html(
            f'<p class="why">Weights of {len(self.plan.facts)} question types, for queries about the bad cases of round '
            f"{self.plan.round}. They are chosen in JupyterLab and written to {escaped(self.file)}, which step 2 reads as "
            "weight.</p>"
        )

    def make_widget(self) -> Any:
        """The sliders."""
        return _Form(self).box


class _Form:
    """The sliders and what stands beside them."""

    def __init__(self, editor: WeightEditor) -> None:
        import ipywidgets as w

        self.editor, self.plan = editor, editor.plan
        self.filling = False  # while a preset moves all sliders
        self.written: dict[str, float] | None = None  # the weights in the file that the button wrote
        first = next(iter(self.plan.presets))
        self.preset = w.Dropdown(options=[*self.plan.presets, _BY_HAND], value=first, description="weights")
        self.queries = w.BoundedIntText(
            value=self.plan.queries, min=0, max=10_000_000, description="queries", continuous_update=False
        )
        self.total, self.status = w.HTML(), w.HTML()
        self.sliders, self.beside = {}, {}
        highest = max(
            [1.0, *(weight for weights in self.plan.presets.values() for weight in weights.values())]
        )
        rows = []
        for kind in self.plan.facts:
            slider = w.FloatSlider(
                min=0,
                max=highest,
                step=_STEP,
                readout_format=".3f",
                layout=w.Layout(flex="1 1 200px", min_width="180px"),
            )
            # a type's name as HTML: a description is typeset, and names come from data files
            name = w.HTML(
                f'<div class="de-case">{escaped(plain_name(kind))}</div>', layout=w.Layout(width="180px")
            )
            self.sliders[kind], self.beside[kind] = slider, w.HTML(layout=w.Layout(flex="2 1 320px"))
            rows.append(w.HBox([name, slider, self.beside[kind]], layout=w.Layout(flex_flow="row wrap")))
            slider.observe(lambda _: self.moved(), names="value")
        self.button = w.Button(description="Write weights", button_style="success")
        self.button.on_click(lambda _: self.write())
        self.preset.observe(lambda _: self.take_preset(), names="value")
        self.queries.observe(lambda _: self.show(), names="value")
        head = w.HBox([self.preset, self.queries, self.button], layout=w.Layout(flex_flow="row wrap"))
        self.box = w.VBox([w.HTML(STYLE), head, self.total, self.status, *rows])
        self.take_preset()

    @property
    def weights(self) -> dict[str, float]:
        """What the sliders say."""
        return {kind: slider.value for kind, slider in self.sliders.items()}

    def are_at(self, weights: Mapping[str, float]) -> bool:
        """Whether the sliders stand at these weights; the browser sends them back rounded to a slider's steps."""
        return all(abs(weight - weights[kind]) < 0.51 * _STEP for kind, weight in self.weights.items())

    def take_preset(self) -> None:
        """Move all sliders to the chosen preset; by hand leaves them where they are."""
        weights = self.plan.presets.get(self.preset.value)
        if weights is not None:
            self.filling = True
            try:
                for kind, slider in self.sliders.items():
                    slider.value = weights[kind]
            finally:
                self.filling = False
        self.show()

    def moved(self) -> None:
        """A slider was moved: by the person, or by a preset."""
        if self.filling:
            return
        preset = self.plan.presets.get(self.preset.value)
        if preset is not None and not self.are_at(preset):
            self.preset.value = _BY_HAND
        self.show()

    def show(self) -> None:
        """Write beside each slider what its weight gives."""
        self.plan.queries = self.queries.value
        weights = self.weights
        for kind, share in self.plan.shares(weights).items():
            self.beside[kind].value = share_html(self.plan, kind, self.preset.value, weights[kind], share)
        if self.written is not None:
            # also where the browser sent the button's click before the last move of a slider
            where = f"Written: {self.editor.file}. Step 2 reads it with construct_queries.weight: {self.editor.file}"
            unchanged = self.are_at(self.written)
            self.status.value = escaped(where) if unchanged else "Changed since the file was written."
        total = self.plan.total(weights)
        self.total.value = escaped(
            f"In all {_queries(total)}, {_price(total)}, of {self.plan.queries:,} asked for."
        )

    def write(self) -> None:
        """Write the weights; where they cannot be used, only the reason is shown."""
        try:
            self.plan.write(self.editor.file, weights := self.weights)
        except DataEngineError as error:
            self.status.value = escaped(error)
            return
        self.written = weights
        self.show()


def share_html(plan: WeightPlan, kind: str, preset: str, weight: float, share: PlannedShare) -> str:
    """The interval of a type's weight as a bar with the chosen one on it, then its accuracy, queries and price."""
    facts, interval = plan.facts[kind], plan.interval(kind, preset)
    bar = between = ""
    if interval is not None and facts.questions:
        bar = _bar(interval.low, interval.high, weight)
        between = f"[{interval.low:.3f}, {interval.high:.3f}] "
    accuracy = (
        "not asked" if facts.accuracy is None else f"{100 * facts.accuracy:.1f} % of {facts.questions} right"
    )
    cases = "no bad cases, so none" if not facts.bad_cases else f"{_queries(share)}, {_price(share)}"
    target = " (a target of step 2)" if share.target else ""
    return (
        f'<div class="de-case">{bar} <span class="de-muted">{between}{escaped(accuracy)}</span> · '
        f"<b>{escaped(cases)}</b>{target}</div>"
    )


def _bar(low: float, high: float, weight: float) -> str:
    """An interval between 0 and 1 as a thick line, the weight as a mark on it; the same figures stand beside it as text."""
    places = [f"{_WIDTH * min(max(value, 0.0), 1.0):.1f}" for value in (low, high, weight)]
    return (
        f'<svg width="{_WIDTH}" height="12" viewBox="0 0 {_WIDTH} 12" aria-hidden="true" style="max-width:100%">'
        f'<line x1="0" x2="{_WIDTH}" y1="6" y2="6" stroke="currentColor" stroke-opacity="0.25"/>'
        f'<line x1="{places[0]}" x2="{places[1]}" y1="6" y2="6" stroke="currentColor" stroke-width="5" '
        f'stroke-opacity="0.5"/><line x1="{places[2]}" x2="{places[2]}" y1="0" y2="12" stroke="currentColor" '
        'stroke-width="2"/></svg>'
    )


def _queries(share: PlannedShare) -> str:
    number = round(share.queries)
    return f"{number:,} {'query' if number == 1 else 'queries'}"


def _price(share: PlannedShare) -> str:
    return "price not known" if share.usd is None else f"${share.usd:,.2f}"
