"""Report of step 4: reasons and cost by type, checks, blind answers, and how even the right letters are."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.statistics import wilson
from dataengine_lib.curation.counts import (
    BlindFigure,
    BlindFigures,
    ChecksSummary,
    PostProcessCounts,
    TypeCount,
)
from dataengine_lib.report.drawing.chart import Chart, drawn_chart, label_rows
from dataengine_lib.report.drawing.colors import BLUE, DARK, ORANGE, PAPER, RED
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Figure, Html, percent, table
from dataengine_lib.teachers.reply_files import Usage, UsageFile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHECK_NAMES = {
    "box_check": "boxes contradict the answer",
    "leaks": "image or question of the evaluation",
    "near_duplicates": "nearly the same question on the same image",
    "difficulty_high": "the student knows it already",
    "difficulty_low": "too hard for the student",
    "both_wrong": "student and second readers give other answers",
    "second_answer": "second readers give another answer",
    "blind_answer": "readers answer it without the image",
    "blind_classifier": "text classifier answers it without the image",
}
_MIN_QUESTIONS = 20  # of a type whose blind accuracy is shown; with fewer its interval says little


# Reasons and cost


def reason_table(counts: PostProcessCounts) -> Html:
    """Every type's kept share with its 95 % Wilson interval, and its drop reasons, most frequent first."""
    rows = []
    for kind, count in sorted(counts.by_type.items(), key=lambda pair: (-pair[1].dropped, pair[0])):
        written = count.kept + count.dropped
        interval = wilson(count.kept, written)
        share = percent(count.kept / written if written else None, interval.low, interval.high)
        reasons = "; ".join(f"{reason} ({number:,})" for reason, number in count.by_reason.items())
        rows.append((plain_name(kind), written, share, count.dropped, reasons or "–"))
    return table(rows, ["question type", "written", "kept", "dropped", "drop reasons"])


def cost_table(counts: PostProcessCounts, replies: Path) -> Html:
    """US dollars per kept question, in all and by type, from the `usage.json` beside the file of replies.

    Types have the order of `kept_chart`, those without any QA come last.
    """
    file = replies.with_name("usage.json")
    usage: UsageFile | None = read_json(file, UsageFile) if file.is_file() else None
    if usage is None or usage.output not in ("", replies.name):
        return table([], [], f"cost not known, because there is no usage.json for {replies.name} beside it")
    written = {kind: count.kept + count.dropped for kind, count in counts.by_type.items()}
    by_written = sorted(
        usage.per_question_type.items(), key=lambda row: (written.get(row[0], 0), row[0]), reverse=True
    )
    usages: dict[str, Usage] = {"all": usage, **dict(by_written)}
    kept = {"all": counts.kept, **{kind: count.kept for kind, count in counts.by_type.items()}}
    rows = []
    for kind, part in usages.items():
        number = kept.get(kind, 0)
        each = None if part.cost_usd is None or not number else Figure(f"{part.cost_usd / number:.4g}")
        rows.append((plain_name(kind), part.requests, number, part.cost_usd, each))
    head = ["question type", "paid replies", "kept questions", "USD", "USD per kept question"]
    prices = f", prices of {usage.price_date}" if usage.price_date else ""
    return table(rows, head, f"teacher {usage.teacher}{prices}")


# Checks


def checks_table(summary: ChecksSummary) -> Html:
    """One row per check that was on: how many questions it could judge, marked and dropped."""
    rows = [
        [_CHECK_NAMES.get(name, name), count.said, count.marked, count.dropped]
        for name, count in summary.checks.items()
    ]
    return table(rows, ["check", "judged", "marked", "dropped"])


# Blind answers: how many questions can be answered without the image


def blind_table(summary: ChecksSummary) -> Html:
    """Share of questions answered without the image, with interval and chance: of all, and by type with enough.

    A classifier that scored a sample names the number that the sample was drawn from.
    """
    sample = f", a sample of {summary.blind_drawn_from:,}" if summary.blind_drawn_from else ""
    rows: list[list[object]] = []
    for who, figures in (
        (f"text classifier{sample}", summary.blind_classifier),
        ("text classifier, after dropping", summary.after_dropping),
        ("readers without the image", summary.blind_reader),
    ):
        if figures is not None:
            rows.append([who, "all", *_blind_cells(figures.all)])
            rows += [[who, name, *_blind_cells(figure)] for name, figure in _largest_types(figures)]
    return table(
        rows, ["answered by", "question type", "questions", "right", "chance", "compared with chance"]
    )


def blind_sentence(summary: ChecksSummary) -> str:
    """The blind accuracy of the questions that are kept, in words; empty when no classifier scored them."""
    figures = summary.after_dropping or summary.blind_classifier
    if figures is None:
        return ""
    whole = figures.all
    scored = "the kept questions"
    if summary.blind_drawn_from:
        scored = f"{whole.total:,} questions, a sample of {summary.blind_drawn_from:,},"
    return (
        f"From the text alone, a classifier answers {percent(whole.accuracy, whole.low, whole.high).text} of "
        f"{scored} right; chance is {percent(whole.chance).text}: {_against_chance(whole)}."
    )


def _largest_types(figures: BlindFigures) -> list[tuple[str, BlindFigure]]:
    """Types with at least _MIN_QUESTIONS questions, the one furthest above chance first."""
    large = [(name, figure) for name, figure in figures.by_type.items() if figure.total >= _MIN_QUESTIONS]
    # by the low end of the interval, so that a type with few questions does not come first by luck
    return sorted(large, key=lambda pair: (pair[1].chance - pair[1].low, pair[0]))


def _blind_cells(figure: BlindFigure) -> list[object]:
    accuracy = percent(figure.accuracy, figure.low, figure.high)
    return [figure.total, accuracy, percent(figure.chance), Figure(_against_chance(figure))]


def _against_chance(figure: BlindFigure) -> str:
    if figure.at_chance:
        return "no better than chance"
    return "above chance" if figure.low > figure.chance else "below chance"


# Readers: what each of them answered, and how well several agree


def readers_table(summary: ChecksSummary) -> Html:
    """One row per reader: what it was shown, how often it names the teacher's answer, and what it cost."""
    rows = []
    for name, count in summary.readers.items():
        ends = wilson(count.agrees, count.said)
        agrees = percent(count.agrees / count.said if count.said else None, ends.low, ends.high)
        usage = count.usage
        rows.append(
            (
                name, count.shown, count.said, agrees, count.cannot_say,
                usage.replies if usage else 0, usage.cost_usd if usage else None,
            )
        )  # fmt: skip
    head = ["reader", "was shown", "answered", "like the teacher", "cannot tell", "paid replies", "USD"]
    caption = agreement_sentence(summary) if rows else "no reader was asked (second_reader, blind_reader)"
    return table(rows, head, caption)


def agreement_sentence(summary: ChecksSummary) -> str:
    """How well several readers agree, in words; empty with fewer than two of a kind."""
    texts = []
    for check, found in summary.agreement.items():
        kind = "readers without the image" if check == "blind_answer" else "second readers"
        on = f"{found.readers} {kind} on {found.questions:,} question{'' if found.questions == 1 else 's'}"
        if not found.questions:
            texts.append(f"No question has an answer of all {kind}, so their agreement is not known.")
        elif found.kappa is None:
            texts.append(f"Fleiss' kappa of {on} is not known: all their answers have the same letter.")
        else:
            texts.append(
                f"Fleiss' kappa of {on} is {found.kappa:.2f} [{found.low:.2f}, {found.high:.2f}] "
                f"(0: chance, 1: perfect); pairs of them agree in {percent(found.share).text}."
            )
    return " ".join(texts)


# Right letters, before and after the choices are put into another order


def right_letter_chart(counts: PostProcessCounts) -> Chart:
    """Share of the kept questions in which each letter is right, as the teacher wrote them and as they are kept."""
    title = "Letter of the right choice in the kept questions"
    before, after = _letter_sums(counts)
    total = sum(after)
    # colour, hatch, and the bar's distance above the middle of its row
    bars = [("as written", before, ORANGE, "//", 0.2), ("as kept", after, BLUE, "", -0.2)]

    def draw(axes: "Axes") -> None:
        for name, letters, color, hatch, offset in bars:
            places = [3 - letter + offset for letter in range(4)]  # (A) at the top
            shares = [100 * number / max(1, total) for number in letters]
            intervals = [wilson(number, total) for number in letters]
            # errorbar refuses negative lengths, which rounding gives at 0 and 100 %
            low = [max(0.0, share - 100 * ends.low) for share, ends in zip(shares, intervals, strict=True)]
            high = [max(0.0, 100 * ends.high - share) for share, ends in zip(shares, intervals, strict=True)]
            axes.barh(places, shares, height=0.38, color=color, hatch=hatch, edgecolor=PAPER, label=name)
            axes.errorbar(
                shares, places, xerr=[low, high], fmt="none", ecolor=DARK, elinewidth=1.2, capsize=3
            )
        axes.axvline(25, color=RED, linestyle="--", linewidth=1.3, label="even, 25 %")
        label_rows(axes, [f"({letter})" for letter in "DCBA"])
        axes.set(xlim=(0, 100), xlabel=f"share in %, with 95 % Wilson interval; n = {total:,} questions")

    shares = ", ".join(
        f"{letter} {100 * old / max(1, total):.0f} % before and {100 * new / max(1, total):.0f} % after"
        for letter, old, new in zip("ABCD", before, after, strict=True)
    )
    texts = [
        f"({letter}): right in {old:,} questions as written, in {new:,} as kept"
        for letter, old, new in zip("ABCD", before, after, strict=True)
    ][::-1]
    return drawn_chart(6, title, f"{title}: {shares if total else 'no questions'}.", draw, texts)


def right_letter_table(counts: PostProcessCounts) -> Html:
    """Every type's right letters, A · B · C · D, as written and as kept; yes · no, where there are yes/no questions."""
    kept = [(plain_name(kind), count) for kind, count in counts.by_type.items() if count.kept]
    rows: list[tuple[object, ...]] = [
        (kind, count.kept, _dotted(count.letters_before), _dotted(count.letters_after))
        for kind, count in kept
    ]
    heads = ["question type", "kept", "A · B · C · D as written", "A · B · C · D as kept"]
    if any(count.yes_no is not msgspec.UNSET for _, count in kept):
        rows = [(*row, _dotted(_yes_no(count))) for row, (_, count) in zip(rows, kept, strict=True)]
        heads.append("yes · no")
    return table(rows, heads)


def right_letter_sentence(counts: PostProcessCounts) -> str:
    """How uneven the right letters were and are, and the share of yes; empty when nothing is kept."""
    before, after = _letter_sums(counts)
    total, sentences = sum(after), []
    if total:
        letter = "ABCD"[before.index(max(before))]
        most = "ABCD"[after.index(max(after))]
        sentences.append(
            f"The right letter was {letter} in {max(before) / total:.0%} of the kept questions as they were written; "
            f"now the most frequent one is {most} with {max(after) / total:.0%}."
        )
    yes, no = (sum(_yes_no(count)[place] for count in counts.by_type.values()) for place in (0, 1))
    if yes + no:
        sentences.append(f"Yes is the answer of {yes / (yes + no):.0%} of {yes + no:,} yes/no questions.")
    return " ".join(sentences)


def bias_sentences(counts: PostProcessCounts) -> list[str]:
    """What a student could learn without looking: answers from the words alone, and a preferred letter."""
    return [blind_sentence(counts.checks), right_letter_sentence(counts)]


def _yes_no(count: TypeCount) -> list[int]:
    return [0, 0] if count.yes_no is msgspec.UNSET else count.yes_no


def _letter_sums(counts: PostProcessCounts) -> tuple[list[int], list[int]]:
    """How often each letter is right over all types, before and after."""
    before, after = [0] * 4, [0] * 4
    for count in counts.by_type.values():
        before = [total + number for total, number in zip(before, count.letters_before, strict=True)]
        after = [total + number for total, number in zip(after, count.letters_after, strict=True)]
    return before, after


def _dotted(letters: list[int]) -> str:
    return " · ".join(f"{number:,}" for number in letters)
