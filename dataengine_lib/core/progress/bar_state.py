"""How far a step is (all steps), as data and in words: `asking the teacher 420 of 1,000 (42 %), about 18 s left`."""

import time

import msgspec

from dataengine_lib.core.text import duration


class BarState(msgspec.Struct):
    """A bar as its file has it: `done` of `total` units (None: not known), of them `first` before it began.

    `rate` is in units a second, None before it is known; `started` is in seconds since 1970.
    """

    what: str
    unit: str
    done: int
    first: int
    total: int | None
    rate: float | None
    note: str
    started: float


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


def elapsed_seconds(bar: BarState) -> float:
    """Seconds since the bar began."""
    return max(0.0, time.time() - bar.started)


def _rate(bar: BarState) -> float | None:
    """As tqdm: lately, or else on the average since the bar began."""
    return (
        bar.rate or ((bar.done - bar.first) / elapsed if (elapsed := elapsed_seconds(bar)) else None) or None
    )
