"""What a reader of a run's figures is warned of (all steps): little that was kept, and intervals too wide to say."""

from collections.abc import Collection, Iterator, Sequence

from dataengine_lib.core.statistics import in_points
from dataengine_lib.core.text import first_named
from dataengine_lib.evaluation.rounds.figures import Comparison, Figures, GainVerdict
from dataengine_lib.report.index_pages.run_story import KeptCounts
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.type_pages.next_steps import FEW_REPLIES, LITTLE_KEPT

# Of a gain's interval, in shares: one that contains 0 and is wider leaves a gain or a loss of 5 points open.
_WIDE = 0.1


def cautions(counts: Sequence[KeptCounts], figures: Figures | None) -> list[tuple[str, str]]:
    """Short title and sentence of each warning; `counts` are those of all rounds."""
    return [*_little_kept(counts), *(_cannot_tell(figures.comparisons[0], figures.split) if figures else ())]


def _little_kept(counts: Sequence[KeptCounts]) -> Iterator[tuple[str, str]]:
    kept: dict[str, int] = {}
    written: dict[str, int] = {}
    for kind, one in (row for count in counts for row in count.by_type.items()):
        kept[kind] = kept.get(kind, 0) + one.kept
        written[kind] = written.get(kind, 0) + one.kept + one.dropped
    little = [
        kind
        for kind, number in written.items()
        if number >= FEW_REPLIES and kept[kind] < LITTLE_KEPT * number
    ]
    if little:
        little.sort(key=lambda kind: (kept[kind] / written[kind], kind))
        named = [f"{plain_name(kind)} ({kept[kind]:,} of {written[kind]:,})" for kind in little]
        yield (
            "Little kept",
            f"of {_of(little, written)}, less than half of the QAs are kept: {first_named(named)}.",
        )


def _cannot_tell(compared: Comparison, split: str) -> Iterator[tuple[str, str]]:
    where = f"the {split} questions" if split != "all" else "the questions"
    gain = compared.overall.gain
    if _is_open(compared.overall):
        interval = f"[{in_points(gain.low)}, {in_points(gain.high)}]"
        yield "Cannot tell", f"{where} leave open whether all types together gained: {interval} points."
    unclear = [kind for kind, tested in compared.by_type.items() if _is_open(tested)]
    if unclear:
        named = first_named([plain_name(kind) for kind in unclear])
        yield (
            "Cannot tell",
            f"{where} leave open whether {_of(unclear, compared.by_type)} gained, as they are too few or the interval is "
            f"wider than {100 * _WIDE:.0f} points around 0: {named}.",
        )


def _is_open(tested: GainVerdict) -> bool:
    """Whether the questions say neither that it changed nor that it hardly changed."""
    gain = tested.gain
    return tested.verdict == "too few" or (tested.verdict == "unclear" and gain.high - gain.low > _WIDE)


def _of(some: Sequence[str], every: Collection[str]) -> str:
    return f"{len(some)} of {len(every)} question types"
