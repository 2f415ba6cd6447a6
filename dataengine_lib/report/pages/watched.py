"""A run's index page while a person watches the run (all steps): how far it is, and a script that loads the page anew."""

from dataclasses import dataclass

from dataengine_lib.report.galleries.page import PageScript

RELOAD_SECONDS = 5

# The browser keeps the scroll position. The page is not loaded anew while the reader has selected text, unfolded a part or
# sorted a table, as all three would be lost.
_RELOAD = f"""setInterval(() => {{
  const reading = document.querySelector("details[open], th[aria-sort]") || !getSelection().isCollapsed;
  if (!document.hidden && !reading) location.reload();
}}, {RELOAD_SECONDS * 1000});"""


@dataclass(frozen=True)
class RunningStep:
    """What the page of a running run says of its step: a line on step and run, one on its bar, and how much is done.

    The lines are empty and `share`, 0 to 1, is None where nothing is known.
    """

    line: str = ""
    bar: str = ""
    share: float | None = None


def reload_script() -> PageScript:
    """The script that loads the page anew every few seconds, and the policy that allows it."""
    return PageScript.of(_RELOAD)
