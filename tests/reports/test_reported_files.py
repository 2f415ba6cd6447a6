"""Symptoms of public reports about image folders and training files of other tools, rebuilt here with inputs of our own."""

from pathlib import Path
from typing import Any

import pytest
from coco_folder import annotation, changed, coco, four_images, write
from PIL import Image
from tiny_families import save_family
from tiny_models import save_tiny_llava

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.steps.fine_tune import FineTuneConfig, FineTuneResult, fine_tune
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

DOG = NamedBox("dog", (0.1, 0.2, 0.4, 0.6))
CHAT = "What animal is it?\n(A) dog (B) cat (C) cow (D) pig"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def qwen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(request.param, tmp_path_factory.mktemp("models"))


def picture(file: Path, size: tuple[int, int] = (40, 30)) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "red").save(file)
    return str(file)


def conversation(image: str, asked: str = f"<image>\n{CHAT}") -> dict[str, Any]:
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": "(A) dog"}]
    return {"id": image, "image": image, "conversations": turns}


def question(image: str, number: int = 0) -> dict[str, Any]:
    return {
        "question_id": f"q{number}", "image_id": number, "image_path": image, "question": f"What is {number}?",
        "choices": ["dog", "cat", "cow", "pig"], "correct_choice_idx": 0, "question_type": "image_scene",
    }  # fmt: skip


def train(student: Path, folder: Path, rows: list[Any], **more: Any) -> FineTuneResult:
    write(folder / "train.json", rows)
    given: dict[str, Any] = {
        "student": str(student), "train_data": [folder / "train.json"], "image_root": folder, "method": "full",
        "output_dir": folder / "checkpoint", "batch_size": 16, "dtype": "float32", "device": "cpu",
    }  # fmt: skip
    return fine_tune(FineTuneConfig(**(given | more)))


def used(result: FineTuneResult) -> int:
    """How many rows were drawn, each once."""
    return sum(part.drawn for part in result.log.mix)


# hiyouga/LLaMA-Factory#10158, hiyouga/LLaMA-Factory#7280
def test_image_paths_are_relative_to_the_image_root_from_any_folder(
    tmp_path: Path, student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "data/images/1.jpg")
    write(tmp_path / "data/train.json", [conversation("images/1.jpg")])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = train(student, tmp_path / "data", [conversation("images/1.jpg")])
    assert (used(result), result.log.skipped) == (1, {})
    kept = post_process(PostProcessConfig(input=Path("../data/train.json"), output=Path("out.json")))
    assert [row.image_path for row in kept.sample] == ["images/1.jpg"]


# hiyouga/LLaMA-Factory#7046
def test_an_absolute_image_path_and_an_image_token_at_the_end_are_read(tmp_path: Path, student: Path) -> None:
    row = conversation(picture(tmp_path / "images/1.jpg"), f"{CHAT}<image>")
    result = train(student, tmp_path, [row, conversation("images/1.jpg", f"{CHAT}\n<image>")])
    assert (used(result), result.log.skipped) == (2, {})


# hiyouga/LLaMA-Factory#2564
@pytest.mark.parametrize("path", ["images\\1.jpg", ".\\images\\1.jpg", "images\\\\1.jpg"])
def test_backslashes_in_image_paths_are_read(tmp_path: Path, student: Path, path: str) -> None:
    picture(tmp_path / "images/1.jpg")
    assert used(train(student, tmp_path, [conversation(path)])) == 1
    assert used(train(student, tmp_path, [question(path)])) == 1


# matterport/Mask_RCNN#1439
def test_annotations_without_an_id_are_read(tmp_path: Path) -> None:
    found = read_pool(
        changed(four_images(tmp_path), lambda content: [row.pop("id") for row in content["annotations"]])
    )
    assert found[0].boxes == [DOG] and found.ids.tolist() == [1, 2, 3, 4]


# Ghy0501/HiDe-LLaVA#9
def test_captions_without_a_category_are_read(tmp_path: Path) -> None:
    found = read_pool(changed(four_images(tmp_path), lambda content: content.pop("info", None), "captions"))
    assert [image.captions for image in found] == [["A picture."]] * 4 and found[0].boxes == [DOG]


# facebookresearch/maskrcnn-benchmark#1023
def test_boxes_without_any_categories_are_one_line_with_the_remedy(tmp_path: Path) -> None:
    boxes = [annotation(1 + number % 4, [number, 10, 30, 20]) for number in range(40)]
    root = coco(tmp_path, {number: f"{number}.jpg" for number in range(1, 5)}, boxes)
    changed(root, lambda content: content.pop("categories"))
    with pytest.raises(DataEngineError) as caught:
        read_pool(root)
    message = str(caught.value)
    assert "instances_train2017.json" in message and "categor" in message and "\n" not in message


def text_ids(part: str) -> Any:
    def change(content: Any) -> None:
        for row in content[part]:
            row["id" if part == "images" else "image_id"] = str(row["id" if part == "images" else "image_id"])

    return change


# cvat-ai/cvat#298, zylo117/Yet-Another-EfficientDet-Pytorch#60
@pytest.mark.parametrize("part", ["images", "annotations"])
@pytest.mark.parametrize("kind", ["instances", "captions"])
def test_ids_that_are_texts_in_one_place_and_numbers_in_another_are_joined(
    tmp_path: Path, part: str, kind: str
) -> None:
    found = read_pool(changed(four_images(tmp_path, boxes=1), text_ids(part), kind))
    assert found[0].boxes == [DOG] and [image.captions for image in found] == [["A picture."]] * 4
    assert found.ids.tolist() == [1, 2, 3, 4] and found.left_out_rows == {}


# zylo117/Yet-Another-EfficientDet-Pytorch#60
def test_category_ids_that_are_texts_are_joined(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        for row in content["categories"]:
            row["id"] = str(row["id"])

    assert read_pool(changed(four_images(tmp_path, boxes=1), change))[0].boxes == [DOG]


# qqwweee/keras-yolo3#189
@pytest.mark.parametrize("content", [{"info": {}, "licenses": []}, {"images": []}, {"labels": {"a": 1}}])
def test_a_file_without_annotations_is_one_line_that_names_it(tmp_path: Path, content: Any) -> None:
    root = four_images(tmp_path)
    write(root / "annotations/instances_train2017.json", content)
    with pytest.raises(DataEngineError) as caught:
        read_pool(root)
    assert "instances_train2017.json" in str(caught.value) and "\n" not in str(caught.value)


# modelscope/ms-swift#7045
def test_one_image_that_cannot_be_read_is_one_row(tmp_path: Path, student: Path) -> None:
    picture(tmp_path / "good.jpg")
    (tmp_path / "torn.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:200])
    rows = [question("good.jpg", number) for number in range(1, 25)]
    result = train(student, tmp_path, [question("torn.jpg"), *rows])
    assert (result.log.mix[0].drawn, result.log.skipped) == (25, {"image cannot be read": 1})
    write(tmp_path / "questions.json", [question("torn.jpg"), *rows])
    answers = evaluate(evaluation(student, tmp_path))
    assert len(answers.answers) == 24 and [row.kind for row in answers.skipped] == ["image cannot be read"]


def evaluation(student: Path, folder: Path, **more: Any) -> EvaluateConfig:
    given: dict[str, Any] = {
        "questions": folder / "questions.json", "image_root": folder, "student": str(student), "device": "cpu",
        "output_dir": folder / "out", "direct_answers": False,
    }  # fmt: skip
    return EvaluateConfig(**(given | more))


# modelscope/ms-swift#8326
@pytest.mark.parametrize("parts_first", [False, True])
def test_a_turn_whose_text_is_a_list_of_parts_is_read_like_a_text(tmp_path: Path, parts_first: bool) -> None:
    parts = conversation("images/2.jpg")
    parts["conversations"][0]["value"] = [
        {"type": "image"},
        {"type": "text", "text": CHAT.replace("What", "Which")},
    ]
    parts["conversations"][1]["value"] = [{"type": "text", "text": "(A) dog"}]
    rows = [conversation("images/1.jpg"), parts]
    write(tmp_path / "chats.json", rows[::-1] if parts_first else rows)
    kept = post_process(PostProcessConfig(input=tmp_path / "chats.json", output=tmp_path / "out.json"))
    assert sorted((row.image_path, row.question) for row in kept.sample) == [
        ("images/1.jpg", "What animal is it?"),
        ("images/2.jpg", "Which animal is it?"),
    ]


# modelscope/ms-swift#4026, modelscope/ms-swift#5926
def test_half_of_the_rows_are_not_filtered_silently(tmp_path: Path, student: Path) -> None:
    picture(tmp_path / "1.jpg")
    rows = [question("1.jpg" if number % 2 else f"gone{number}.jpg", number) for number in range(8)]
    with pytest.raises(DataEngineError, match=r"4 of 8 rows cannot be used: .*max_bad_share"):
        train(student, tmp_path, rows)
    result = train(student, tmp_path, rows, max_bad_share=0.5)
    assert used(result) == 4 and result.log.skipped == {"image not found": 4}
    assert any("4 rows were not trained on" in warning for warning in result.warnings)


# modelscope/ms-swift#10162
def test_one_overlong_row_is_left_out_and_the_good_one_is_used(tmp_path: Path, student: Path) -> None:
    picture(tmp_path / "1.jpg")
    long = question("1.jpg", 1) | {"question": "Which animal is it, please? " * 4000}
    result = train(student, tmp_path, [question("1.jpg"), long], max_bad_share=0.5)
    assert result.log.skipped == {"text too long": 1} and len(result.log.loss) == 1
    write(tmp_path / "questions.json", [question("1.jpg"), long])
    found = evaluate(evaluation(student, tmp_path, max_bad_share=0.5))
    assert [answer.question_id for answer in found.answers] == ["q0"] and len(found.skipped) == 1


# 2U1/Qwen-VL-Series-Finetune#133
def test_an_image_that_the_students_processor_refuses_is_one_row(tmp_path: Path, qwen: Path) -> None:
    picture(tmp_path / "1.jpg")
    picture(tmp_path / "line.jpg", (1000, 4))
    rows = [question("1.jpg", number) for number in range(1, 25)]
    result = train(qwen, tmp_path, [question("line.jpg"), *rows])
    assert sum(result.log.skipped.values()) == 1
    assert "aspect ratio" in result.log.skipped_rows[0]
    write(tmp_path / "questions.json", [question("line.jpg"), *rows])
    found = evaluate(evaluation(qwen, tmp_path))
    assert len(found.answers) == 24 and ["aspect ratio" in row.reason for row in found.skipped] == [True]
    written = evaluate(
        evaluation(qwen, tmp_path, rank="generate", max_failed_share=1, output_dir=tmp_path / "written")
    )
    assert len(written.answers) == 24 and [row.kind for row in written.skipped] == [
        "refused by the student's processor"
    ]


# vllm-project/vllm#21109, EvolvingLMMs-Lab/lmms-eval#736
@pytest.mark.parametrize("size", [(27, 300), (1, 1), (1, 40), (5, 3)])
def test_an_image_smaller_than_a_patch_is_asked_about(
    tmp_path: Path, qwen: Path, student: Path, size: Any
) -> None:
    picture(tmp_path / "small.png", size)
    write(tmp_path / "questions.json", [question("small.png")])
    for number, model in enumerate((qwen, student)):
        found = evaluate(evaluation(model, tmp_path, output_dir=tmp_path / f"out{number}"))
        assert len(found.answers) == 1 and not found.skipped
