"""Step 1: asks a model to grade answers to open-ended questions; a reply that was paid for is never requested again."""

from collections.abc import Sequence
from pathlib import Path

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.records import OPEN, Answer
from dataengine_lib.evaluation.judge.verdicts import VERDICT_SCHEMA, JudgeVerdict, judge_prompt, read_verdict
from dataengine_lib.teachers.text_model.text_model import TextModel


class AnswerJudge:
    """Grades answers with the chat model `spec`, within `budget_usd` US dollars for all of `ledger`.

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
        self.model = TextModel("judge", spec, settings, ledger, [VERDICT_SCHEMA], budget_usd, prices)
        self._asked: list[str] = []  # keys of the answers judged last

    def verdicts(self, answers: Sequence[Answer]) -> list[JudgeVerdict]:
        """A row for each answer to an open-ended question; an empty answer is not correct, and not sent.

        Raises TeacherStop when no request can succeed, and ParameterError when there is a budget and the ledger holds
        replies without a price; replies until then stay in the ledger.
        """
        rows = [(answer, self._row(answer)) for answer in answers if answer.answer_kind == OPEN]
        failures: dict[str, str] = {}
        with self.model.ledger:
            prompts = [judge_prompt(answer) for answer, row in rows if row.judged is None]
            asked = {self.model.key(prompt): prompt for prompt in prompts}
            missing = {key: prompt for key, prompt in asked.items() if self._verdict(key) is None}
            self.model.ask(missing, VERDICT_SCHEMA, failures.__setitem__)
        # of these answers alone: the ledger may hold those of another student
        self._asked = list(asked)
        for answer, row in rows:
            if row.judged is not None:
                continue
            key = self.model.key(judge_prompt(answer))
            if found := self._verdict(key):
                row.judged, row.reason = found
            elif key in self.model.ledger.paid:
                row.failure = failures.get(key, "its reply has no verdict")
            else:
                row.failure = failures.get(key) or self.model.budget.stopped or "not asked"
        return [row for _, row in rows]

    def usage(self) -> StudentUsage:
        """What the replies about the answers judged last took, those that the ledger held included."""
        return self.model.usage(self._asked)

    def _row(self, answer: Answer) -> JudgeVerdict:
        return JudgeVerdict(
            question_id=answer.question_id,
            question=answer.question,
            accepted=answer.direct_answers,
            answer=answer.model_answer,
            question_type=answer.question_type,
            split=answer.split,
            rule_score=answer.score,
            rule_correct=answer.correct,
            judge=self.model.spec,
            judged=None if answer.model_answer.strip() else False,
        )

    def _verdict(self, key: str) -> tuple[bool, str] | None:
        reply = self.model.reply(key)
        return None if reply is None else read_verdict(reply.text)
