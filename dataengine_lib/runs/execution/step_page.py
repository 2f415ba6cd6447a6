"""The page of a step (all steps), from its executed notebook: at once, or by a thread while the next step works."""

from concurrent.futures import Future, ThreadPoolExecutor

from dataengine_lib.runs.workflow import Planned


def render_step(item: Planned) -> None:
    """Write the page of a step's executed notebook."""
    from dataengine_lib.report.html import render_notebook

    render_notebook(item.executed, item.html, [path for path in item.outputs() if path.exists()])


class PageThread:
    """Writes one page after the other in a thread, where it `is_used`; `number` is that of the last step it was given."""

    def __init__(self, *, is_used: bool) -> None:
        self.is_used = is_used
        self.number = 0
        self._thread = ThreadPoolExecutor(1)
        self._page: Future[None] | None = None

    def begin(self, number: int, item: Planned) -> None:
        """Begin with the page of step `number`; call `end` for the page before first."""
        self.number, self._page = number, self._thread.submit(render_step, item)

    def end(self) -> None:
        """Wait until the page is written. Raises what rendering raises, once."""
        page, self._page = self._page, None
        if page is not None:
            page.result()

    def close(self) -> None:
        """End the thread; a page that is being written is written to its end."""
        self._thread.shutdown()
