"""Step 0: asks the teacher for the types of questions, a batch of them in each request."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.ledger import Ledger, LedgerRow
from dataengine_lib.chat.messages import user_message
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.records import OPEN, YES_NO, Question, options_text
from dataengine_lib.core.text import one_line
from dataengine_lib.questions.categories import CategorySet
from dataengine_lib.replies.type_reply import parse_types, types_schema
from dataengine_lib.resources import CLASSIFY_PROMPTS
from dataengine_lib.teachers.loading import load_chat
from dataengine_lib.teachers.spec import recorded_name

_TypePrompt = Callable[[list[Question]], str]
_Request = PaidRequest[list[str]]  # about the questions with these keys


def load_type_prompt(choice: str | Path, categories: CategorySet) -> _TypePrompt:
    """A function `questions -> prompt` from a built-in name or a Jinja file.

    Raises ParameterError naming the file and what is wrong with it.
    """
    file = CLASSIFY_PROMPTS.file(choice)
    template = PromptTemplate(file, names="types, items", remedy=CLASSIFY_PROMPTS.hint())
    types = [(name, categories.definition(name)) for name in categories.names]

    def render(questions: list[Question]) -> str:
        # One line each: a line break in a question must not look like an item of the list.
        items = [
            (number, one_line(row.question), one_line(_shown_choices(row)))
            for number, row in enumerate(questions, 1)
        ]
        return template.render(types=types, items=items)

    return render


def _shown_choices(question: Question) -> str:
    """The choices as the prompt shows them; of a question without options, how it is answered."""
    kinds = {YES_NO: "yes or no", OPEN: "none, the answer is free"}
    return kinds.get(question.answer_kind) or options_text(question.choices)


class QuestionClassifier:
    """Asks the teacher `spec` which of the types `names` each question of `wanted` has; their keys are the caller's.

    `types` holds the answers by question key, those in `ledger` included. `requests` counts batches sent, `illegal`
    names that are not types, `foreign` answers about items that were not in the prompt; `failed` says why requests got
    no usable reply.
    """

    def __init__(
        self,
        spec: str,
        settings: ChatSettings,
        prompt: _TypePrompt,
        names: list[str],
        wanted: dict[str, Question],
        ledger: Ledger,
        budget: Budget,
    ) -> None:
        self.spec, self.settings, self.prompt, self.names = spec, settings, prompt, names
        self.wanted, self.ledger, self.budget = wanted, ledger, budget
        self.types: dict[str, str] = {}
        self.illegal: Counter[str] = Counter()
        self.failed: list[str] = []
        self.requests = self.foreign = 0
        # Answers of another teacher, or to another prompt, do not count for this one.
        # The prompt without questions holds the template, the types and their definitions.
        asked = f"{recorded_name(spec)}\n{prompt([])}".encode()
        self._answer_cache_key = hashlib.sha256(asked).hexdigest()[:8]

    def classify(self, batch_size: int, max_asks: int) -> None:
        """Ask about the questions that the ledger has no type for, each at most `max_asks` times.

        Raises ParameterError when the budget is too small for one request, TeacherStop when the teacher is down.
        """
        with self.ledger:
            for key in self.wanted:
                if known := self.ledger.question_types.get(self._answer_key(key)):
                    self.types[key] = known
            if missing := self._missing():
                # The first batch is checked here, every batch once more before it is sent.
                first = self._request(missing[:batch_size])
                self.budget.check([first], self.settings.max_output_tokens, self.spec)
                self._bar = progress_bar(
                    total=len(self.wanted),
                    initial=len(self.types),
                    desc="classifying questions",
                )
                with self._bar:
                    run(self._ask(batch_size, max_asks))
        if self.budget.stopped:
            self.failed.append(self.budget.stopped)

    def _answer_key(self, key: str) -> str:
        return f"{self._answer_cache_key}-{key}"

    def _missing(self) -> list[str]:
        return [key for key in self.wanted if key not in self.types]

    def _request(self, keys: list[str]) -> _Request:
        prompt = self.prompt([self.wanted[key] for key in keys])
        # Two questions may have the same text, and so two requests the same key: each reserves its own money.
        return PaidRequest(key_of(self._canonical(prompt)), prompt, keys, name=keys[0])

    def _canonical(self, prompt: str) -> dict[str, Any]:
        return {"model": recorded_name(self.spec), "messages": user_message(prompt, "")}

    async def _ask(self, batch_size: int, max_asks: int) -> None:
        schema = types_schema(self.names)
        async with load_chat(self.spec, self.settings) as chat:

            async def send(request: _Request, max_output_tokens: int, may_retry: MayRetry) -> Reply:
                return await chat.complete(
                    user_message(request.prompt, ""), schema=schema, may_retry=may_retry
                )

            paid = PaidRequests(
                self.budget,
                self.settings,
                send,
                self._row_fields,
                stop_sending=chat.stop_sending,
            )
            # Each pass asks about what the replies of the passes before left without a valid type.
            for _ in range(max_asks):
                missing = [] if self.budget.stopped else self._missing()
                # rounded up: the last batch may be smaller
                self.requests += -(-len(missing) // batch_size)
                await paid.ask_all(self._batches(missing, batch_size), self._on_reply, self._on_failure)

    def _batches(self, keys: list[str], batch_size: int) -> Iterator[_Request]:
        # one at a time, when it is sent: the prompts of all would be in memory otherwise
        for start in range(0, len(keys), batch_size):
            yield self._request(keys[start : start + batch_size])

    def _row_fields(self, request: _Request) -> dict[str, Any]:
        return {
            "teacher": recorded_name(self.spec),
            "tier": self.budget.tier,
            "request": self._canonical(request.prompt),
        }

    def _on_reply(self, request: _Request, reply: Reply) -> None:
        if reply.finish_reason in ("length", "refusal", "content_filter"):
            limit = self.settings.max_output_tokens
            why = f" ({reply.problem})" if reply.problem else ""
            self.failed.append(f"a reply ended by {reply.finish_reason}{why}, with max_output_tokens={limit}")
        # A reply that was cut off counts too: the types before the cut are complete.
        types, illegal = parse_types(after_reasoning(reply.text)[0], self.names, len(request.subject))
        self.illegal.update(illegal)
        self.foreign += sum(not 1 <= number <= len(request.subject) for number in types)
        for number, key in enumerate(request.subject, 1):
            if number in types:
                self.types[key] = types[number]
                self.ledger.add(LedgerRow(key=self._answer_key(key), question_type=types[number]))
                self._bar.update()

    def _on_failure(self, request: _Request, failure: AskFailed) -> None:
        self.failed.append(str(failure))
