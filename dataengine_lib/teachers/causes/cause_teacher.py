"""Step 2: asks a teacher for a type's causes and for each case's cause; replies that were paid for are not asked again."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget, most_schema_tokens, usage_of
from dataengine_lib.chat.ledger import Ledger, PaidReply, PaidTotal
from dataengine_lib.chat.messages import user_message
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply
from dataengine_lib.chat.request_key import key_of
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
from dataengine_lib.teachers.loading import load_chat

TEACHER = "teacher"
SHOWN_CASES = 40  # of a type, from which its causes are named
ASSIGNED_AT_ONCE = 20  # cases in one request
CAUSE_SCHEMA_TOKENS = max(map(most_schema_tokens, (NAMES_SCHEMA, ASSIGNED_SCHEMA)))

_Request = PaidRequest[None]


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
        price = read_prices(prices).of(spec)

        def price_of(row: PaidReply) -> float | None:
            return None if price is None else price.of(row)

        self.spec, self.settings, self._price = spec, settings, price
        self._used: dict[str, PaidTotal] = {}  # by key, so that a reply counts once
        self.ledger = Ledger(Path(ledger), price_of, waits=True)
        self.budget = Budget(budget_usd, price, "", self.ledger, CAUSE_SCHEMA_TOKENS)
        # prompts are made later, and none can be cheaper than an empty one
        self.budget.check([PaidRequest("", "", None)], settings.max_output_tokens, spec)
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
        with self.ledger:
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
        file = CausesFile(TEACHER, "", {}, usage_of(self._used.values(), self._price))
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
        keys = {name: self._key(prompt) for name, prompt in prompts.items()}
        missing = {
            keys[name]: prompt
            for name, prompt in prompts.items()
            if self._text(keys[name]) is None or self._cut_off(keys[name])
        }
        if missing:
            run(self._ask(missing, schema))
        found = {name: self._text(key) for name, key in keys.items()}
        self._used |= {key: self.ledger.paid[key] for key in keys.values() if key in self.ledger.paid}
        unsent = sum(text is None for text in found.values())
        if unsent and self.budget.stopped:
            self.failures.append(self.budget.stopped)
        if cut := sum(map(self._cut_off, keys.values())):
            limit = self.settings.max_output_tokens
            self.failures.append(
                f"{limit:,} output tokens cut off {cut:,} of {len(keys):,} replies; raise max_output_tokens"
            )
        return {name: text for name, text in found.items() if text is not None}

    def _key(self, prompt: str) -> str:
        # Changing what is in here changes all keys: replies in existing ledgers would be paid for once more.
        canonical = {
            "causes": self.spec,
            "server": self.settings.base_url,
            "text": prompt,
            "settings": self.settings.model_dump(include={"temperature", "max_output_tokens", "seed"}),
        }
        return key_of(canonical)

    def _text(self, key: str) -> str | None:
        paid = self.ledger.paid.get(key)
        return None if paid is None or paid.failed else paid.text

    def _cut_off(self, key: str) -> bool:
        paid = self.ledger.paid.get(key)
        return paid is not None and paid.finish_reason == "length"

    async def _ask(self, prompts: Mapping[str, str], schema: dict[str, Any]) -> None:
        async with load_chat(self.spec, self.settings) as chat:

            def requests() -> Iterator[_Request]:
                for key, prompt in prompts.items():
                    yield PaidRequest(key, prompt, None)

            async def send(request: _Request, max_output_tokens: int, may_retry: MayRetry) -> Reply:
                return await chat.complete(
                    user_message(request.prompt, ""), schema=schema, may_retry=may_retry
                )

            def on_failure(request: _Request, failure: AskFailed) -> None:
                self.failures.append(str(failure))

            paid = PaidRequests(
                self.budget,
                self.settings,
                send,
                lambda request: {"asked": self.spec},
                stop_sending=chat.stop_sending,
            )
            await paid.ask_all(requests(), lambda request, reply: None, on_failure)


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
