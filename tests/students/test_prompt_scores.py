"""Options ranked as whole texts by the log-probabilities of a prompt, by the calls of vLLM, SGLang and OpenAI."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from echoing.first_tokens import completion, first_token_server, llama_cpp_form
from echoing.prompt_scores import Scored, chat_text, echo_reply, toy_tokens, vllm_reply
from PIL import Image
from student_questions import CHOICES, PROMPTS
from tiny_models import save_tiny_llava

from dataengine_lib.chat.messages import jpeg_bytes
from dataengine_lib.chat.reply import AskFailed, TeacherStop
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.students.chat_texts import prompt_with_answer_start
from dataengine_lib.students.inputs import encode_prompts
from dataengine_lib.students.loading import load_student
from dataengine_lib.students.on_server.api_student import ApiStudent
from dataengine_lib.students.on_server.prompt_tokens import option_tokens, stored_tokens
from dataengine_lib.students.on_server.rank_counts import RankCounts

Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]
PARTIAL = "\ufffd"


def scored(*tokens: str) -> Scored:
    return [(token, -float(number)) for number, token in enumerate(tokens)]


@pytest.mark.parametrize(
    ("tokens", "option", "generated", "found"),
    [
        ([" answer", " is", " (", "A", ")", " dog"], " (A) dog", 0, [" (", "A", ")", " dog"]),
        # as some servers decode tokens one by one: white space is lost, or written as a mark
        (["The", "answer", "is", "(", "A", ")", "dog"], " (A) dog", 0, ["(", "A", ")", "dog"]),
        (["▁answer", "▁is", "▁", "(A", ")", "▁dog"], " (A) dog", 0, ["▁", "(A", ")", "▁dog"]),
        # one token holds the end of the prompt and the start of the option
        ([" answer", " is (", "A", ")", " dog"], " (A) dog", 0, [" is (", "A", ")", " dog"]),
        # the question asks with the same words; the option says them too
        (
            ["The answer is (A)? The answer", " is", " The", " answer is"],
            " The answer is",
            0,
            [" The", " answer is"],
        ),
        # a token that was generated behind the prompt, or none where it was the end of the reply
        ([" answer", " is", " a", " dog", " dog"], " a dog", 1, [" a", " dog"]),
        ([" answer", " is", " a", " dog"], " a dog", 1, [" a", " dog"]),
        # characters in two tokens
        ([" is", " 在", PARTIAL, PARTIAL, "里"], " 在哪里", 0, [" 在", PARTIAL, PARTIAL, "里"]),
        # the template closes the answer, or another text was scored
        ([" is", " a", " dog", "<|im_end|>"], " a dog", 0, None),
        ([" is", " a", PARTIAL, " cow"], " a dog", 0, None),
        ([" a", " dog"], " a dog", 0, None),
        ([], " a dog", 1, None),
    ],
)
def test_the_tokens_of_an_option(
    tokens: list[str], option: str, generated: int, found: list[str] | None
) -> None:
    start = "is" if "The" not in tokens[0:1] else "The answer is"
    tokens_of = option_tokens(scored(*tokens), start, option, generated)
    assert (tokens_of and [token for token, _ in tokens_of.tokens]) == found
    if tokens_of and found:
        assert tokens_of.joined == (found[0] == " is (")
        assert tokens_of.score == pytest.approx(mean(logprob for _, logprob in tokens_of.tokens))
        assert stored_tokens(tokens_of.tokens, option) == tokens_of


def student(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> ApiStudent:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-9876")
    settings = ChatSettings(base_url=url, concurrency=4, max_attempts=2, **options)
    return ApiStudent("m", settings, ledger=folder / "ledger.jsonl", whole_texts=True)


OPTIONS = [["dog", "cat", "cow"]] * 4


def ranked(asked: ApiStudent, *, images: bool) -> list[list[float] | AskFailed]:
    pictures = [Image.new("RGB", (8, 8), (number, 0, 0)) if images else None for number in range(4)]
    prompts = [f"q{number}: The answer is what?\n(A) dog (B) cat (C) cow" for number in range(4)]
    return asked.rank(pictures, prompts, OPTIONS, "text")


def score(token: str) -> float:
    return -0.25 - (sum(token.encode()) % 7) / 4


# " (", "A", ")", " dog": what the toy servers make of each option
EXPECTED = [
    mean(map(score, (" (", letter, ")", f" {word}"))) for letter, word in zip("ABC", OPTIONS[0], strict=True)
]


def by_chat(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A server such as vLLM."""
    assert (body["prompt_logprobs"], body["continue_final_message"], body["add_generation_prompt"]) == (
        0,
        True,
        False,
    )
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"]
    return 200, vllm_reply(toy_tokens(chat_text(body), score))


def by_text(refusal: tuple[int, dict[str, Any]]) -> Answer:
    """A server such as SGLang, or OpenAI's older models, that gives `refusal` to the other call."""

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if "messages" in body:
            return refusal
        assert (body["echo"], body["logprobs"], body["max_tokens"]) == (True, 1, 1)
        return 200, echo_reply(body["prompt"], toy_tokens(body["prompt"], score))

    return answer


def openai_error(status: int, message: str, **more: Any) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": message, "type": "invalid_request_error", "code": None, **more}}


NO_CHAT = openai_error(
    404, "This is not a chat model and thus not supported in the v1/chat/completions endpoint.", param="model"
)
NOT_COMPLETED = openai_error(404, "This is a chat model and not supported in the v1/completions endpoint.")
UNKNOWN = openai_error(400, "Unrecognized request argument supplied: prompt_logprobs")
# ignored: a reply without a list
IGNORED = (200, completion(None, " x"))


@pytest.mark.parametrize(
    ("answer", "images", "tried", "call"),
    [
        (by_chat, True, 0, "prompt_logprobs of /chat/completions"),
        (by_chat, False, 0, "prompt_logprobs of /chat/completions"),
        (by_text(IGNORED), False, 1, "echo of /completions"),
        (by_text(UNKNOWN), False, 1, "echo of /completions"),
        (by_text(NO_CHAT), False, 1, "echo of /completions"),
    ],
)
def test_options_are_ranked_as_texts_and_paid_for_once(
    answer: Answer, images: bool, tried: int, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with first_token_server(answer) as (url, bodies):
        first = student(tmp_path, url, monkeypatch)
        scores = ranked(first, images=images)
        assert scores == [pytest.approx(EXPECTED)] * 4 and len(bodies) == tried + 12
        second = student(tmp_path, url, monkeypatch)
        assert ranked(second, images=images) == scores and len(bodies) == tried + 12
        assert first.ranked == second.ranked == RankCounts(requests=12, call=call)
        # ` (A)` alone is other texts, of the same call
        letters = second.rank([None], ["q"], OPTIONS[:1], "letter")
        assert letters == [pytest.approx([mean(map(score, (" (", letter, ")"))) for letter in "ABC"])]
    rows = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    kept = [row["prompt_logprobs"] for row in rows if "prompt_logprobs" in row]
    assert len(kept) == 15 and max(map(len, kept)) == 4  # of the option alone, not of the whole prompt
    assert all(row["text"] == " x" for row in rows if "text" in row)


@pytest.mark.parametrize(
    ("chat", "text", "images", "requests", "words"),
    [
        # llama.cpp lists the token that it generated; nothing is said of the prompt
        ((200, completion(llama_cpp_form({" x": 0.9}), " x")), (200, completion(llama_cpp_form({" x": 0.9}), " x")),
         False, 2, "prompt_logprobs of /chat/completions: lists no tokens of the prompt; echo of /completions: lists no"),
        (IGNORED, IGNORED, True, 1, "echo of /completions: not tried, as it shows no images"),
        (UNKNOWN, NOT_COMPLETED, False, 2, "Unrecognized request argument supplied: prompt_logprobs; echo of /completions: "
         "status 404: This is a chat model"),
        ((422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "prompt_logprobs"],
         "msg": "Extra inputs are not permitted"}]}}), (404, {"detail": "Not Found"}), False, 2, "Extra inputs"),
        (IGNORED, openai_error(501, "Only no echo is supported"), False, 2, "Only no echo is supported"),
    ],
)  # fmt: skip
def test_a_server_that_scores_no_prompts_stops_after_one_request_of_each_call(
    chat: tuple[int, dict[str, Any]],
    text: tuple[int, dict[str, Any]],
    images: bool,
    requests: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with first_token_server(lambda body: text if "prompt" in body else chat) as (url, bodies):
        with pytest.raises(TeacherStop) as caught:
            ranked(student(tmp_path, url, monkeypatch), images=images)
        assert len(bodies) == requests
    message = str(caught.value)
    assert "\n" not in message and words in message
    assert "gives no log-probabilities of a prompt, which rank: text needs (" in message
    assert message.endswith("; set rank to letter or generate")


def test_other_faults_are_no_answer_to_what_the_server_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer, words in (
        (openai_error(401, "Incorrect API key provided"), "the key was refused"),
        (
            openai_error(404, "The model `m` does not exist", code="model_not_found"),
            "model 'm' is not served there",
        ),
        (openai_error(503, "overloaded"), "overloaded"),
    ):
        with first_token_server(lambda _, given=answer: given) as (url, _):
            with pytest.raises(TeacherStop, match=words) as caught:
                ranked(student(tmp_path, url, monkeypatch), images=False)
            assert "log-probabilities" not in str(caught.value)


def test_joined_tokens_count_with_the_option_and_what_cannot_be_told_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        text = chat_text(body)
        tokens = toy_tokens(text, score)
        if "q1" in text:  # " is" and " (" in one token
            place = len(tokens) - 5
            tokens[place : place + 2] = [(" is (", -3.0)]
        if "q2" in text and text.endswith("cow"):  # its template closes the answer
            tokens.append(("<end>", 0.0))
        return 200, vllm_reply(tokens)

    with first_token_server(answer) as (url, bodies):
        asked = student(tmp_path, url, monkeypatch)
        scores = ranked(asked, images=True)
        assert (
            ranked(student(tmp_path, url, monkeypatch), images=True)[:2] == scores[:2] and len(bodies) == 12
        )
    assert scores[0] == scores[3] == pytest.approx(EXPECTED)
    assert isinstance(scores[1], list)
    assert scores[1][0] == pytest.approx(mean([-3.0, *map(score, ("A", ")", " dog"))]))
    assert isinstance(scores[2], AskFailed) and scores[2].declined and "cannot tell" in str(scores[2])
    assert asked.ranked == RankCounts(
        requests=12, cannot_tell=1, joined=3, call="prompt_logprobs of /chat/completions"
    )


def test_scores_are_those_of_the_same_model_loaded_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server in the form of vLLM that runs a tiny LLaVA, and the student of `rank: text` with the same weights."""
    local = load_student(str(save_tiny_llava(tmp_path / "m")), device="cpu")
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (2, 40, 60, 3), dtype=torch.uint8, generator=generator)
    # as the server gets them: a JPEG loses something
    pictures = [Image.open(io.BytesIO(jpeg_bytes(Image.fromarray(one.numpy()), 1024))) for one in pixels]
    images = [pictures[number % 2] for number in range(len(PROMPTS))]

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        user, begun = body["messages"]
        text, image = user["content"]
        data = base64.b64decode(image["image_url"]["url"].partition(",")[2])
        prefix = prompt_with_answer_start(local.processor, text["text"])[1]
        whole = prefix + begun["content"].removeprefix("The answer is")
        inputs = encode_prompts(local.processor, [whole], [Image.open(io.BytesIO(data))])
        with torch.no_grad():
            logits = local.model(**inputs).logits[0]
        ids = inputs["input_ids"][0]
        logprobs = logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
        tokens = [local.processor.tokenizer.decode([number]) for number in ids]
        return 200, vllm_reply([*zip(tokens, [0.0, *logprobs.tolist()], strict=True)])

    # the server's pictures are compressed once more, so both sides get the same bytes
    monkeypatch.setattr(
        "dataengine_lib.students.on_server.api_student.jpeg_bytes",
        lambda image, _: jpeg_bytes(Image.fromarray(pixels[pictures.index(image)].numpy()), 1024),
    )
    with first_token_server(answer) as (url, _):
        asked = student(tmp_path, url, monkeypatch)
        found = asked.rank(images, PROMPTS, CHOICES, "text")
        words = asked.rank(images, PROMPTS, CHOICES, "words")
    for rows, rule in ((found, "text"), (words, "words")):
        expected = local.rank(images, PROMPTS, CHOICES, rule)  # type: ignore[arg-type]
        for row, wanted in zip(rows, expected, strict=True):
            assert row == pytest.approx(wanted, abs=1e-3)
    assert asked.ranked.cannot_tell == asked.ranked.joined == 0
