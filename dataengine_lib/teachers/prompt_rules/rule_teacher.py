"""Prompt studio: asks a model for better rules; a reply that was paid for is never requested again."""

from pathlib import Path

from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.teachers.prompt_rules.prompts import RULES_SCHEMA, Proposal, read_proposal
from dataengine_lib.teachers.text_model.text_model import TextModel

_CUT_OFF = "length"  # see reply_end


class RuleTeacher:
    """Asks the chat model `spec`, within `budget_usd` US dollars for all of `ledger`.

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
        self.model = TextModel("rules", spec, settings, ledger, [RULES_SCHEMA], budget_usd, prices)

    def known(self, prompt: str) -> Proposal | None:
        """The proposal that the ledger has to a `revision_prompt`; None where it was not asked, or has no usable reply."""
        with self.model.ledger:
            return self._proposal(self.model.key(prompt))

    def propose(self, prompt: str) -> Proposal:
        """Better rules by a `revision_prompt`; asked for only where the ledger has no reply.

        `model.budget.stopped` says when the budget did not allow the request. Raises TeacherStop when none can succeed.
        """
        key = self.model.key(prompt)
        failures: list[str] = []
        with self.model.ledger:
            found = self._proposal(key)
            if found is None:
                self.model.ask({key: prompt}, RULES_SCHEMA, lambda _, why: failures.append(why))
                found = self._proposal(key)
        return found or Proposal([], problem=failures[0] if failures else self.model.budget.stopped)

    def _proposal(self, key: str) -> Proposal | None:
        reply = self.model.reply(key)
        if reply is None:
            return None
        # not asked once more: the key has the output limit, so a higher one is another request
        if reply.finish_reason == _CUT_OFF:
            limit = self.model.settings.max_output_tokens
            return Proposal(
                [], problem=f"the reply was cut off at {limit:,} tokens; raise rules_output_tokens"
            )
        return read_proposal(reply.text)
