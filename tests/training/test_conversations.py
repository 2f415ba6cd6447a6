"""Step 5's base data as people have it: LLaVA's conversations and messages, with paths, tokens and values of any kind."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.core.bad_rows import MALFORMED, BadRows
from dataengine_lib.errors import DataEngineError
from dataengine_lib.training.data_sets import TrainingFiles, read_data_sets
from dataengine_lib.training.row_files import EMPTY_TURN, NO_IMAGE, read_training_rows
from dataengine_lib.training.texts import TrainingRow


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images/sub").mkdir(parents=True)
    for name in ("1.jpg", "sub/2.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / "images" / name)
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.jpg")
    return tmp_path / "images"


def chat(asked: Any = "<image>\nWhat is it?", answer: Any = "A cat.", image: Any = "1.jpg") -> dict[str, Any]:
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    return {"id": "7", "image": image, "conversations": turns}


def messages(asked: Any = "<image>What is it?", answer: Any = "A cat.", **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"messages": turns, **({"images": ["1.jpg"]} | more)}


def read(root: Path, *rows: Any) -> tuple[list[TrainingRow], BadRows]:
    file = root.parent / "base.json"
    file.write_text(json.dumps(rows))
    left_out = BadRows(file, 1)
    return read_training_rows(file, root, ["QM-A"], left_out), left_out


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("sub/2.jpg", "sub/2.jpg"),
        ("sub\\2.jpg", "sub/2.jpg"),
        ("./sub/../1.JPG", "1.jpg"),
        ("ROOT/sub/2.jpg", "sub/2.jpg"),
        (["1.jpg"], "1.jpg"),
        ({"path": "1.jpg", "bytes": None}, "1.jpg"),
        ("file://ROOT/1.jpg", "1.jpg"),
    ],
)
def test_image_paths_of_every_form_are_found(root: Path, image: Any, found: str) -> None:
    given = image.replace("ROOT", str(root)) if isinstance(image, str) else image
    for row in (chat(image=given), messages(images=given), messages(images=None, image=given)):
        (kept,), left_out = read(root, row)
        assert kept.image == root / found and not left_out.counts


@pytest.mark.parametrize(
    ("image", "kind", "reason"),
    [
        ("OUTSIDE", NO_IMAGE, "leads outside"),
        ("../outside.jpg", NO_IMAGE, "leads outside"),
        ("C:\\data\\1.jpg", NO_IMAGE, "leads outside"),
        ("gone.jpg", NO_IMAGE, "image not found under"),
        ("https://example.org/1.jpg", NO_IMAGE, "image not found under"),
        (["1.jpg", "sub/2.jpg"], NO_IMAGE, "several images, one is needed"),
        (7, NO_IMAGE, "image: is no path"),
        (None, NO_IMAGE, "image: no image, but an image token"),
    ],
)
def test_images_that_cannot_be_used_are_counted(root: Path, image: Any, kind: str, reason: str) -> None:
    given = str(root.parent / "outside.jpg") if image == "OUTSIDE" else image
    for odd in (chat(image=given), messages(images=given)):
        kept, left_out = read(root, chat(), odd)
        assert len(kept) == 1 and left_out.counts == {kind: 1} and left_out.n_rows == 2
        assert reason in left_out.rows[0].reason and "bad_case" not in left_out.rows[0].reason


@pytest.mark.parametrize(
    ("asked", "learnt"),
    [
        ("<image>\nWhat is it?", "What is it?"),
        ("What is it?\n<image>", "What is it?"),
        ("What is it? <image>", "What is it?"),
        ("What is <image> here?", "What is here?"),
        ("Look at <image>\nWhat is it?", "Look at\nWhat is it?"),
        ("Look.\n<image>\nWhat is it?", "Look.\nWhat is it?"),
        ("What is it?", "What is it?"),
    ],
)
def test_the_image_token_may_stand_anywhere(root: Path, asked: str, learnt: str) -> None:
    for row in (chat(asked), messages(asked)):
        (kept,), _ = read(root, row)
        assert kept.turns("QM-A")[0] == (learnt, "A cat.")


@pytest.mark.parametrize(
    ("asked", "answer", "reason"),
    [
        ("<image> or <image>?", "A cat.", "2 image tokens for one image"),
        ("What?", "", "an empty turn"),
        ("What?", " \n", "an empty turn"),
        ("<image>", "A cat.", "an empty turn"),
        ("What?", None, "[1]: needs '"),
        (None, "A cat.", "[0]: needs '"),
        ({"text": "What?"}, "A cat.", ""),
        ("What?", True, "[1]: needs '"),
    ],
)
def test_turns_without_a_text_to_learn_are_counted(root: Path, asked: Any, answer: Any, reason: str) -> None:
    for odd in (chat(asked, answer), messages(asked, answer)):
        if isinstance(asked, dict):  # one part without a list around it: read
            assert [one.turns("QM-A")[0] for one in read(root, odd)[0]] == [("What?", "A cat.")]
            continue
        kept, left_out = read(root, chat(), odd, chat())
        assert len(kept) == 2 and left_out.counts == {EMPTY_TURN if "empty" in reason else MALFORMED: 1}
        assert reason in left_out.rows[0].reason


def test_numbers_are_answers_and_system_turns_are_left_out(root: Path) -> None:
    system = {"from": "system", "value": "Be brief."}
    row = chat("<image>\nHow many?", 3)
    row["conversations"] = [system, *row["conversations"], system, {"from": "HUMAN", "value": "Why?"},
                            {"from": "gpt", "value": "I count."}]  # fmt: skip
    kept, left_out = read(root, row)
    assert [one.turns("QM-A") for one in kept] == [(("How many?", "3"), ("Why?", "I count."))]
    assert not left_out.counts
    swift = messages()
    swift["messages"].insert(0, {"role": "system", "content": "Be brief."})
    assert [one.turns("QM-A")[0] for one in read(root, swift)[0]] == [("What is it?", "A cat.")]


@pytest.mark.parametrize(
    "image", [{"type": "image", "image": "1.jpg"}, {"type": "image_url", "image_url": {"url": "1.jpg"}}]
)
def test_content_as_a_list_of_parts_is_read(root: Path, image: dict[str, Any]) -> None:
    asked = [image, {"type": "text", "text": "What is it?"}]
    (kept,), _ = read(root, messages(asked, [{"type": "text", "text": "A cat."}], images=[]))
    assert kept.turns("QM-A")[0] == ("What is it?", "A cat.") and kept.image == root / "1.jpg"
    (kept,), _ = read(root, messages([{"type": "image"}, {"type": "text", "text": "What is it?"}]))
    assert kept.turns("QM-A")[0] == ("What is it?", "A cat.")


def test_our_own_exports_are_base_data(root: Path) -> None:
    for row in (messages("<image>Q?\n(A) a (B) b", "The answer is (B) b."), chat("<image>\nQ?\n(A) a (B) b",
                "The answer is (B) b.")):  # fmt: skip
        (kept,), _ = read(root, row)
        assert kept.turns("QM-A")[0] == ("Q?\n(A) a (B) b", "The answer is (B) b.")
    lines = root.parent / "swift.jsonl"
    lines.write_text("\n".join(json.dumps(messages()) for _ in range(3)))
    assert len(read_training_rows(lines, root, ["QM-A"], BadRows(lines, 1))) == 3


def test_rows_of_text_alone_are_used(root: Path) -> None:
    kept, left_out = read(
        root, chat(), chat("What is a cat?", "An animal.", image=None), messages("A?", "B", images=[])
    )
    assert [one.image and one.image.name for one in kept] == ["1.jpg", None, None]
    assert kept[1].turns("QM-A") == (("What is a cat?", "An animal."),)
    assert not left_out.counts and left_out.n_rows == 3


def test_conversations_begin_and_end_as_in_the_published_mixes(root: Path) -> None:
    """LLaVA's mix has some that begin with an answer, and some whose last question has none."""
    row = chat()
    row["conversations"] = [
        {"from": "gpt", "value": "Hi!"},
        *row["conversations"],
        {"from": "human", "value": "And?"},
    ]
    (kept,), left_out = read(root, row)
    assert kept.turns("QM-A") == (("What is it?", "A cat."),) and not left_out.counts


def test_a_conversation_with_an_empty_turn_is_left_out_whole(root: Path) -> None:
    row = chat()
    row["conversations"] += [{"from": "human", "value": "And?"}, {"from": "gpt", "value": " "}]
    kept, left_out = read(root, chat(), row, chat())
    assert len(kept) == 2 and left_out.counts == {EMPTY_TURN: 1} and left_out.rows[0].row == "row 1, 7"


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"instruction": "What?", "input": "", "output": "A cat."}, "LLaMA-Factory's alpaca rows"),
        ({"query": "What?", "response": "A cat.", "images": ["1.jpg"]}, "ms-swift's queries and responses"),
        ({"prompt": [], "completion": [], "images": ["1.jpg"]}, "TRL's prompts and completions"),
    ],
)
def test_a_format_that_is_not_read_is_named(root: Path, row: dict[str, Any], kind: str) -> None:
    file = root.parent / "other.json"
    file.write_text(json.dumps([row] * 3))
    with pytest.raises(DataEngineError, match=f"other.json: .*looks like {kind}.*rewrite it as LLaVA's conv"):
        read_data_sets(TrainingFiles([file], root, [], root, ["QM-A"]), 0.05)
