"""Step 6: what the last round says about another one, and whether the experiment's `until` ends the rounds here."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.statistics import in_points
from dataengine_lib.core.text import first_named
from dataengine_lib.evaluation.rounds.figures import Comparison, NextRound
from dataengine_lib.evaluation.rounds.verdicts import verdict_words

_NO_GAIN = "no question type gained beyond its corrected interval"


class StopRule(NamedTuple):
    """When the rounds end: after one in which no type gains, or in which a point costs more US dollars than this."""

    no_type_gains: bool = False
    max_usd_per_point: float | None = None


class _Cost(msgspec.Struct):
    cost_usd: float | None = None


class _Asked(msgspec.Struct):
    """A reader, a judge, or the content of `causes.json`; without `usage` where no model was asked."""

    usage: _Cost | None = None


class _Checks(msgspec.Struct):
    readers: dict[str, _Asked] = {}


class _Metrics(msgspec.Struct):
    """Of `metrics.json`, what the judge of open-ended answers cost."""

    judge: _Asked = msgspec.field(default_factory=_Asked)


class _Curation(msgspec.Struct):
    """Of `post_process.json`, what its readers cost."""

    checks: _Checks = msgspec.field(default_factory=_Checks)


def round_cost(
    usage: Path, post_process: Path | None, causes: Path | None = None, metrics: Path | None = None
) -> float | None:
    """What a round's teachers, readers and judge cost in US dollars; None where a price is not known or `usage` is missing.

    The files are `usage.json`, `post_process.json`, where causes were looked for `causes.json`, and `metrics.json` of the
    evaluation that followed, whose answers a judge may have graded.
    """
    if not usage.is_file():
        return None
    teacher: _Cost = read_json(usage, _Cost)
    costs = [teacher.cost_usd]
    if post_process is not None and post_process.is_file():
        curation: _Curation = read_json(post_process, _Curation)
        readers = curation.checks.readers.values()
        costs += [reader.usage.cost_usd for reader in readers if reader.usage is not None]
    if causes is not None:
        named: _Asked = read_json(causes, _Asked)
        costs += [named.usage.cost_usd] if named.usage is not None else []
    if metrics is not None:
        measured: _Metrics = read_json(metrics, _Metrics)
        costs += [measured.judge.usage.cost_usd] if measured.judge.usage is not None else []
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def judge_last_round(
    last: Comparison, cost_usd: float | None, rule: StopRule, weakest: Sequence[str]
) -> NextRound:
    """What `rule` says after the comparison `last` of a round with the one before; `weakest` types are asked for next.

    `cost_usd` is what the round cost, None where that is not known. A type gains where its verdict is a real gain, after
    Holm's correction. The price of a point is by the gain of all questions; a round that cost something and gained
    nothing has no price that is low enough.
    """
    gained = [kind for kind, paired in last.by_type.items() if paired.verdict == "gain"]
    points = 100 * last.overall.gain.gain
    price = cost_usd / points if cost_usd is not None and points > 0 else None
    reasons = []
    if rule.no_type_gains and not gained:
        few = sum(paired.verdict == "too few" for paired in last.by_type.values())
        unsure = f" ({few} of {len(last.by_type)} have too few questions to tell)" if few else ""
        reasons.append(f"{_NO_GAIN} in the last round{unsure}")
    if rule.max_usd_per_point is not None and cost_usd:
        limit = f"more than {rule.max_usd_per_point:g} a point"
        if price is None:
            reasons.append(f"the last round cost {cost_usd:.2f} US dollars and gained nothing, {limit}")
        elif price > rule.max_usd_per_point:
            reasons.append(f"a point cost {price:.2f} US dollars in the last round, {limit}")
    facts = _facts(last, gained, cost_usd, price)
    if rule.max_usd_per_point is not None and cost_usd is None:
        facts += "; what it cost is not known, so max_usd_per_point cannot be judged"
    asked = f"; another round would ask most about {first_named(list(weakest))}" if weakest else ""
    return NextRound(
        stop=bool(reasons),
        reason=f"stop, as {' and '.join(reasons)}" if reasons else f"{facts}{asked}",
        gained=gained,
        cost_usd=cost_usd,
        usd_per_point=price,
        weakest=list(weakest),
    )


def _facts(last: Comparison, gained: Sequence[str], cost_usd: float | None, price: float | None) -> str:
    """What the last round gained and cost, as the beginning of a sentence."""
    number = len(last.by_type)
    types = f"{len(gained)} of {number} types gained ({first_named(list(gained))})" if gained else _NO_GAIN
    words = verdict_words(last.overall.verdict, last.overall.gain.questions)
    text = f"in the last round {types}, all questions together {in_points(last.overall.gain.gain)} points ({words})"
    if cost_usd:
        text += f" for {cost_usd:.2f} US dollars" + ("" if price is None else f", {price:.2f} a point")
    return text
