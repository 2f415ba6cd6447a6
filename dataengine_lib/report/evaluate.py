"""Report of step 1: scores by split, weight rules, letter bias, option order, and types that the teacher doubts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.core.bad_rows import BadRowSummary
from dataengine_lib.core.significance.sign_flip import equals_p
from dataengine_lib.core.statistics import FEW_OF_TYPE, cannot_tell, in_points
from dataengine_lib.evaluation.letter_bias import Consistency, LetterBias
from dataengine_lib.evaluation.metrics import Metrics, Score
from dataengine_lib.evaluation.type_confusion import TypeConfusion
from dataengine_lib.evaluation.weights import ACCURACY_RULES, AccuracyRule, TypeCounts, WeightInterval
from dataengine_lib.report.drawing.chart import Chart, drawn_chart, label_rows, marked_intervals
from dataengine_lib.report.drawing.colors import BLUE, DARK, GREY, ORANGE, ROW_LINE
from dataengine_lib.report.kinds.score_tables import has_other_kinds, kind_tables
from dataengine_lib.report.names import plain_name, short_label, top_rows
from dataengine_lib.report.tables import Figure, Html, accuracy, percent, share_table, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# colour and marker of each weight rule
_STYLES: dict[AccuracyRule, tuple[str, str]] = {
    "1-acc": (GREY, "o"),
    "sqrt(1-acc)": (ORANGE, "s"),
    "shrunk^2": (DARK, "^"),
    "shrunk": (BLUE, "D"),
}


def split_table(metrics: Metrics) -> Html:
    """Each split's multiple-choice and direct-answer score, with what guessing would give.

    The scores of yes/no and open-ended questions follow in tables of their own.
    """
    rows = [
        (
            name,
            scored.overall.total,
            accuracy(scored.overall),
            percent(scored.chance),
            scored.cannot_tell,
            percent(scored.overall.direct_answer),
        )
        for name, scored in metrics.splits.items()
    ]
    head = ["split", "questions", score_name(metrics), "by guessing", "no option named", "direct answer"]
    source = f" from {metrics.source}" if metrics.source else ""
    by_split = table(rows, head, f"rank rule: {metrics.rank}{source}{_usage_text(metrics.usage)}")
    return Html(by_split.text + kind_tables(metrics))


def counted_questions(metrics: Metrics) -> str:
    """How many questions were asked, and of which split: `3,240 questions (1,080 diagnose, 2,160 holdout)`."""
    asked = {name: split.overall.total for name, split in metrics.splits.items()}
    named = ", ".join(f"{number:,} {name}" for name, number in asked.items())
    return f"{sum(asked.values()):,} questions" + (f" ({named})" if len(asked) > 1 else "")


def score_name(metrics: Metrics) -> str:
    """What the accuracies of types and splits are: of multiple choice, or of questions of several kinds."""
    return "score" if has_other_kinds(metrics) else "multiple choice"


def score_title(metrics: Metrics) -> str:
    """The title of the chart of types."""
    name = "Mean score" if has_other_kinds(metrics) else "Multiple-choice accuracy"
    return f"{name} per question type, {metrics.shown()[0]} split"


def _usage_text(usage: StudentUsage | None) -> str:
    """Replies, tokens and cost of a student behind a server, as the end of a caption; empty for a local one."""
    if usage is None:
        return ""
    tokens = f"{usage.prompt_tokens + usage.completion_tokens:,} tokens"
    cost = "price not known" if usage.cost_usd is None else f"{usage.cost_usd:.2f} US dollars"
    return f"; the server of the student sent {usage.replies:,} replies with {tokens}, {cost}"


def score_sentence(metrics: Metrics) -> str:
    """How many questions of the split that the report is about are answered right, or that nothing is scored."""
    name, scores = metrics.shown()
    if metrics.unscored:
        return f"Nothing is scored: none of the {metrics.unscored:,} questions has an answer to compare with."
    scored = scores.overall
    right = percent(scored.accuracy, scored.low, scored.high).text
    unsure = f"; {cannot_tell(scored.total)}" if scored.total < FEW_OF_TYPE else ""
    return f"The student answers {right} of {scored.total:,} {name} questions right{unsure}."


def skipped_table(skipped: BadRowSummary, most: int = 20) -> Html:
    """Why rows were skipped: every reason with its count, and the first `most` rows by name."""
    rows = [(row.kind, row.row, row.reason) for row in skipped.rows[:most]]
    counted = ", ".join(f"{kind} ({count:,})" for kind, count in skipped.by_reason.items())
    caption = f"{skipped.total:,} of {skipped.of:,} rows left out{': ' if counted else ''}{counted}"
    if skipped.total > most:
        caption += f"; the first {most} are listed"
    return table(rows, ["reason", "row", "problem"], caption)


def weakest_sentence(per_type: Mapping[str, Score], most: int = 4) -> str:
    """The `most` types of lowest accuracy with their intervals."""
    asked = sorted((score.accuracy, kind) for kind, score in per_type.items() if score.accuracy is not None)
    scores = [(kind, per_type[kind]) for _, kind in asked[:most]]
    named = [f"{plain_name(kind)} {accuracy(s).text}" for kind, s in scores]
    return f"Weakest: {'; '.join(named)}." if named else ""


def weight_chart(weights: Mapping[str, Mapping[AccuracyRule, WeightInterval]], counts: TypeCounts) -> Chart:
    """Every type's weight by each rule with its 95 % interval, the heaviest by the rule `shrunk` at the top.

    `counts` maps a type to (right answers, questions), from which `weights` were made.
    """
    title = "Weights of the question types by each rule"
    kinds, note = top_rows(sorted(weights, key=lambda kind: (weights[kind]["shrunk"].weight, kind)))

    def draw(axes: "Axes") -> None:
        # the markers of a type one below the other
        for rule, offset in zip(ACCURACY_RULES, (0.3, 0.1, -0.1, -0.3), strict=True):
            rows = [weights[kind][rule] for kind in kinds]
            color, marker = _STYLES[rule]
            ends = [(row.weight, row.low, row.high) for row in rows]
            places = [place + offset for place in range(len(kinds))]
            marked_intervals(axes, ends, places, color, marker, rule, scale=1.0)
        for place in range(len(kinds)):
            axes.axhline(place + 0.5, color=ROW_LINE, linewidth=0.8)
        label_rows(axes, [f"{short_label(kind)}  (n={counts[kind][1]})" for kind in kinds])
        axes.set(xlim=(0, 1), xlabel="weight (0 to 1), with 95 % interval; n: number of questions")

    # from the end, where the heaviest are
    heaviest = ", ".join(
        f"{plain_name(kind)} {weights[kind]['shrunk'].weight:.2f}" for kind in kinds[::-1][:4]
    )
    alt = f"{title}. Heaviest by the rule shrunk: {heaviest or 'no types'}.{note}"
    texts = [
        f"{plain_name(kind)}: " + ", ".join(f"{rule} {one.weight:.2f}" for rule, one in weights[kind].items())
        for kind in kinds
    ]
    return drawn_chart(1.45 * len(kinds), title, alt, draw, texts)


def letter_bias_chart(bias: LetterBias) -> Chart | Html:
    """How many wrong answers name each letter, beside the number expected of a student without a preference.

    A line says so where no question has letters.
    """
    if not bias.questions:
        return table([], [], "no question has options with letters")
    title = "Letters of the wrong answers"
    rows = bias.letters[::-1]  # (A) at the top: a chart's first row is at the bottom

    def draw(axes: "Axes") -> None:
        places = range(len(rows))
        axes.barh(places, [row.wrong for row in rows], color=ORANGE, height=0.66, label="wrong answers")
        axes.errorbar(
            [row.expected for row in rows],
            places,
            xerr=[
                [row.expected - row.expected_low for row in rows],
                [row.expected_high - row.expected for row in rows],
            ],
            fmt="D",
            color=DARK,
            markersize=5.5,
            elinewidth=1.4,
            capsize=3,
            label="expected without a preference",
        )
        label_rows(axes, [f"({row.letter})  (n={row.offered})" for row in rows])
        axes.set_xlim(left=0)
        axes.set(
            xlabel="number of wrong answers; diamonds: expected number with 95 % range; n: questions with this option"
        )
        axes.locator_params(axis="x", integer=True)

    texts = [
        f"({row.letter}): {row.wrong:,} wrong answers, {row.expected:.1f} "
        f"[{row.expected_low:.1f}, {row.expected_high:.1f}] expected, n = {row.offered:,}"
        for row in rows
    ]
    return drawn_chart(len(rows), title, f"{title}. {letter_bias_sentence(bias)}", draw, texts)


def letter_bias_sentence(bias: LetterBias) -> str:
    """Whether the student prefers a letter, with the result of the chi-square test."""
    if not bias.questions:
        return ""
    # no p-value: no wrong answer had more than one letter to choose from
    if bias.p_value is None or bias.statistic is None:
        return "There are too few wrong answers to tell whether the student prefers a letter."
    most = max(bias.letters, key=lambda row: row.wrong - row.expected)
    found = (
        f"Wrong answers favour ({most.letter}): {most.wrong:,} of {bias.wrong:,}; {most.expected:.1f} are "
        "expected without a preference"
        if bias.p_value < 0.05  # the usual level
        else f"The {bias.wrong:,} wrong answers show no preference for a letter"
    )
    method = ", by Monte Carlo" if bias.method == "Monte Carlo" else ""
    return (
        f"{found} (chi-square {bias.statistic:.1f}, {bias.freedom} d.f., p {equals_p(bias.p_value)}{method})."
    )


def letter_bias_table(bias: LetterBias) -> Html:
    """By letter: how often it was chosen, how often it is right, and the accuracy where it is right."""
    rows = [
        (
            f"({row.letter})",
            row.offered,
            row.chosen,
            row.accuracy.total,
            percent(row.accuracy.share, row.accuracy.low, row.accuracy.high),
            row.wrong,
            Figure(f"{row.expected:.1f} [{row.expected_low:.1f}, {row.expected_high:.1f}]"),
        )
        for row in bias.letters
    ]
    head = [
        "letter",
        "offered",
        "chosen",
        "right",
        "accuracy where right",
        "wrong answers",
        "expected without a preference",
    ]
    unread = f" {bias.unread:,} answers name no option." if bias.unread else ""
    return table(rows, head, letter_bias_sentence(bias) + unread)


def order_table(both: Consistency | None) -> Html:
    """Do answers stay the same when the options are in reverse order? None when this was not measured."""
    if both is None:
        return table(
            [], [], "no question with options was asked in reverse order (robust: reverse does that)"
        )
    shares = {
        "right in the given order": both.as_asked,
        "right in reverse order": both.in_reverse,
        "right in both orders (robust)": both.robust,
        "same option in both orders": both.same,
    }
    change = both.change
    caption = (
        f"{both.questions:,} questions asked in both orders; in reverse order {in_points(change.gain)} points "
        f"[{in_points(change.low)}, {in_points(change.high)}], by images p {equals_p(both.p_value)}"
    )
    return share_table(shares, caption)


def confusion_table(types: TypeConfusion, most: int = 40) -> Html:
    """Pairs of known type and teacher's type with the student's accuracy, for the `most` largest pairs."""
    largest = sorted(types.pairs, key=lambda pair: -pair.accuracy.total)[:most]
    rows = [
        (
            plain_name(pair.known),
            plain_name(pair.teacher),
            "yes" if pair.known == pair.teacher else "no",
            pair.accuracy.total,
            percent(pair.accuracy.share, pair.accuracy.low, pair.accuracy.high),
        )
        for pair in types.pairs
        if pair in largest
    ]
    whole = percent(types.overall.share, types.overall.low, types.overall.high).text
    hidden = len(types.pairs) - len(rows)
    caption = f"The teacher gives the known type to {whole} of {types.compared:,} questions"
    if hidden:
        caption += f"; {hidden} smaller pairs are not listed"
    return table(rows, ["known type", "teacher's type", "agree", "questions", "accuracy"], caption)


def agreement_table(types: TypeConfusion) -> Html:
    """How often the teacher gives questions their known type, lowest agreement first."""
    rows = [
        (plain_name(kind), share.total, percent(share.share, share.low, share.high))
        for kind, share in sorted(types.agreement.items(), key=lambda row: (row[1].share, row[0]))
    ]
    return table(
        rows, ["known type", "questions", "teacher agrees"], "Agreement of the teacher by known type"
    )
