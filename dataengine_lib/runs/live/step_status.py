"""How far a step is (all steps), and its words: `asking the teacher 420 of 1,000 (42 %), 33.1/s, about 18 s left`."""

import time
from dataclasses import dataclass

from tqdm.std import tqdm

from dataengine_lib.core.progress.bar import BarState
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
                _elapsed(bar),
                ncols=columns,
                prefix=bar.what,
                unit=bar.unit,
                rate=bar.rate,
                postfix=bar.note or None,
                initial=bar.first,
            )
        )


def bar_share(bar: BarState) -> float | None:
    """How much of the bar is done, 0 to 1; None where its total is not known."""
    return min(1.0, bar.done / bar.total) if bar.total else None


def bar_seconds(bar: BarState) -> float | None:
    """The seconds that the bar still expects; None before that is known."""
    rate = _rate(bar)
    return max(0.0, bar.total - bar.done) / rate if bar.total and rate else None


def bar_words(bar: BarState) -> str:
    """`asking the teacher 420 of 1,000 (42 %), 33.1/s, about 18 s left, $0.12 so far`."""
    share, rate, left = bar_share(bar), _rate(bar), bar_seconds(bar)
    done = f"{bar.done:,}" if share is None else f"{bar.done:,} of {bar.total:,} ({100 * share:.0f} %)"
    words = [f"{bar.what} {done}".lstrip()]
    if rate:
        unit = "" if bar.unit == "it" else f" {bar.unit}s"
        words.append(f"{rate:.1f}{unit}/s" if rate >= 1 else f"{1 / rate:.1f} s each")
    if left is not None:
        words.append(f"about {duration(left)} left")
    return ", ".join([*words, *([bar.note] if bar.note else [])])


def _elapsed(bar: BarState) -> float:
    return max(0.0, time.time() - bar.started)


def _rate(bar: BarState) -> float | None:
    """As tqdm: lately, or else on the average since the bar began."""
    return bar.rate or ((bar.done - bar.first) / elapsed if (elapsed := _elapsed(bar)) else None) or None
