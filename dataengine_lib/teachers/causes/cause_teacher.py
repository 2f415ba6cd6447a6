"""Step 2: asks a teacher for a type's causes and for each case's cause; replies that were paid for are not asked again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from dataengine_lib.chat.budget import most_schema_tokens
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.causes.causes_file import Cause, CausesFile, FoundCauses, TypeCauses
from dataengine_lib.queries.causes.find_causes import CauseSettings, count_cases
from dataengine_lib.teachers.causes.prompts import (
    ASSIGNED_SCHEMA,
    NAMES_SCHEMA,
    assign_prompt,
    names_prompt,
    read_assigned,
    read_names,
)
from dataengine_lib.teachers.text_model.text_model import TextModel

TEACHER = "teacher"
SHOWN_CASES = 40  # of a type, from which its causes are named
ASSIGNED_AT_ONCE = 20  # cases in one request
_CUT_OFF = "length"  # see reply_end
_SCHEMAS = (NAMES_SCHEMA, ASSIGNED_SCHEMA)
CAUSE_SCHEMA_TOKENS = max(map(most_schema_tokens, _SCHEMAS))


class CauseTeacher:
    """Asks the chat model `spec`, within `budget_usd` US dollars for all of `ledger`.

    `failures` says why requests got no usable reply; what is found says what the replies took.
    Raises ParameterError when a budget is given and the model has no price, or one request may cost more.
    """

    def __init__(
        self,
        spec: str,
        settings: ChatSettings,
        ledger: Path,
        budget_usd: float | None = None,
        prices: Path | None = None,
    ) -> None:
        self.model = TextModel("causes", spec, settings, ledger, _SCHEMAS, budget_usd, prices)
        self._asked: list[str] = []  # keys of what was asked for
        self.failures: list[str] = []

    def find(
        self,
        cases: Mapping[str, Sequence[BadCase]],
        settings: CauseSettings,
        earlier: CausesFile | None = None,
    ) -> FoundCauses:
        """The causes of each type, and which cases have them; a type that `earlier` has keeps its causes.

        A type is asked about where it has cases for two causes. Cases that no cause explains, or of a cause with fewer than
        `min_cases` in its first round, are those of a last one without a name, and so are cases that the replies leave out;
        the causes of such a type have no count of this round.
        Raises TeacherStop when no request can succeed; replies until then stay in the ledger.
        """
        known = earlier.types if earlier else {}
        with self.model.ledger:
            names = {
                name: [cause.name for cause in of_type.causes if cause.name]
                for name, of_type in known.items()
            }
            asked = {
                name: names_prompt(name, _sample(of_type, f"causes {settings.seed} {name}"), settings.most)
                for name, of_type in cases.items()
                if name not in known and len(of_type) >= 2 * settings.min_cases
            }
            for name, text in self._replies(asked, NAMES_SCHEMA).items():
                names[name] = read_names(text, settings.most)
                if not names[name]:
                    self.failures.append(f"the reply about {name} names no cause")
            parts = {
                (name, start): cases[name][start : start + ASSIGNED_AT_ONCE]
                for name, found in names.items()
                if found
                for start in range(0, len(cases.get(name, [])), ASSIGNED_AT_ONCE)
            }
            prompts = {key: assign_prompt(key[0], part, names[key[0]]) for key, part in parts.items()}
            assigned: dict[str, dict[int, int]] = {}
            for (name, start), text in self._replies(prompts, ASSIGNED_SCHEMA).items():
                number = len(parts[name, start])
                of_part = read_assigned(text, number, len(names[name]))
                if left := number - len(of_part):
                    self.failures.append(f"the reply about {name} leaves out {left} of {number} cases")
                assigned.setdefault(name, {}).update(
                    {start + place: cause for place, cause in of_part.items()}
                )
        file = CausesFile(TEACHER, "", {}, self.model.usage(self._asked))
        members = {}
        for name in dict.fromkeys([*known, *cases]):
            of_type = cases.get(name, [])
            if name in known or of_type:
                groups = _groups(assigned.get(name, {}), len(of_type), len(names.get(name, [])))
                causes = [Cause(one) for one in names.get(name, [])]
                if name in known:
                    rounds = {cause.name: cause.by_round for cause in known[name].causes}
                    causes = [Cause(one.name, by_round=dict(rounds[one.name])) for one in causes]
                    causes.append(Cause("", by_round=dict(rounds.get("", {}))))
                else:
                    causes, groups = _large_enough(causes, groups, settings.min_cases)
                complete = len(causes) == 1 or len(assigned.get(name, {})) == len(of_type)
                count_cases(causes, of_type, groups, settings.round if complete else None)
                file.types[name], members[name] = TypeCauses(causes), groups
        return FoundCauses(file, members)

    def _replies(self, prompts: Mapping[Any, str], schema: dict[str, Any]) -> dict[Any, str]:
        """The replies to the prompts by their names; without those that failed.

        One that was cut off is asked for once more by a later run; until then what it holds is used.
        """
        keys = {name: self.model.key(prompt) for name, prompt in prompts.items()}
        self._asked += keys.values()
        missing = {
            keys[name]: prompt
            for name, prompt in prompts.items()
            if (known := self.model.reply(keys[name])) is None or known.finish_reason == _CUT_OFF
        }
        self.model.ask(missing, schema, lambda key, why: self.failures.append(why))
        found = {name: reply for name, key in keys.items() if (reply := self.model.reply(key)) is not None}
        if len(found) < len(keys) and self.model.budget.stopped:
            self.failures.append(self.model.budget.stopped)
        if cut := sum(reply.finish_reason == _CUT_OFF for reply in found.values()):
            limit = self.model.settings.max_output_tokens
            self.failures.append(
                f"{limit:,} output tokens cut off {cut:,} of {len(keys):,} replies; raise max_output_tokens"
            )
        return {name: reply.text for name, reply in found.items()}


def _sample(cases: Sequence[BadCase], seed: str) -> list[BadCase]:
    places = Random(seed).sample(range(len(cases)), min(SHOWN_CASES, len(cases)))
    return [cases[place] for place in sorted(places)]


def _groups(assigned: Mapping[int, int], cases: int, causes: int) -> list[list[int]]:
    """The places of each cause's cases; the last group has those without a cause."""
    groups: list[list[int]] = [[] for _ in range(causes + 1)]
    for place in range(cases):
        groups[assigned.get(place, -1)].append(place)
    return groups


def _large_enough(
    causes: Sequence[Cause], groups: Sequence[list[int]], min_cases: int
) -> tuple[list[Cause], list[list[int]]]:
    """Causes with `min_cases` cases, and then one without a name for all other cases, where there are any."""
    large = [place for place in range(len(causes)) if len(groups[place]) >= min_cases]
    rest = sorted(case for place, group in enumerate(groups) if place not in large for case in group)
    found, members = [causes[place] for place in large], [groups[place] for place in large]
    return ([*found, Cause("")], [*members, rest]) if rest or not found else (found, members)
