"""What the playground's LLaVA is taught: captions, base questions and reading exercises, several behind one image."""

from collections.abc import Iterator
from random import Random

import torch
from transformers import PreTrainedTokenizerFast

from dataengine_lib.data.records import LETTERS, Question, options_text
from dataengine_lib.playground.captions import write_captions
from dataengine_lib.playground.sets import FIRST_ID, base_questions
from dataengine_lib.playground.tiny_models import IMAGE, PATCH, PIXELS
from dataengine_lib.playground.world import make_scene

IMAGE_TOKENS = (PIXELS // PATCH) ** 2
Segment = tuple[list[int], list[int], list[float]]  # token ids, labels, weights in the loss
LETTER_WEIGHT, WORD_WEIGHT, REST_WEIGHT, CAPTION_WEIGHT = 8.0, 3.0, 0.3, 0.5


def texts_of(image_id: int, seed: int) -> Iterator[str]:
    """Captions and questions of a scene, to learn the tokenizer from."""
    scene = make_scene(image_id, seed)
    yield from write_captions(scene, seed)
    for question in base_questions(scene, seed, thin_share=1.0):
        yield f"{question.question}\n{options_text(question.choices)} ASSISTANT: The answer is {question.choices[0]}."
        yield from question.rationales[:1]


def captions_of(row: int, seed: int) -> list[str]:
    return write_captions(make_scene(FIRST_ID["base"] + row, seed), seed)


def chat(
    tokenizer: PreTrainedTokenizerFast, instruction: str, answer: str, telling: str = "", letter: str = ""
) -> Segment:
    """One question with its answer, without the image; only the answer is learnt.

    Its `letter` and `telling` words count for more than the rest, which is the same every time.
    """
    asked = tokenizer(f"\n{instruction} ASSISTANT:").input_ids
    said = tokenizer(f" {answer}</s>").input_ids
    words, letters = set(tokenizer(f" {telling}").input_ids), set(tokenizer(f"({letter})").input_ids[1:2])
    weights = [LETTER_WEIGHT if t in letters else WORD_WEIGHT if t in words else REST_WEIGHT for t in said]
    return (
        asked + said,
        [-100] * len(asked) + said,
        [0.0] * len(asked) + (weights if telling else [CAPTION_WEIGHT] * len(said)),
    )


def segments_of(
    tokenizer: PreTrainedTokenizerFast, row: int, seed: int, rng: Random, thin_share: float, lesson: int
) -> list[Segment]:
    """What is asked about one picture, by lesson.

    0: answers to find among options or in captions, 1: captions and questions, else: questions.
    """
    scene = make_scene(FIRST_ID["base"] + row, seed)
    # The thin types' questions are the same few in every pass; the others are drawn anew each time.
    questions: list[Question] = list(base_questions(scene, seed, thin_share=thin_share))
    fresh = {q.question_type: q for q in base_questions(scene, rng.getrandbits(32), thin_share=0)}
    questions = [fresh.get(q.question_type, q) for q in questions]
    captions = " ".join(write_captions(scene, rng.getrandbits(32)))
    segments = [chat(tokenizer, "Describe the picture.", captions)] if lesson == 1 else []
    context = f"{captions}\n" if lesson == 0 else ""
    if lesson == 0:  # reading exercises: which letter an answer has, before what the picture shows
        for question in rng.sample(questions, min(4, len(questions))):
            right = rng.randrange(len(question.choices))
            asked = f"Choose {question.choices[right]}.\n{options_text(question.choices)}"
            answer = question.choices[right]
            segments.append(
                chat(tokenizer, asked, f"The answer is ({LETTERS[right]}) {answer}.", answer, LETTERS[right])
            )
    for question in rng.sample(questions, min((1, 3)[lesson] if lesson < 2 else 6, len(questions))):
        answer = question.choices[question.correct_choice_idx]
        letter = LETTERS[question.correct_choice_idx]
        if rng.random() < 0.3:
            segments.append(chat(tokenizer, context + question.question, f"The answer is {answer}.", answer))
        else:
            asked = f"{context}{question.question}\n{options_text(question.choices)}"
            segments.append(chat(tokenizer, asked, f"The answer is ({letter}) {answer}.", answer, letter))
    return segments


def pack(tokenizer: PreTrainedTokenizerFast, rows: list[list[Segment]]) -> dict[str, torch.Tensor]:
    """Several questions behind one image in one sequence: each sees the image and itself alone, at its own positions."""
    prefix = tokenizer("USER: ").input_ids + [tokenizer.convert_tokens_to_ids(IMAGE)] * IMAGE_TOKENS
    length = max(len(prefix) + sum(len(ids) for ids, _, _ in segments) for segments in rows)
    size = (len(rows), length)
    input_ids = torch.full(size, tokenizer.pad_token_id)
    weights = torch.zeros(size)
    labels, positions, part = (
        torch.full(size, -100),
        torch.zeros(size, dtype=torch.long),
        torch.full(size, -1),
    )
    for r, segments in enumerate(rows):
        input_ids[r, : len(prefix)] = torch.tensor(prefix)
        positions[r, : len(prefix)] = torch.arange(len(prefix))
        part[r, : len(prefix)] = 0
        at = len(prefix)
        for number, (ids, wanted, weight) in enumerate(segments, 1):
            end = at + len(ids)
            input_ids[r, at:end], labels[r, at:end] = torch.tensor(ids), torch.tensor(wanted)
            weights[r, at:end] = torch.tensor(weight)
            positions[r, at:end] = torch.arange(len(prefix), len(prefix) + len(ids))
            part[r, at:end] = number
            at = end
    same = part[:, :, None] == part[:, None, :]
    on_image = (part[:, None, :] == 0) & (part[:, :, None] > 0)
    mask = (same | on_image) & torch.ones(length, length, dtype=torch.bool).tril()
    mask |= torch.eye(length, dtype=torch.bool)  # padding sees itself, so that no row of the softmax is empty
    return {
        "input_ids": input_ids,
        "labels": labels,
        "weights": weights,
        "position_ids": positions,
        "attention_mask": mask[:, None],
    }
