"""What the forms of this package share: displayed, each is a sentence and its widget, and their fields look alike."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from dataengine_lib.report.tables import Html
from dataengine_lib.widgets.keys import GUARDED, KEY_GUARD, key_class

# The arrow of a list is a dark picture in both themes of JupyterLab. Source of the name: @jupyter-widgets/controls.
_ARROW = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E"
    "%3Cpath fill='%23ccc' d='M5.2 5.9 9 9.7l3.8-3.8 1.2 1.2-5 5-5-5z'/%3E%3C/svg%3E"
)
_DARK = f'[data-jp-theme-light="false"] .{GUARDED} select'
_STYLE = f'<style>{_DARK} {{ --jp-widgets-dropdown-arrow: url("{_ARROW}"); }}</style>'


class LabForm(ABC):
    """A form in JupyterLab. A report shows its `summary` alone, because buttons would do nothing there."""

    script: ClassVar[str] = KEY_GUARD  # JavaScript that runs when the form is displayed

    @abstractmethod
    def summary(self) -> Html:
        """What the form is about, for readers who see no widget too."""

    @abstractmethod
    def make_widget(self) -> Any:
        """The ipywidgets widget; called once."""

    @cached_property
    def widget(self) -> Any:
        """The form, built when it is first shown."""
        import ipywidgets as w

        made = w.VBox([w.HTML(_STYLE), self.make_widget()])
        made.add_class(GUARDED)
        return made

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.summary())  # type: ignore[no-untyped-call]
        display(self.widget)  # type: ignore[no-untyped-call]
        display({"application/javascript": self.script}, raw=True)  # type: ignore[no-untyped-call]


def action_button(text: str, look: str, act: Callable[[], object], key: str = "") -> Any:
    """A button that calls `act`, also by `key` where one is given; `look` is that of ipywidgets or empty."""
    import ipywidgets as w

    button = w.Button(description=text, button_style=look, layout=w.Layout(width="auto"))
    if key:
        button.add_class(key_class(key))
    button.on_click(lambda _: act())
    return button


def narrow_field() -> dict[str, Any]:
    """The look of a field in a row of filters, as arguments of its widget."""
    import ipywidgets as w

    layout = w.Layout(width="auto", min_width="150px", max_width="320px")
    return {"style": {"description_width": "initial"}, "layout": layout}


def wide_field() -> dict[str, Any]:
    """The look of a field that fills its row; each has a layout of its own, as it may be hidden alone."""
    import ipywidgets as w

    layout = w.Layout(flex="1 1 300px", min_width="200px")
    return {"style": {"description_width": "initial"}, "layout": layout}
