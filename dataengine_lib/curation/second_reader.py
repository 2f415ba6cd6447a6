"""Step 4: a teacher answers a training question again without seeing its answer, with the picture or blind."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dataengine_lib.chat.ask_many import run
from dataengine_lib.chat.budget import Budget, check_priced
from dataengine_lib.chat.ledger import Ledger, PaidReply, PaidTotal, StudentUsage, usage_of
from dataengine_lib.chat.messages import data_url, jpeg_bytes, user_message
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed, MayRetry, Reply
from dataengine_lib.chat.request_key import key_of
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import inside
from dataengine_lib.core.records import Query, TrainRecord
from dataengine_lib.curation.reader_prompt import BLIND_READER, SECOND_READER, load_reader_prompt, other_order
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.decode import read_image
from dataengine_lib.images.pool import ImagePool, PoolImage
from dataengine_lib.replies.answer_choice import written_choice
from dataengine_lib.replies.answer_words import behind_thoughts
from dataengine_lib.replies.json_reply import letter_schema, structured_answer
from dataengine_lib.teachers.loading import load_chat
from dataengine_lib.teachers.spec import check_spec

CANNOT_SAY = -1  # the reader was asked and named no choice
READER_OUTPUT_TOKENS = 2000  # of a reply: models that reason spend most of them before they answer


def check_reader(spec: str) -> str:
    """`spec` itself when it names a teacher that can be asked anything; raises ValueError for others."""
    if spec.partition(":")[0] not in ("openai", "playground"):
        raise ValueError(f"{spec} cannot be asked anything; choose openai:MODEL or playground")
    return check_spec(spec)


class _Question(NamedTuple):
    """What a request asks about: a record's question, and the file of its picture where that is sent."""

    record: TrainRecord
    picture: Path | None


_Request = PaidRequest[_Question]


class SecondReader:
    """Answers records' questions; what `ledger` holds is never asked, or paid for, again.

    `pool` holds the captions and boxes that the reader is given. With `attach_image` it is sent the picture under
    `image_root` as well, its longer side at most `max_side` pixels, and captions and boxes where `pool` is given.
    With `blind` it is given neither and always has to name a choice: how often it is right shows how many
    questions need no picture. `spec` is `openai:MODEL` or `playground`, see `check_reader`.

    `budget_usd` US dollars are the most that all of `ledger` may come to, whoever paid and when; the reader
    `before`, which shares it, goes first. Records that no money was left for are counted in `unasked`, and
    `stopped` says why.

    Raises ParameterError when what the reader is to be given is missing, or the price that a budget needs.
    """

    def __init__(
        self,
        spec: str,
        ledger: Path,
        settings: ChatSettings,
        *,
        pool: ImagePool | None = None,
        blind: bool = False,
        attach_image: bool = False,
        image_root: Path | None = None,
        template: Path | None = None,
        max_side: int = 1024,
        budget_usd: float | None = None,
        before: "SecondReader | None" = None,
    ) -> None:
        check_reader(spec)
        if not blind and attach_image and image_root is None:
            raise ParameterError("second reader: it is to be sent the pictures; give image_root")
        if not blind and not attach_image and pool is None:
            raise ParameterError(
                "second reader: it needs captions and boxes, or the picture; give coco_dataset"
            )
        self.spec, self.settings = spec, settings
        self.blind, self.pool = blind, None if blind else pool
        self.image_root = image_root if attach_image and not blind else None
        self._prices = read_prices()
        self.ledger = Ledger(Path(ledger), self._price, waits=True)
        self.budget = Budget(budget_usd, self._prices.of(spec), "", lambda: self.ledger.spent_usd)
        least = Query(image_id=-1, prompt="", question_type="", attach_image=self.image_root is not None)
        self.budget.check([least], settings.max_output_tokens, spec, remedy="raise it")
        self.before, self.unasked, self.max_side = before, 0, max_side
        self._fill = load_reader_prompt(template or (BLIND_READER if blind else SECOND_READER))
        self._used: set[str] = set()

    def answers(self, records: Sequence[TrainRecord]) -> tuple[list[int | None], list[str]]:
        """The place of the choice that the reader takes for each record, and why some got no answer.

        CANNOT_SAY where it named none; None where there is no answer: image not known, request failed, reply refused
        or cut off, budget used up. Records are asked in their order, none behind the first that the budget
        does not allow. Raises TeacherStop when asking on makes no sense, ParameterError when there is a budget
        and the ledger holds replies without a price; what was answered stays in the ledger.
        """
        found: list[int | None] = [None] * len(records)
        lost: dict[str, str] = {}
        keys: list[str] = []
        for record in records:
            request = self._request(record)
            keys.append(request if isinstance(request, str) else request.key)
            if isinstance(request, str):
                lost[request] = request
        with self.ledger:
            wanted: dict[str, int] = {}
            for place, key in enumerate(keys):
                if key not in lost and key not in self.ledger.paid:
                    wanted.setdefault(key, place)
            if wanted and not self.stopped:
                run(self._ask(records, list(wanted.values()), lost))
        for place, (key, record) in enumerate(zip(keys, records, strict=True)):
            if (row := self.ledger.paid.get(key)) is not None:
                self._used.add(key)
                said = _said(row, record, other_order(record, self.settings.seed), may_pass=not self.blind)
                if isinstance(said, str):
                    lost[key] = said
                else:
                    found[place] = said
            elif key not in lost:
                self.unasked += 1
        return found, sorted(set(lost.values()))

    def usage(self) -> StudentUsage:
        """What all answers took since the reader was made, those that the ledger held included."""
        return usage_of([self.ledger.paid[key] for key in self._used], self._prices.of(self.spec))

    @property
    def stopped(self) -> str:
        """Why nothing more is asked, in one line; empty as long as there is money."""
        return self.budget.stopped or (self.before.stopped if self.before else "")

    def _price(self, row: PaidReply) -> float | None:
        asked = row.asked or f"openai:{row.model}"
        price = self._prices.of(asked)
        if self.budget.limit is not None:
            check_priced(price, f"{asked}, of which {self.ledger.file} holds replies")
        return None if price is None else price.of(row)

    def _request(self, record: TrainRecord) -> _Request | str:
        """What is sent for a record, or why nothing can be."""
        image: PoolImage | None = None
        if self.pool is not None and (image := self.pool.find(record.image_id)) is None:
            return f"image {record.image_id} is not in {self.pool.root}"
        picture, digest = None, ""
        if self.image_root is not None:
            try:
                picture = inside(self.image_root, record.image_path or (image.path if image else ""))
                digest = hashlib.sha256(picture.read_bytes()).hexdigest()
            except (DataEngineError, OSError) as error:
                return f"picture of image {record.image_id} cannot be read ({error})"
        order = other_order(record, self.settings.seed)
        text = self._fill(
            record.question, [record.choices[place] for place in order], image, picture is not None
        )
        asked = {
            "teacher": self.spec,
            "server": self.settings.base_url if self.spec.startswith("openai:") else None,
            "text": text,
            "picture": [digest, self.max_side] if digest else None,
            "settings": self.settings.model_dump(include={"temperature", "max_output_tokens", "seed"}),
        }
        return PaidRequest(key_of(asked), text, _Question(record, picture), attach_image=picture is not None)

    async def _ask(self, records: Sequence[TrainRecord], places: Sequence[int], lost: dict[str, str]) -> None:
        from tqdm.auto import tqdm

        def requests() -> Iterator[_Request]:
            for place in places:  # made again rather than held: 100,000 prompts are 200 MB
                request = self._request(records[place])
                if isinstance(request, PaidRequest):
                    yield request

        def on_reply(request: _Request, reply: Reply) -> None:
            bar.update()

        def on_failure(request: _Request, failure: AskFailed) -> None:
            lost[request.key] = str(failure)
            bar.update()

        what = "asking the blind reader" if self.blind else "asking the second reader"
        with tqdm(total=len(places), desc=what, disable=None) as bar:
            async with load_chat(self.spec, self.settings) as chat:

                async def send(request: _Request, max_output_tokens: int, may_retry: MayRetry) -> Reply:
                    record, picture = request.subject
                    url = await asyncio.to_thread(_picture_url, picture, self.max_side) if picture else ""
                    schema = letter_schema(record.choices, may_pass=not self.blind)
                    message = user_message(request.prompt, url)
                    return await chat.complete(message, schema=schema, may_retry=may_retry)

                paid = PaidRequests(
                    self.ledger, self.budget, self.settings, send, lambda request: {"asked": self.spec}
                )
                # None behind the first that is too expensive, though a cheaper one might fit: which records
                # are asked has to be easy to tell.
                await paid.ask_all(requests(), on_reply, on_failure, lambda: bool(self.stopped))


def _picture_url(file: Path, max_side: int) -> str:
    image = read_image(file)
    if isinstance(image, str):
        raise AskFailed(image, teacher_at_fault=False)
    return data_url(jpeg_bytes(image, max_side))


def _said(row: PaidTotal, record: TrainRecord, order: Sequence[int], may_pass: bool) -> int | str:
    """The record's choice that a reply names, or why the reply is no answer."""
    if row.finish_reason in ("refusal", "content_filter"):
        return "the reader refused to answer"
    text, unfinished = behind_thoughts(row.text)
    shown = [record.choices[place] for place in order]
    said = structured_answer(text, shown)
    named = None if unfinished else written_choice(text if said is None else said, shown)
    if named is not None:
        return order[named]
    return "a reply was cut off; raise max_output_tokens" if row.finish_reason == "length" else CANNOT_SAY
