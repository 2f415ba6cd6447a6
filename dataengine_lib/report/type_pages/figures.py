"""What became of each question type, round by round (all steps): from bad cases to what was fixed and broken."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class TypeRound:
    """One type in one round; None where it is not known, and for bad cases about which nothing was asked.

    `after` is the evaluation after the last round, which is no round of its own. `trained` counts examples of the type's
    new QAs that the training drew, `cost_usd` US dollars of the replies. `fixed` and `broken` compare the evaluation with
    the next one, on all questions that they share.
    """

    round: int
    questions: int = 0
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    bad_cases: int | None = 0
    queries: int | None = 0
    replies: int | None = 0
    kept: int | None = 0
    dropped: int | None = 0
    trained: int | None = None
    fixed: int | None = None
    broken: int | None = None
    cost_usd: float | None = None
    after: bool = False


@dataclass
class TypeStory:
    """One question type in all rounds, in their order, and why its QAs were dropped."""

    question_type: str
    rounds: list[TypeRound] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def total(self, name: str) -> float | None:
        """The sum of a figure over the rounds; None where no round knows it."""
        known = [value for one in self.rounds if (value := getattr(one, name)) is not None]
        return sum(known) if known else None

    @property
    def evaluated(self) -> list[TypeRound]:
        """The rounds in which the type was evaluated."""
        return [one for one in self.rounds if one.questions]


def type_stories(
    types: "pd.DataFrame",
    replies: "pd.DataFrame",
    records: "pd.DataFrame",
    comparison: "pd.DataFrame",
    trained: Mapping[int, Mapping[str, int]],
) -> list[TypeStory]:
    """Each type's figures, the one that was weakest at first before the others.

    The frames are those of `load_run`; `trained` has, by round and type, how many examples the training drew. Accuracies
    are of the holdout split where it has questions of the type, else of the diagnose split, else of all questions.
    """
    stories: dict[str, TypeStory] = {}
    changes = _changes(comparison)
    costs = _costs(replies)
    # the last evaluation's round has no changes after it
    names = set(each_against_the_next(comparison)["before"])
    rows = types.to_dict("records")
    asked = {row["round"] for row in rows if row["queries"] or row["replies"]}
    for row in rows:
        kind, number = str(row["question_type"]), int(row["round"])
        story = stories.setdefault(kind, TypeStory(kind))
        compared = row["evaluation"] in names
        counts: dict[str, Any] = {
            name: int(row[name]) for name in ("bad_cases", "queries", "replies", "kept", "dropped")
        }
        after = bool(asked) and number > max(asked)
        if after:
            counts = dict.fromkeys(counts)
        story.rounds.append(
            TypeRound(
                number,
                **_accuracy(row),
                **counts,
                trained=trained[number].get(kind, 0) if number in trained else None,
                fixed=changes[row["evaluation"], kind, "fixed"] if compared else None,
                broken=changes[row["evaluation"], kind, "broken"] if compared else None,
                cost_usd=costs.get((number, kind)),
                after=after,
            )
        )
    for row in records.loc[~records["kept"], ["question_type", "reason"]].to_dict("records"):
        if row["question_type"] in stories:
            stories[row["question_type"]].reasons[row["reason"]] += 1
    return sorted(stories.values(), key=_weakest_first)


def each_against_the_next(comparison: "pd.DataFrame") -> "pd.DataFrame":
    """The rows that compare each evaluation with the next: with several, those of the first and the last are others."""
    pairs = list(dict.fromkeys(zip(comparison["before"], comparison["after"], strict=True)))
    if len(pairs) < 2:
        return comparison
    first, last = pairs[0]
    return comparison[~((comparison["before"] == first) & (comparison["after"] == last))]


def _changes(comparison: "pd.DataFrame") -> Counter[tuple[str, str, str]]:
    """How many questions changed, by the earlier evaluation, type and outcome."""
    steps = each_against_the_next(comparison)
    return Counter(zip(steps["before"], steps["question_type"], steps["outcome"], strict=True))


def _costs(replies: "pd.DataFrame") -> dict[tuple[int, str], float]:
    """US dollars by round and type; left out where a reply's cost is not known."""
    sums: dict[tuple[int, str], float] = {}
    for number, kind, cost in zip(
        replies["round"], replies["question_type"], replies["cost_usd"], strict=True
    ):
        key = (int(number), str(kind))
        sums[key] = sums.get(key, 0.0) + float(cost)
    return {key: cost for key, cost in sums.items() if not math.isnan(cost)}


def _accuracy(row: Mapping[str, Any]) -> dict[str, Any]:
    """Questions, accuracy and interval of the split that shows what was learned."""
    for prefix in ("holdout_", "diagnose_", ""):
        if row[f"{prefix}questions"]:
            found = {name: float(row[f"{prefix}{name}"]) for name in ("accuracy", "low", "high")}
            return found | {"questions": int(row[f"{prefix}questions"])}
    return {}


def _weakest_first(story: TypeStory) -> tuple[float, str]:
    first = story.evaluated[:1]
    return (first[0].accuracy or 0.0 if first else math.inf, story.question_type)


def most_frequent(reasons: Mapping[str, int], most: int = 3) -> Sequence[tuple[str, int]]:
    """The reasons with most QAs."""
    return sorted(reasons.items(), key=lambda row: (-row[1], row[0]))[:most]


def interval_words(one: TypeRound) -> str:
    """`62.0 % [50.1, 72.3]`, or a dash."""
    if one.accuracy is None or one.low is None or one.high is None:
        return "–"
    return f"{100 * one.accuracy:.1f} % [{100 * one.low:.1f}, {100 * one.high:.1f}]"
