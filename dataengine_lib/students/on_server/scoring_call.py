"""Step 1, `rank: text` of a student behind a server: by which call the server gives log-probabilities of a prompt."""

import logging
from collections.abc import Callable, Sequence
from typing import Literal

from dataengine_lib.chat.ledger import Ledger
from dataengine_lib.chat.reply import AskFailed, NotOffered, TeacherStop, UnusableReply
from dataengine_lib.students.on_server.requests import StudentRequest

_log = logging.getLogger(__name__)

ScoringCall = Literal["chat_prompt", "text_prompt"]
# The first one asks with the model's chat template, and with images.
CALLS: dict[ScoringCall, str] = {
    "chat_prompt": "prompt_logprobs of /chat/completions",
    "text_prompt": "echo of /completions",
}
_NO_LIST = "lists no tokens of the prompt"

_AskedBy = Callable[[ScoringCall], list[list[StudentRequest]]]


def find_call(
    where: str,
    asked_by: _AskedBy,
    ask: Callable[[Sequence[StudentRequest]], dict[str, AskFailed]],
    ledger: Ledger,
) -> ScoringCall:
    """Try each call with the first option of a question: one paid request for each, of one token.

    `asked_by` gives the requests of every question for a call, `ask` sends some and returns the failures by their keys,
    and replies are in `ledger`. Raises TeacherStop, naming `where`, when the server gives no log-probabilities of prompts.
    """
    reasons: list[str] = []
    stopped: TeacherStop | None = None
    for call, name in CALLS.items():
        trials = [row[0] for row in asked_by(call) if row]
        if call == "text_prompt" and any(trial.attach_image for trial in trials):
            reasons.append(f"{name}: not tried, as it shows no images")
            continue
        try:
            reason = _try(trials, ask, ledger)
        except TeacherStop as error:
            # of a model that has the other call alone; any other reason stops that one too
            if stopped:
                raise stopped from None
            stopped = error
            continue
        if not reason:
            _log.info("%s: scores whole texts by %s", where, name)
            return call
        reasons.append(f"{name}: {reason}")
    if stopped:
        raise stopped
    raise TeacherStop(
        f"{where}: gives no log-probabilities of a prompt, which rank: text needs ({'; '.join(reasons)}); set rank to "
        "letter or generate"
    )


def _try(
    trials: Sequence[StudentRequest],
    ask: Callable[[Sequence[StudentRequest]], dict[str, AskFailed]],
    ledger: Ledger,
) -> str:
    """Why the server does not score texts by the call of these requests; empty where it does."""
    failure: AskFailed | None = None
    for trial in trials:
        failure = ask([trial]).get(trial.key)
        if failure is None:
            return "" if ledger.paid[trial.key].prompt_logprobs else _NO_LIST
        if isinstance(failure, NotOffered):
            return str(failure)
        if isinstance(failure, UnusableReply):
            return _NO_LIST
        if failure.teacher_at_fault:
            raise TeacherStop(str(failure))
        # refused for what is in it, or too long: another request can tell
    return str(failure or "nothing was asked")
