"""The training texts of the playground's LLaVA: base questions, reading exercises and mixtures of caption words."""

import re
from collections.abc import Iterator
from random import Random

import torch
from transformers import PreTrainedTokenizerFast

from dataengine_lib.core.records import LETTERS, Question, options_text
from dataengine_lib.demo_assets.tiny_models import IMAGE_TOKEN, PATCH, TOWER_PIXELS
from dataengine_lib.playground.captions import write_captions
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import FIRST_ID, base_questions

TOKENS_PER_IMAGE = (TOWER_PIXELS // PATCH) ** 2  # one per patch
Segment = tuple[list[int], list[int], list[float]]  # token ids, labels, weights in the loss
# types answered by the picture as a whole, and types answered by boxes, which no caption answers
_WHOLE_PICTURE_TYPES = ("image_style", "image_scene", "image_quality")
_BOX_TYPES = ("object_localization", "attribute_comparison", "spatial_relationship")
# weights in the loss of an answer's tokens: the option's letter, its words, and the rest, which is always the same
LETTER_WEIGHT, _WORD_WEIGHT, _REST_WEIGHT = 8.0, 3.0, 0.3


def texts_of(image_id: int, seed: int) -> Iterator[str]:
    """Captions and questions of a scene, from which the tokenizer is learnt."""
    scene = make_scene(image_id, seed)
    yield from write_captions(scene, seed)
    for question in base_questions(scene, seed, thin_share=1.0):
        yield f"{question.question}\n{options_text(question.choices)} ASSISTANT: The answer is {question.choices[0]}."
        yield from question.rationales[:1]


def captions_of(row: int, seed: int) -> list[str]:
    """The captions of the base set's scene number `row`."""
    return write_captions(make_scene(FIRST_ID["base"] + row, seed), seed)


def _chat(
    tokenizer: PreTrainedTokenizerFast, instruction: str, answer: str, key_words: str, letter: str = ""
) -> Segment:
    """A question with its answer, without the image; only the answer is in the loss.

    In it `letter` and `key_words` count for more than the rest.
    """
    question_ids = tokenizer(f"\n{instruction} ASSISTANT:").input_ids
    answer_ids = tokenizer(f" {answer}</s>").input_ids
    words = set(tokenizer(f" {key_words}").input_ids)
    # `(B)` is three tokens, of which the second is the letter
    letters = set(tokenizer(f"({letter})").input_ids[1:2]) if letter else set()
    weights = [
        LETTER_WEIGHT if t in letters else _WORD_WEIGHT if t in words else _REST_WEIGHT for t in answer_ids
    ]
    unlearnt = len(question_ids)  # -100 is the label that the loss ignores
    return question_ids + answer_ids, [-100] * unlearnt + answer_ids, [0.0] * unlearnt + weights


def exercises_of(
    tokenizer: PreTrainedTokenizerFast, answers: list[list[str]], rng: Random, count: int
) -> list[Segment]:
    """Reading exercises without a picture: which letter an option has, or which option a letter has.

    `answers` are the choices of questions. Half of the exercises mix the options of different questions, so that the
    answer cannot be memorised but has to be looked up among the options.
    """
    every = sorted({choice for choices in answers for choice in choices})
    segments = []
    for _ in range(count):
        choices = rng.sample(every if rng.random() < 0.5 else rng.choice(answers), 4)
        place = rng.randrange(4)
        letter, answer = LETTERS[place], choices[place]
        named = rng.random() < 0.7  # else the letter is given, and the text is asked for
        task = f"Choose {answer}." if named else f"Choose ({letter})."
        reply = f"The answer is ({letter}) {answer}."
        segments.append(
            _chat(tokenizer, f"{task}\n{options_text(choices)}", reply, answer, letter if named else "")
        )
    return segments


def comprehension_of(tokenizer: PreTrainedTokenizerFast, row: int, seed: int, rng: Random) -> Segment:
    """A question about a picture whose captions are given in its place; none of the thin types."""
    scene = make_scene(FIRST_ID["base"] + row, seed)
    captions = " ".join(write_captions(scene, rng.getrandbits(32)))
    question = rng.choice(list(base_questions(scene, rng.getrandbits(32), thin_share=0)))
    return _question_segment(tokenizer, question, rng, f"{captions}\n")


def soup_of(
    tokenizer: PreTrainedTokenizerFast, count: int, words: list[int], seed: int, rng: Random, noise: float
) -> tuple[Segment, torch.Tensor]:
    """A question that captions answer, and a "soup": (TOKENS_PER_IMAGE / 2, vocabulary) shares of the captions' words.

    It imitates what the patches of a picture show: each word is in a few places and some are in most. With `noise`,
    0 to 1, more words share a place, and some places have wrong words from `words`.
    """
    while True:  # until a scene has a question that captions answer
        scene = make_scene(FIRST_ID["base"] + rng.randrange(count), seed)
        possible = [
            q
            for q in base_questions(scene, rng.getrandbits(32), thin_share=0)
            if q.question_type not in _BOX_TYPES
        ]
        local = [q for q in possible if q.question_type not in _WHOLE_PICTURE_TYPES]
        if possible:
            break
    question = rng.choice(local if local and rng.random() < 0.7 else possible)
    # without marks: a patch shows words only
    captions = re.sub("[.,]", "", " ".join(write_captions(scene, rng.getrandbits(32))))
    caption_ids = list(dict.fromkeys(tokenizer(captions).input_ids))
    places = range(TOKENS_PER_IMAGE // 2)
    shares = torch.zeros(len(places), len(tokenizer))
    # each word in one to three places, as a small thing fills a few patches
    for word in caption_ids:
        for place in rng.sample(places, rng.randint(1, 3)):
            shares[place, word] += rng.uniform(0.4, 1)
    # six words in many places, as the setting or the weather is
    for word in rng.sample(caption_ids, min(len(caption_ids), 6)):
        for place in places:
            if rng.random() < 0.6 * noise:
                shares[place, word] += rng.uniform(0.2, 1) * noise
    # and wrong words, as the projector makes mistakes
    for place in places:
        if rng.random() < noise:
            shares[place, rng.choice(words)] += rng.uniform(0, 0.5)
    return _question_segment(tokenizer, question, rng), shares


def _question_segment(
    tokenizer: PreTrainedTokenizerFast, question: Question, rng: Random, context: str = ""
) -> Segment:
    """A question with its answer; three in ten are without the options."""
    answer = question.choices[question.correct_choice_idx]
    letter = LETTERS[question.correct_choice_idx]
    if rng.random() < 0.3:
        return _chat(tokenizer, context + question.question, f"The answer is {answer}.", answer)
    text = f"{context}{question.question}\n{options_text(question.choices)}"
    return _chat(tokenizer, text, f"The answer is ({letter}) {answer}.", answer, letter)


def segments_of(
    tokenizer: PreTrainedTokenizerFast, row: int, seed: int, rng: Random, thin_share: float, by_captions: bool
) -> list[Segment]:
    """Up to six questions about one picture; with `by_captions`, only of the types that captions answer."""
    scene = make_scene(FIRST_ID["base"] + row, seed)
    # the thin types' questions are the same few in every pass; those of the other types are drawn every time
    questions: list[Question] = list(base_questions(scene, seed, thin_share=thin_share))
    fresh = {q.question_type: q for q in base_questions(scene, rng.getrandbits(32), thin_share=0)}
    questions = [
        fresh.get(q.question_type, q)
        for q in questions
        if not (by_captions and q.question_type in _BOX_TYPES)
    ]
    # types answered by the whole picture are learnt soon, so the others come first more often
    turns = sorted(
        questions,
        key=lambda q: rng.random() * (0.4 if q.question_type in _WHOLE_PICTURE_TYPES else 1.0),
        reverse=True,
    )
    return [_question_segment(tokenizer, question, rng) for question in turns[:6]]


def pack_texts(tokenizer: PreTrainedTokenizerFast, segments: list[Segment]) -> dict[str, torch.Tensor]:
    """One text in each row, without a picture, padded on the right: input_ids, labels, weights, each (rows, length)."""
    size = (len(segments), max(len(ids) for ids, _, _ in segments))
    input_ids, labels = torch.full(size, tokenizer.pad_token_id), torch.full(size, -100)
    weights = torch.zeros(size)
    for r, (ids, wanted, weight) in enumerate(segments):
        input_ids[r, : len(ids)], labels[r, : len(ids)] = torch.tensor(ids), torch.tensor(wanted)
        weights[r, : len(ids)] = torch.tensor(weight)
    return {"input_ids": input_ids, "labels": labels, "weights": weights}


def pack_questions(tokenizer: PreTrainedTokenizerFast, rows: list[list[Segment]]) -> dict[str, torch.Tensor]:
    """Several questions about one image in one sequence; each attends to the image and itself only, as if alone."""
    prefix = tokenizer("USER: ").input_ids + [tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)] * TOKENS_PER_IMAGE
    length = max(len(prefix) + sum(len(ids) for ids, _, _ in segments) for segments in rows)
    size = (len(rows), length)
    input_ids = torch.full(size, tokenizer.pad_token_id)
    weights = torch.zeros(size)
    # part: 0 for the image and what is before it, 1, 2, … for the questions, -1 for padding
    labels, positions, part = (
        torch.full(size, -100),
        torch.zeros(size, dtype=torch.long),
        torch.full(size, -1),
    )
    # a row: "USER: ", image, question 1, answer 1, question 2, answer 2, …, padding
    for r, segments in enumerate(rows):
        input_ids[r, : len(prefix)] = torch.tensor(prefix)
        positions[r, : len(prefix)] = torch.arange(len(prefix))
        part[r, : len(prefix)] = 0
        at = len(prefix)
        for number, (ids, wanted, weight) in enumerate(segments, 1):
            end = at + len(ids)
            input_ids[r, at:end], labels[r, at:end] = torch.tensor(ids), torch.tensor(wanted)
            weights[r, at:end] = torch.tensor(weight)
            # every question has the positions that it would have directly behind the image
            positions[r, at:end] = torch.arange(len(prefix), len(prefix) + len(ids))
            part[r, at:end] = number
            at = end
    # mask[row, query, key]: the key is of the same part, or of the image
    same = part[:, :, None] == part[:, None, :]
    on_image = (part[:, None, :] == 0) & (part[:, :, None] > 0)
    # tril: no token attends to a later one
    mask = (same | on_image) & torch.ones(length, length, dtype=torch.bool).tril()
    # padding attends to itself, so that no row of the softmax is empty
    mask |= torch.eye(length, dtype=torch.bool)
    return {
        "input_ids": input_ids,
        "labels": labels,
        "weights": weights,
        "position_ids": positions,
        # (rows, 1, length, length): the same for all heads
        "attention_mask": mask[:, None],
    }
