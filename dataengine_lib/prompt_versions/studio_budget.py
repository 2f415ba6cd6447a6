"""Prompt studio: what QAs, proposals and readers cost together, and how much of `budget_usd` the next requests may take."""

from collections.abc import Sequence
from pathlib import Path

from dataengine_lib.chat.budget import SCHEMA_TOKENS, asked_ledger
from dataengine_lib.chat.paid_requests import PaidRequest
from dataengine_lib.chat.prices import most_tokens, read_prices
from dataengine_lib.core.records import Query
from dataengine_lib.errors import DataEngineError
from dataengine_lib.prompt_versions.settings import StudioSettings
from dataengine_lib.teachers.reply_files import LEDGER

PROPOSALS, READERS = "proposals_ledger.jsonl", "readers_ledger.jsonl"
READER_TOKENS = 2000  # of a reader's reply, as in step 4
_READER_PROMPT = "x" * 4000  # as long as most that a reader is asked
_NO_REQUEST_USD = 1e-9  # a budget, which has to be above 0, that allows no request with a price


class BudgetSpent(DataEngineError):
    """The rest of `budget_usd` does not allow the next requests; what was paid for is kept."""


class StudioBudget:
    """The settings' `budget_usd` for all ledgers below `replies`, whichever run paid."""

    def __init__(self, settings: StudioSettings, replies: Path) -> None:
        self.settings, self.replies = settings, replies

    def spent_usd(self) -> float:
        """US dollars to count against the budget: of QAs, proposals and readers, of this run and of earlier ones."""
        return sum(map(self._spent, (LEDGER, PROPOSALS, READERS)))

    def limit(
        self,
        ledger: str,
        spec: str,
        requests: Sequence[Query | PaidRequest[None]],
        max_output_tokens: int,
        tier: str = "",
    ) -> float | None:
        """US dollars that a ledger may come to in all when `requests`, to which it has no reply, are sent to a model.

        None: there is no budget, or they cost nothing. Raises BudgetSpent when one may cost more than what is left.
        """
        budget, price = self.settings.budget_usd, read_prices(self.settings.prices).of(spec)
        if budget is None or price is None:  # without a price, what is asked says so
            return budget
        dearest = 0.0
        for request in requests:
            tokens = most_tokens(request.prompt) + SCHEMA_TOKENS + request.attach_image * price.image_tokens
            dearest = max(dearest, price.most(tokens, max_output_tokens, tier))
        if not dearest:
            return None
        if dearest > budget - self.spent_usd():
            raise self.spent()
        return self._left_for(ledger)

    def readers_limit(self) -> float | None:
        """As `limit`, of the second readers, of which only their answers show what they were not asked yet."""
        if self.settings.budget_usd is None or not self.settings.second_reader:
            return None
        if not (self.replies / READERS).is_file():
            request = PaidRequest("", _READER_PROMPT, None)
            for reader in self.settings.second_reader:
                self.limit(READERS, reader.model, [request], READER_TOKENS)
        # what is left may be too little for any request, and replies that the ledger holds are read all the same
        return max(self._left_for(READERS), _NO_REQUEST_USD)

    def spent(self) -> BudgetSpent:
        """The error that ends what cannot be paid."""
        return BudgetSpent(
            f"budget_usd {self.settings.budget_usd:g}: {self.spent_usd():.4f} spent, too little is left for the next "
            "requests; raise budget_usd to go on"
        )

    def _spent(self, ledger: str) -> float:
        file = self.replies / ledger
        if not file.is_file():
            return 0.0
        prices = read_prices(self.settings.prices)
        with asked_ledger(file, prices.of) as read:
            return read.spent_usd

    def _left_for(self, ledger: str) -> float:
        """The budget without what the other ledgers have cost."""
        assert self.settings.budget_usd is not None
        others = (one for one in (LEDGER, PROPOSALS, READERS) if one != ledger)
        return self.settings.budget_usd - sum(map(self._spent, others))
