"""Reviewer: the controls of the queue's filters in JupyterLab."""

from collections.abc import Callable, Sequence

from dataengine_lib.widgets.lab_form import narrow_field
from dataengine_lib.widgets.review.queue import (
    ALL,
    DROPPED,
    KEPT,
    ReviewFilter,
    ReviewItem,
    reason_counts,
    type_counts,
)

_CONDITIONS = {
    "undecided": "undecided",
    "marked": "marked by a check",
    "blind": "blind-solvable",
    "disputed": "readers disagree",
}


class FilterControls:
    """The controls for `items`; `changed` is called when a person uses one of them. `controls` are the widgets."""

    def __init__(self, items: Sequence[ReviewItem], changed: Callable[[], None]) -> None:
        import ipywidgets as w

        types = [(f"all types ({len(items):,})", "")]
        types += [(f"{name} ({count:,})", name) for name, count in type_counts(items).items() if name]
        kept = sum(item.record is not None for item in items)
        states = [(ALL, ALL), (f"{KEPT} ({kept:,})", KEPT), (f"{DROPPED} ({len(items) - kept:,})", DROPPED)]
        states += [(f"{DROPPED}: {name} ({count:,})", name) for name, count in reason_counts(items).items()]
        self.question_type = w.Dropdown(options=types, description="type", **narrow_field())
        self.state = w.Dropdown(options=states, description="show", **narrow_field())
        self.conditions = {
            name: w.Checkbox(
                description=text, indent=False, layout=w.Layout(width="auto", margin="2px 10px 2px 2px")
            )
            for name, text in _CONDITIONS.items()
        }
        self.controls = [self.question_type, self.state, *self.conditions.values()]
        for control in self.controls:
            control.observe(lambda _: changed(), names="value")

    @property
    def value(self) -> ReviewFilter:
        """What the controls say."""
        chosen = {name: box.value for name, box in self.conditions.items()}
        return ReviewFilter(self.question_type.value, self.state.value, **chosen)

    @value.setter
    def value(self, shown: ReviewFilter) -> None:
        self.question_type.value, self.state.value = shown.question_type, shown.state
        for name, box in self.conditions.items():
            box.value = getattr(shown, name)
