"""The page of a step (all steps), from its executed notebook."""

from dataengine_lib.runs.workflow import Planned


def render_step(item: Planned) -> None:
    """Write the page of a step's executed notebook."""
    from dataengine_lib.report.html import render_notebook

    render_notebook(item.executed, item.html, [path for path in item.outputs() if path.exists()])
