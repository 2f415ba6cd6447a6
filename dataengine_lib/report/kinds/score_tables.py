"""Report of step 1 on yes/no and open-ended questions: the scores of their public scripts, with intervals."""

from collections.abc import Iterator

import msgspec

from dataengine_lib.evaluation.judge.agreement import JudgeAgreement
from dataengine_lib.evaluation.metrics import Metrics, SplitScore
from dataengine_lib.evaluation.scores.intervals import Estimate
from dataengine_lib.evaluation.scores.mme import MmeScores
from dataengine_lib.evaluation.scores.open_scores import OpenScores
from dataengine_lib.evaluation.scores.yes_no import YesNoScore, YesNoScores
from dataengine_lib.report.names import plain_name
from dataengine_lib.report.tables import Figure, Html, percent, table

_INTERVALS = "intervals: bootstrap over images"
_YES_NO_HEAD = ["answers read", "questions", "accuracy", "precision", "recall", "F1", "yes-rate"]


def kind_tables(metrics: Metrics) -> str:
    """The tables of all splits, and of a judge, as HTML; empty where every question has options."""
    text = "".join(part.text for name, scores in metrics.splits.items() for part in _of_split(name, scores))
    return text if isinstance(metrics.judge, msgspec.UnsetType) else text + _judge_table(metrics.judge).text


def has_other_kinds(metrics: Metrics) -> bool:
    """Whether some questions are yes/no or open-ended ones."""
    return any(
        not isinstance(part, msgspec.UnsetType)
        for scores in metrics.splits.values()
        for part in (scores.yes_no, scores.open)
    )


def _of_split(name: str, scores: SplitScore) -> Iterator[Html]:
    if not isinstance(scores.yes_no, msgspec.UnsetType):
        yield _yes_no_table(name, scores.yes_no)
        if scores.yes_no.mme:
            yield _mme_table(name, scores.yes_no.mme)
    if not isinstance(scores.open, msgspec.UnsetType):
        yield _open_table(name, scores.open)


def _yes_no_table(split: str, found: YesNoScores) -> Html:
    rows = [("as yes or no", found.scores), ("by POPE's script", found.pope)]
    rows += [(f"by POPE's script, {plain_name(kind)}", one) for kind, one in found.by_category.items()]
    caption = (
        f"yes/no questions of the {split} split; {found.unread:,} answers say neither yes nor no and count as wrong, "
        f"POPE's script takes them for yes; {_INTERVALS}"
    )
    return table([(name, *_figures(one)) for name, one in rows], _YES_NO_HEAD, caption)


def _figures(one: YesNoScore) -> list[object]:
    shares = (one.accuracy, one.precision, one.recall, one.f1, one.yes_rate)
    return [one.questions, *(percent(share.value, share.low, share.high) for share in shares)]


def _mme_table(split: str, mme: MmeScores) -> Html:
    rows: list[tuple[object, ...]] = [
        (
            plain_name(kind),
            one.images,
            percent(one.accuracy.value, one.accuracy.low, one.accuracy.high),
            percent(one.accuracy_plus.value, one.accuracy_plus.low, one.accuracy_plus.high),
            _points(one.score),
        )
        for kind, one in mme.categories.items()
    ]
    images = sum(one.images for one in mme.categories.values())
    rows += [
        (f"sum: {name}", images, Figure("–"), Figure("–"), _points(one)) for name, one in mme.sums.items()
    ]
    left_out = (
        f"; {mme.unpaired:,} questions without a second one on their image left out" if mme.unpaired else ""
    )
    caption = f"MME's score of the {split} split: accuracy + accuracy+, in percent, by category{left_out}"
    return table(rows, ["category", "images", "accuracy", "accuracy+", "score"], caption)


def _points(one: Estimate) -> Figure:
    return Figure("–" if one.value is None else f"{one.value:.1f} [{one.low:.1f}, {one.high:.1f}]")


def _judge_table(found: JudgeAgreement) -> Html:
    kappa = found.kappa
    shown = "–" if kappa.value is None else f"{kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]"
    agreement, accuracy = found.agreement, found.accuracy
    rows = [
        ("correct by the judge", percent(accuracy.share, accuracy.low, accuracy.high)),
        ("rule and judge say the same", percent(agreement.share, agreement.low, agreement.high)),
        ("Cohen's kappa", Figure(shown)),
        ("correct by the rule alone", Figure(f"{found.rule_only:,}")),
        ("correct by the judge alone", Figure(f"{found.judge_only:,}")),
    ]
    caption = (
        f"{found.judge} graded {found.judged:,} of {found.answers:,} open-ended answers, all splits; its verdicts stand "
        f"beside the rule's in judge.json and change no score{_usage_text(found)}"
    )
    return table(rows, ["judge", "value"], caption)


def _usage_text(found: JudgeAgreement) -> str:
    """The judge's replies, tokens and cost, as the end of a caption."""
    if isinstance(used := found.usage, msgspec.UnsetType):
        return ""
    cost = "price not known" if used.cost_usd is None else f"{used.cost_usd:.2f} US dollars"
    return f"; {used.replies:,} replies with {used.prompt_tokens + used.completion_tokens:,} tokens, {cost}"


def _open_table(split: str, found: OpenScores) -> Html:
    rows = [
        (rule, one.questions, percent(one.score.value, one.score.low, one.score.high))
        for rule, one in found.by_rule.items()
    ]
    caption = f"open-ended questions of the {split} split; {found.empty:,} answers are empty; {_INTERVALS}"
    return table(rows, ["scored by", "questions", "mean score"], caption)
