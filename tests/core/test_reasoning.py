"""Thoughts are taken off a reply in every form that models and servers write them in."""

import pytest

from dataengine_lib.core.reasoning import after_reasoning


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "B"),
        ("I think (B), as the reasoning is clear", "I think (B), as the reasoning is clear"),
        ("<think>A?</think>B", "B"),
        ("A? No.</think>B", "B"),
        ("<think>\nA\n</think>\n\n<think></think>B", "B"),
        ("<THINKING>A</Thinking>B", "B"),
        ("<thought>A</thought>B", "B"),
        ("<reasoning>A</reasoning><answer>B</answer>", "B"),
        ("<seed:think>A</seed:think>B", "B"),
        ("[THINK]A[/THINK]B", "B"),
        ("◁think▷A◁/think▷B", "B"),
        ("<|begin_of_thought|>A<|end_of_thought|><|begin_of_solution|>B<|end_of_solution|>", "B"),
        ("<|START_THINKING|>A<|END_THINKING|><|START_RESPONSE|>B<|END_RESPONSE|>", "B"),
        ("<|channel>thought\nA<channel|>B", "B"),
        ("<think>A</think>It is <|begin_of_box|>B<|end_of_box|>", "It is B"),
        (
            "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>",
            "B",
        ),
        (
            "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>B",
            "B",
        ),
        ("analysisWe need a letter. A? No.assistantfinalB", "B"),
        ("Here is my thought process: A\n\nHere is my response: B", "B"),
        ("B <think>as it has whiskers</think>", "B"),
    ],
)
def test_thoughts_are_taken_off(text: str, answer: str) -> None:
    found, unfinished = after_reasoning(text)
    assert (found.strip(), unfinished) == (answer, False)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>A, or", ""),
        ("[THINK]A, or", ""),
        ("<|channel|>analysis<|message|>A, or", ""),
        ("analysisWe need a letter", ""),
        ("x</think>B<think>but", "B"),
    ],
)
def test_unfinished_thoughts_hold_no_answer(text: str, answer: str) -> None:
    assert after_reasoning(text) == (answer, True)


@pytest.mark.parametrize(
    "text", ["analysis of the picture: B", "the assistant final answer is B", "a < b > c"]
)
def test_ordinary_words_are_no_thoughts(text: str) -> None:
    assert after_reasoning(text) == (text, False)
