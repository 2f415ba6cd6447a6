"""Report of step 4: why each type lost what it lost, and how even the right letters are before and after."""

from pathlib import Path
from typing import TYPE_CHECKING

from dataengine_lib.core.files import read_json
from dataengine_lib.core.statistics import wilson
from dataengine_lib.curation.counts import BlindFigure, BlindFigures, ChecksSummary, PostProcessCounts
from dataengine_lib.report.charts import BLUE, DARK, ORANGE, RED, Chart, drawn_chart, label_rows, plain_name
from dataengine_lib.report.tables import Figure, Html, percent, table
from dataengine_lib.teachers.reply_files import Usage, UsageFile

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def reason_table(counts: PostProcessCounts) -> Html:
    """Every type's kept share with its 95 % Wilson interval, and its reasons from the most frequent on."""
    rows = []
    for kind, count in sorted(counts.by_type.items(), key=lambda pair: (-pair[1].dropped, pair[0])):
        written = count.kept + count.dropped
        ends = wilson(count.kept, written)
        share = percent(count.kept / written if written else None, ends.low, ends.high)
        reasons = "; ".join(f"{reason} ({number:,})" for reason, number in count.by_reason.items())
        rows.append((plain_name(kind), written, share, count.dropped, reasons or "–"))
    return table(rows, ["question type", "written", "kept", "dropped", "because"])


def cost_table(counts: PostProcessCounts, replies: Path) -> Html:
    """US dollars for each kept QA, in all and per type, from the `usage.json` beside the replies."""
    file = replies.with_name("usage.json")
    usage: UsageFile | None = read_json(file, UsageFile) if file.is_file() else None
    if usage is None or usage.output not in ("", replies.name):
        return table([], [], f"no usage.json of {replies.name} lies beside it, so its cost is not known")
    parts: dict[str, Usage] = {"all": usage, **usage.per_question_type}
    kept = {"all": counts.kept, **{kind: count.kept for kind, count in counts.by_type.items()}}
    rows = []
    for kind, part in parts.items():
        number = kept.get(kind, 0)
        each = None if part.cost_usd is None or not number else Figure(f"{part.cost_usd / number:.5f}")
        rows.append((plain_name(kind), part.requests, number, part.cost_usd, each))
    head = ["question type", "paid replies", "kept questions", "USD", "USD per kept question"]
    day = f", prices of {usage.price_date}" if usage.price_date else ""
    return table(rows, head, f"teacher {usage.teacher}{day}")


def right_letter_chart(counts: PostProcessCounts) -> Chart:
    """Share of the kept QAs in which each letter is right, as the teacher wrote them and as they are now."""
    title = "Right letter of the kept questions"
    before, after = _letters(counts)
    total = sum(after)
    rows = [("as written", before, ORANGE, "//", 0.2), ("as kept", after, BLUE, "", -0.2)]

    def draw(axes: "Axes") -> None:
        for name, letters, color, hatch, offset in rows:
            places = [3 - letter + offset for letter in range(4)]
            shares = [100 * number / max(1, total) for number in letters]
            ends = [wilson(number, total) for number in letters]
            low = [max(0.0, share - 100 * end.low) for share, end in zip(shares, ends, strict=True)]
            high = [max(0.0, 100 * end.high - share) for share, end in zip(shares, ends, strict=True)]
            axes.barh(places, shares, height=0.38, color=color, hatch=hatch, edgecolor="white", label=name)
            axes.errorbar(
                shares, places, xerr=[low, high], fmt="none", ecolor=DARK, elinewidth=1.2, capsize=3
            )
        axes.axvline(25, color=RED, linestyle="--", linewidth=1.3, label="even, 25 %")
        label_rows(axes, [f"({letter})" for letter in "DCBA"])
        axes.set(xlim=(0, 100), xlabel=f"share in %, with 95 % Wilson interval; n = {total:,} questions")

    said = ", ".join(
        f"{letter} {100 * old / max(1, total):.0f} % before and {100 * new / max(1, total):.0f} % after"
        for letter, old, new in zip("ABCD", before, after, strict=True)
    )
    return drawn_chart(6, title, f"{title}: {said if total else 'no questions'}.", draw)


def right_letter_table(counts: PostProcessCounts) -> Html:
    """Every type's right letters, A · B · C · D, as written and as kept."""
    rows = [
        (plain_name(kind), count.kept, _shown(count.letters_before), _shown(count.letters_after))
        for kind, count in counts.by_type.items()
        if count.kept
    ]
    return table(rows, ["question type", "kept", "A · B · C · D as written", "A · B · C · D as kept"])


def _shown(letters: list[int]) -> str:
    return " · ".join(f"{number:,}" for number in letters)


def _letters(counts: PostProcessCounts) -> tuple[list[int], list[int]]:
    """How often each letter is right over all types, before and after."""
    before, after = [0] * 4, [0] * 4
    for count in counts.by_type.values():
        before = [total + number for total, number in zip(before, count.letters_before, strict=True)]
        after = [total + number for total, number in zip(after, count.letters_after, strict=True)]
    return before, after


def right_letter_sentence(counts: PostProcessCounts) -> str:
    """How uneven the right letters were and are: the most frequent one's share."""
    before, after = _letters(counts)
    total = sum(after)
    if not total:
        return ""
    letter = "ABCD"[before.index(max(before))]
    most = "ABCD"[after.index(max(after))]
    return (
        f"The right letter was {letter} in {max(before) / total:.0%} of the kept questions as they were written; "
        f"now the most frequent one is {most} with {max(after) / total:.0%}."
    )


_NAMES = {
    "box_check": "boxes refute it",
    "leaks": "gives away the evaluation",
    "near_duplicates": "nearly the same on the same image",
    "second_answer": "a second reader disagrees",
    "blind_answer": "a reader finds it without the image",
    "blind_classifier": "words alone give it away",
}


_MANY = 20  # questions of a type from which its figure is shown


def checks_table(summary: ChecksSummary) -> Html:
    """One row for each check that was on."""
    rows = [
        [_NAMES.get(name, name), count.said, count.marked, count.dropped]
        for name, count in summary.checks.items()
    ]
    return table(rows, ["Check", "Could say", "Marked", "Dropped"])


def blind_table(summary: ChecksSummary) -> Html:
    """The share answered without the picture, with its interval and chance: of all, and of each type with enough.

    Who answers a sample only says of how many it was drawn.
    """
    drawn = f", a sample of {summary.blind_drawn_from:,}" if summary.blind_drawn_from else ""
    rows: list[list[object]] = []
    for who, figures in (
        (f"classifier of words{drawn}", summary.blind_classifier),
        ("the same after dropping", summary.after_dropping),
        ("teacher without the image", summary.blind_reader),
    ):
        if figures is not None:
            rows.append([who, "all", *_cells(figures.all)])
            rows += [[who, name, *_cells(one)] for name, one in _named_figures(figures)]
    return table(rows, ["Who answers", "Questions", "Number", "Answered", "Chance", ""])


def blind_sentence(summary: ChecksSummary) -> str:
    """The figure of the questions as they are kept, in words; empty where there is none."""
    figures = summary.after_dropping or summary.blind_classifier
    if figures is None:
        return ""
    one = figures.all
    verdict = _verdict(one)
    asked = "them"
    if summary.blind_drawn_from:
        asked = f"{one.total:,} that were drawn from {summary.blind_drawn_from:,} of them"
    return (
        f"Words alone answer {percent(one.accuracy, one.low, one.high).text} of {asked}, "
        f"chance is {percent(one.chance).text}: {verdict}."
    )


def _named_figures(figures: BlindFigures) -> list[tuple[str, BlindFigure]]:
    """Types from the most given away on."""
    known = [(name, one) for name, one in figures.by_type.items() if one.total >= _MANY]
    return sorted(known, key=lambda pair: (pair[1].chance - pair[1].low, pair[0]))


def _cells(one: BlindFigure) -> list[object]:
    return [one.total, percent(one.accuracy, one.low, one.high), percent(one.chance), Figure(_verdict(one))]


def _verdict(one: BlindFigure) -> str:
    return "as by guessing" if one.at_chance else "above chance" if one.low > one.chance else "below chance"
