"""Step 1: a student behind an OpenAI-compatible server: its answers are read as text, or its options are ranked."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.chat.messages import jpeg_bytes
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import AskFailed, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.records import LETTERS
from dataengine_lib.replies.json_reply import letter_schema
from dataengine_lib.students.interface import RankedText
from dataengine_lib.students.on_server.asking import Failures, StudentServer
from dataengine_lib.students.on_server.first_token_requests import (
    BY_LETTER,
    IN_WORDS,
    ranked_prompt,
    read_first_token,
)
from dataengine_lib.students.on_server.first_tokens import FirstToken
from dataengine_lib.students.on_server.prompt_tokens import OptionTokens, stored_tokens
from dataengine_lib.students.on_server.rank_counts import RankCounts, rank_counts
from dataengine_lib.students.on_server.requests import AskedQuestion, StudentRequest
from dataengine_lib.students.on_server.scoring_call import CALLS, ScoringCall, find_call
from dataengine_lib.students.on_server.written_answers import written_answer


class ApiStudent:
    """Asks `model` about pictures; a request that has a reply in `ledger` is never sent, or paid for, again.

    Pass the same Image object for questions about one image: it is then encoded once. `max_side` is the most pixels of
    a picture's longer side. `settings.max_output_tokens` has to suffice for models that reason before they answer.
    With `whole_texts`, options are ranked by the log-probabilities of all their tokens, else by the answer's first token;
    `ranked` counts the requests for that. `budget_usd` limits what all of `ledger` costs; `price_of` gives the prices of
    other models whose replies are in it. Raises ParameterError when the server is OpenAI and OPENAI_API_KEY is not set,
    and when one request may cost more than the budget.
    """

    def __init__(
        self,
        model: str,
        settings: ChatSettings,
        *,
        ledger: Path,
        max_side: int = 1024,
        whole_texts: bool = False,
        price: Price | None = None,
        price_of: Callable[[str], Price | None] | None = None,
        budget_usd: float | None = None,
    ) -> None:
        self._server = StudentServer(model, settings, Path(ledger), price, price_of, budget_usd)
        self._chat, self.ledger = self._server.chat, self._server.ledger
        self.settings, self.max_side, self.whole_texts = settings, max_side, whole_texts
        self._call: ScoringCall | None = None  # by which whole texts are scored; known after the first reply
        # what was ranked, by request key
        self._first_tokens: dict[str, FirstToken] = {}
        self._option_tokens: dict[str, OptionTokens | None] = {}

    @property
    def sent(self) -> int:
        """HTTP requests sent since it was made, retries included."""
        return self._chat.sent

    def usage(self) -> StudentUsage:
        """Tokens and cost of all replies used since it was made, those that the ledger held included."""
        return self._server.usage()

    @property
    def ranked(self) -> RankCounts:
        """Counts of all requests that were ranked since it was made, each once."""
        call = CALLS[self._call] if self._call else ""
        return rank_counts(self._first_tokens.values(), self._option_tokens.values(), call)

    def rank(
        self,
        images: Sequence[Image.Image | None],
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: RankedText = "letter",
    ) -> list[list[float] | AskFailed]:
        """The score of each option of `prompts[i]`, higher is better, or why there is none.

        By the first token: its log-probability as the answer's first token, of which one is asked for. Options are known
        by their letters, or with `scored="words"` by the one word that each is (Yes, No). With `whole_texts`: the mean
        log-probability of the tokens of ` (A) dog` behind `The answer is`, with one request for each option; of ` (A)` or
        ` dog` alone as `scored` says.

        AskFailed is `declined` where the tokens that the server lists cannot tell. Raises TeacherStop when no request can
        succeed, and where the server lists no tokens.
        """
        if self.whole_texts:
            return self._rank_texts(images, prompts, choices, scored)
        asked = [ranked_prompt(*one, scored) for one in zip(prompts, choices, strict=True)]
        requests = self._server.requests(
            AskedQuestion(text, jpeg, row, logprobs_of="first_token")
            for jpeg, (text, _), row in zip(self._jpegs(images), asked, choices, strict=True)
        )
        failures = self._ask_missing(requests)
        return [
            failures.get(request.key) or self._first_token_scores(request, names)
            for request, (_, names) in zip(requests, asked, strict=True)
        ]

    def generate(
        self,
        images: Sequence[Image.Image | None],
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        max_new_tokens: int = 8,
    ) -> list[str | AskFailed]:
        """What the student answers to `prompts[i]` about `images[i]` (None: no image is sent), or why it gave no answer.

        With `choices`, the options in the prompts, a server that supports schemas makes it answer with a letter or
        `cannot tell`; a letter that is also an option's text is returned as `(A) its option`. The prompt asks for
        short answers, and `max_new_tokens` is not used: it would cut off models that reason. Raises TeacherStop when
        no request can succeed (key refused, model not served, quota used up, server unreachable).
        """
        ending = IN_WORDS if choices is None else BY_LETTER
        options = [None] * len(prompts) if choices is None else choices
        requests = self._server.requests(
            AskedQuestion(f"{prompt}\n{ending}", jpeg, row, None if row is None else letter_schema(row))
            for jpeg, prompt, row in zip(self._jpegs(images), prompts, options, strict=True)
        )
        failures = self._ask_missing(requests)
        return [failures.get(request.key) or self._answer(request) for request in requests]

    def _rank_texts(
        self,
        images: Sequence[Image.Image | None],
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: RankedText,
    ) -> list[list[float] | AskFailed]:
        jpegs = self._jpegs(images)

        def asked_by(call: ScoringCall) -> list[list[StudentRequest]]:
            return [
                self._server.requests(
                    AskedQuestion(prompt, jpeg, logprobs_of=call, option=option)
                    for option in _options(row, scored)
                )
                for jpeg, prompt, row in zip(jpegs, prompts, choices, strict=True)
            ]

        if not prompts:
            return []
        if self._call is None:
            self._call = self._known_call(asked_by) or find_call(
                self._chat.where, asked_by, self._ask_missing, self.ledger
            )
        if self._call == "text_prompt" and any(jpegs):
            raise TeacherStop(
                f"{self._chat.where}: scores texts by {CALLS[self._call]}, which shows no images; set rank to letter or "
                "generate"
            )
        asked = asked_by(self._call)
        failures = self._ask_missing([request for row in asked for request in row])
        return [self._option_scores(row, failures) for row in asked]

    def _known_call(
        self, asked_by: Callable[[ScoringCall], list[list[StudentRequest]]]
    ) -> ScoringCall | None:
        """The call by which an earlier run has scored one of these texts."""
        with self.ledger:
            paid = self.ledger.paid
            return next(
                (
                    call
                    for call in CALLS
                    if any(
                        one.key in paid and paid[one.key].prompt_logprobs
                        for row in asked_by(call)
                        for one in row
                    )
                ),
                None,
            )

    def _ask_missing(self, requests: Sequence[StudentRequest]) -> Failures:
        return self._server.ask(requests, self._has_answer)

    def _has_answer(self, request: StudentRequest) -> bool:
        """Whether the ledger holds an answer, or that the student declined; any other reply is asked for once more."""
        row = self.ledger.paid.get(request.key)
        if row is None:
            return False
        if request.subject.logprobs_of == "first_token":
            return bool(row.top_logprobs)
        if request.subject.logprobs_of:
            # a server that lists other tokens of a prompt once will do so again; before it has listed any, it is tried
            return bool(row.prompt_logprobs) or (self._call is not None and not row.failed)
        answer = self._answer(request)
        return not isinstance(answer, AskFailed) or answer.declined

    def _jpegs(self, images: Sequence[Image.Image | None]) -> list[bytes]:
        """The images as they are sent, empty for none."""
        found: dict[int, bytes] = {}
        for image in images:
            # by identity: questions about one image share the object, and the caller keeps it alive
            if id(image) not in found:
                found[id(image)] = b"" if image is None else jpeg_bytes(image, self.max_side)
        return [found[id(image)] for image in images]

    def _first_token_scores(self, request: StudentRequest, names: Sequence[str]) -> list[float] | AskFailed:
        """The scores in the last reply to a request, or why there are none."""
        row = self.ledger.paid[request.key]
        if not row.top_logprobs:
            return AskFailed("the reply lists no probable tokens", teacher_at_fault=False)
        self._first_tokens[request.key], scores = read_first_token(row.top_logprobs, names)
        return scores

    def _option_scores(
        self, requests: Sequence[StudentRequest], failures: Failures
    ) -> list[float] | AskFailed:
        """The scores of a question's options, from the last replies to their requests, or why there are none."""
        scores: list[float] = []
        for request in requests:
            if failure := failures.get(request.key):
                return failure
            found = stored_tokens(self.ledger.paid[request.key].prompt_logprobs, request.subject.option)
            self._option_tokens[request.key] = found
            scores += [] if found is None else [found.score]
        if len(scores) < len(requests):
            reason = "cannot tell: the tokens that the server lists of the prompt do not end with the option"
            return AskFailed(reason, teacher_at_fault=False, declined=True)
        return scores

    def _answer(self, request: StudentRequest) -> str | AskFailed:
        """The answer in the last reply to a request, or why there is none."""
        row = self.ledger.paid[request.key]
        return written_answer(row, request.subject.choices, self.settings.max_output_tokens)


def _options(choices: Sequence[str], scored: RankedText) -> list[str]:
    """` (A) dog`, ` (A)` or ` dog`, as `The answer is` continues in training texts and for a student loaded here."""
    return [
        (f" ({LETTERS[place]})" if scored != "words" else "")
        + (f" {text.strip()}" if scored != "letter" else "")
        for place, text in enumerate(choices)
    ]
