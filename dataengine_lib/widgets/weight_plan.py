"""Weights of question types by hand (steps 1 and 2): presets by rule, and the queries and price that each share gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dataengine_lib.core.files import write_json
from dataengine_lib.core.statistics import Interval
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.weights import (
    ACCURACY_RULES,
    AccuracyRule,
    WeightInterval,
    type_weights,
    weight_table,
)

if TYPE_CHECKING:
    from dataengine_lib.runs.opened.opened_run import OpenedRun

AS_WRITTEN = "as step 1 wrote"
UNIFORM = "uniform"
_DECIMALS = 3  # of a weight, as in weight.json
_POINT_DECIMALS = 6  # of a sum of scores: accuracy times questions is inexact


class TypeFacts(NamedTuple):
    """What is known of a question type in the round: accuracy and interval of its diagnose questions, bad cases.

    `accuracy` is None where nothing was asked.
    """

    accuracy: float | None
    low: float
    high: float
    questions: int
    bad_cases: int


class PlannedShare(NamedTuple):
    """A type's queries by its weight, of those that step 2 writes, and their price in US dollars; None: not known.

    `target` says that a target of step 2 sets the number, whatever the weight.
    """

    queries: float
    usd: float | None
    target: bool = False


@dataclass
class WeightPlan:
    """The types of one round, whose weights a person chooses; `queries` is what step 2 writes in all (its maxnum).

    `presets` has weights by type for each rule of step 1, and those that it wrote, which come first. `prices` are US
    dollars a query by type, from what the run paid. `targets` are numbers of queries that step 2's parameters set.
    """

    round: int
    facts: dict[str, TypeFacts]
    presets: dict[str, dict[str, float]]
    intervals: dict[AccuracyRule, dict[str, WeightInterval]]
    queries: int
    prices: dict[str, float] = field(default_factory=dict)
    targets: dict[str, int] = field(default_factory=dict)

    def shares(self, weights: Mapping[str, float]) -> dict[str, PlannedShare]:
        """Each type's queries and price. Step 2 rounds them up or down; a type without bad cases gets none.

        Targets are taken first, and weights share the rest, as in `queries.sampling.draw_drafts`.
        """
        targets = {kind: number for kind, number in self.targets.items() if kind in self.facts}
        rest = max(0, self.queries - sum(targets.values()))
        drawn = {
            kind: weights.get(kind, 0.0)
            for kind, facts in self.facts.items()
            if facts.bad_cases and kind not in targets
        }
        total = sum(drawn.values())
        found = {}
        for kind, facts in self.facts.items():
            if kind in targets:
                queries = float(targets[kind] if facts.bad_cases else 0)
            else:
                queries = rest * drawn.get(kind, 0.0) / total if total else 0.0
            price = self.prices.get(kind)
            found[kind] = PlannedShare(queries, None if price is None else queries * price, kind in targets)
        return found

    def total(self, weights: Mapping[str, float]) -> PlannedShare:
        """All queries and their price, which is not known where that of one type with queries is not."""
        shares = [share for share in self.shares(weights).values() if share.queries]
        prices = [share.usd for share in shares]
        known = [price for price in prices if price is not None]
        usd = sum(known) if prices and len(known) == len(prices) else None
        return PlannedShare(sum(share.queries for share in shares), usd)

    def interval(self, kind: str, preset: str) -> WeightInterval | None:
        """The 95 % interval of a type's weight by the rule of the preset; by 1-acc where it is no rule of accuracies."""
        rule: AccuracyRule = next((rule for rule in ACCURACY_RULES if rule == preset), ACCURACY_RULES[0])
        return self.intervals.get(rule, {}).get(kind)

    def write(self, file: Path, weights: Mapping[str, float]) -> Path:
        """Write the weights as step 2 reads them with `weight: FILE`; whole, or not at all.

        Raises ParameterError when no type with bad cases has a weight: step 2 could draw nothing.
        """
        drawn = [kind for kind, facts in self.facts.items() if facts.bad_cases and weights.get(kind)]
        if not drawn:
            raise ParameterError(f"{file}: no type with bad cases has a weight; raise at least one")
        return write_json(file, {kind: round(weights.get(kind, 0.0), _DECIMALS) for kind in self.facts})


def weight_plan(run: "OpenedRun", round_: int | None = None) -> WeightPlan:
    """The plan for the queries about the bad cases of a round, by default the last one that has some.

    Raises DataEngineError when no round has bad cases, or `round_` has none.
    """
    types = run.types
    rounds = sorted(set(types.loc[types["bad_cases"] > 0, "round"].tolist()))
    if not rounds or (round_ is not None and round_ not in rounds):
        where = f"round {round_}" if rounds else "any round"
        raise DataEngineError(f"{run.folder}: no bad cases in {where}; open a run that step 1 has measured")
    number = rounds[-1] if round_ is None else round_
    rows: list[dict[str, Any]] = types[types["round"] == number].to_dict("records")
    facts = {
        row["question_type"]: TypeFacts(
            row["diagnose_accuracy"] if row["diagnose_questions"] else None,
            row["diagnose_low"],
            row["diagnose_high"],
            row["diagnose_questions"],
            row["bad_cases"],
        )
        for row in rows
    }
    written = {row["question_type"]: row["weight"] for row in rows if row["weight"] == row["weight"]}
    presets, intervals = _by_rule(facts)
    if written:
        # a type that step 1 gave no weight has the mean of the others in step 2
        mean = sum(written.values()) / len(written)
        presets = {AS_WRITTEN: {kind: written.get(kind, mean) for kind in facts}} | presets
    asked = _parameters(run)
    queries = asked.get("maxnum") or max(1, int((run.queries["round"] == number).sum()) or len(run.queries))
    return WeightPlan(
        number,
        facts,
        presets,
        intervals,
        int(queries),
        _prices(run, list(facts)),
        dict(asked.get("targets") or {}),
    )


def _by_rule(
    facts: Mapping[str, TypeFacts],
) -> tuple[dict[str, dict[str, float]], dict[AccuracyRule, dict[str, WeightInterval]]]:
    """The weights by every rule that needs accuracies alone, and their intervals; only uniform where nothing was asked."""
    counts = {
        kind: (round((one.accuracy or 0.0) * one.questions, _POINT_DECIMALS), one.questions)
        for kind, one in facts.items()
    }
    presets = {UNIFORM: dict.fromkeys(facts, 1.0)}
    if not any(total for _, total in counts.values()):
        return presets, {}
    ends = {kind: Interval(one.low, one.high) for kind, one in facts.items() if one.questions}
    table = weight_table(counts, ends)
    rules: dict[str, dict[str, float]] = {rule: type_weights(counts, rule) for rule in ACCURACY_RULES}
    return {**rules, **presets}, {
        rule: {kind: table[kind][rule] for kind in facts} for rule in ACCURACY_RULES
    }


def _parameters(run: "OpenedRun") -> dict[str, Any]:
    """The parameters of step 2, none where it has not run."""
    try:
        return run.parameters("construct_queries")
    except DataEngineError:
        return {}


def _prices(run: "OpenedRun", kinds: list[str]) -> dict[str, float]:
    """US dollars a query of each type, by what the run's replies cost; the mean of all types where one has none.

    Empty where no cost is known: a reply of unknown cost is no cheap one.
    """
    replies = run.replies[["question_type", "cost_usd"]].dropna()
    if not len(replies):
        return {}
    mean = float(replies["cost_usd"].mean())
    by_type = replies.groupby("question_type")["cost_usd"].mean().to_dict()
    return {kind: float(by_type.get(kind, mean)) for kind in kinds}
