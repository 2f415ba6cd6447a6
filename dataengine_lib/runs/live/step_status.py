"""A step of a run while it works (all steps), in words and as tqdm draws it."""

from dataclasses import dataclass

from tqdm.std import tqdm

from dataengine_lib.core.progress.bar_state import BarState, bar_words, elapsed_seconds
from dataengine_lib.core.text import duration


@dataclass(frozen=True)
class StepStatus:
    """A step while it works: `title` is `[3/13] round1/3_generate_qa`, `elapsed` its seconds so far.

    `run_seconds` is the time that the whole run still takes; None where no earlier run says so. `bar` is the step's
    own bar, None while it has none.
    """

    title: str
    elapsed: float
    bar: BarState | None
    run_seconds: float | None

    @property
    def run_words(self) -> str:
        """`[3/13] round1/3_generate_qa: 45 s; about 6 min 05 s of the run left`."""
        left = "" if self.run_seconds is None else f"; about {duration(self.run_seconds)} of the run left"
        return f"{self.title}: {duration(self.elapsed)}{left}"

    @property
    def line(self) -> str:
        """`run_words` and what the bar says, as one line of a log."""
        return f"{self.run_words}; {bar_words(self.bar)}" if self.bar else self.run_words

    def meter(self, columns: int | None) -> str:
        """The bar as tqdm draws it, in that many columns if given; empty without one."""
        if self.bar is None:
            return ""
        bar = self.bar
        return str(
            tqdm.format_meter(
                bar.done,
                bar.total,
                elapsed_seconds(bar),
                ncols=columns,
                prefix=bar.what,
                unit=bar.unit,
                rate=bar.rate,
                postfix=bar.note or None,
                initial=bar.first,
            )
        )
