"""Step 5's base data in the layouts in which they are published: each is read, trained on and counted."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fine_tuning import Make, row
from PIL import Image

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.export import export
from dataengine_lib.exports.records import ExportOptions
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune
from dataengine_lib.training.data_sets import TrainingFiles, read_data_sets
from dataengine_lib.training.row_files import EMPTY_CAPTION, MALFORMED, NO_IMAGE, read_training_rows
from dataengine_lib.training.texts import CAPTION_INSTRUCTIONS, TextFormat, TrainingRow

LETTER = "Answer with the option's letter from the given choices directly."


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(file)


def save_cc_sbu_align(folder: Path) -> Path:
    """The archive of MiniGPT-4's second stage: filter_cap.json beside the folder `image`."""
    for number in (2, 3):
        picture(folder / f"image/{number}.jpg")
    captions = [
        {"image_id": "2", "caption": "The image shows a man."},
        {"image_id": "3", "caption": "A bay."},
    ]
    (folder / "filter_cap.json").write_text(json.dumps({"annotations": captions}))
    return folder / "filter_cap.json"


def save_coco_captions(folder: Path) -> Path:
    picture(folder / "train2017/000000391895.jpg")
    image = {"license": 3, "file_name": "000000391895.jpg", "height": 6, "width": 8, "id": 391895}
    content = {"info": {}, "images": [image], "licenses": [], "annotations": [
        {"image_id": 391895, "id": n, "caption": f"A man on a bike {n}."} for n in (770337, 771687)]}  # fmt: skip
    return write_json(folder / "annotations_captions_train2017.json", content)


def save_lavis_captions(folder: Path) -> Path:
    picture(folder / "val2014/COCO_val2014_000000391895.jpg")
    row = {"caption": "A man.", "image": "val2014/COCO_val2014_000000391895.jpg", "image_id": "coco_391895"}
    return write_json(folder / "coco_karpathy_train.json", [row])


def said(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]


def save_llava_665k(folder: Path) -> Path:
    """Rows as in llava_v1_5_mix665k.json: several turns, a letter alone, another data set's folder, text alone."""
    for name in ("coco/train2017/000000033471.jpg", "ocr_vqa/images/140031996.jpg"):
        picture(folder / name)
    options = f"What is it?\nA. a bus\nB. a car\n{LETTER}"
    return write_json(folder / "llava_v1_5_mix665k.json", [
        {"id": "000000033471", "image": "coco/train2017/000000033471.jpg",
         "conversations": said("<image>\nWhich colour?", "It is red.", "How many?", "Two.", "Why?", "By chance.")},
        {"id": "000000033471", "image": "coco/train2017/000000033471.jpg",
         "conversations": said(f"<image>\n{options}", "B")},
        {"id": "140031996", "image": "ocr_vqa/images/140031996.jpg",
         "conversations": said("Who wrote this?\n<image>\nAnswer the question using a single word or phrase.", "A. B.")},
        {"id": "wgByO4Y_0", "model": "gpt4", "conversations": said("Hello", "Hi!", "Tell a joke", "A car.")},
    ])  # fmt: skip


def save_aokvqa(folder: Path) -> Path:
    picture(folder / "train2017/000000299207.jpg")
    return write_json(folder / "aokvqa_v1p0_train.json", [
        {"split": "train", "image_id": 299207, "question_id": "22MexNkBPpdZGX6sxbxVBH",
         "question": "What is the man by the bags awaiting?", "choices": ["skateboarder", "train", "delivery", "cab"],
         "correct_choice_idx": 3, "direct_answers": ["ride"] * 10, "difficult_direct_answer": False,
         "rationales": ["A train would not be on the street."] * 3}])  # fmt: skip


def save_v2(folder: Path) -> Path:
    picture(folder / "vg/VG_100K_2/2404787.jpg")
    return write_json(folder / "mllm_dataengine_v2.json", [
        {"instruction": "Where is the man?", "answer": "The man is at the left side of the image.",
         "short_answer": "Left middle", "options": ["Top right", "Bottom right", "Bottom left", "Left middle"],
         "choide_answer": "D", "image": "vg/VG_100K_2/2404787.jpg", "qtype": 4}])  # fmt: skip


def save_our_export(folder: Path) -> Path:
    picture(folder / "1.jpg")
    record = TrainRecord(image_id=1, image_path="1.jpg", raw_instructions="", question_type="t", question="Which?",
                         choices=["dog", "cat", "cow", "pig"], correct_choice_idx=1)  # fmt: skip
    options = ExportOptions(text_format="letter", copies=2, shuffle_options=True)
    return export("llava", [record], folder, folder / "round1.json", options)[0]


# (what writes the file, its format, rows, text-only rows among them, the turns of its first row)
PUBLISHED: list[Any] = [
    (save_cc_sbu_align, "captions", 2, 0, ((CAPTION_INSTRUCTIONS[0], "The image shows a man."),)),
    (save_coco_captions, "captions", 2, 0, ((CAPTION_INSTRUCTIONS[0], "A man on a bike 770337."),)),
    (save_lavis_captions, "captions", 1, 0, ((CAPTION_INSTRUCTIONS[0], "A man."),)),
    (save_llava_665k, "conversations", 4, 1,
     (("Which colour?", "It is red."), ("How many?", "Two."), ("Why?", "By chance."))),
    (save_aokvqa, "questions", 1, 0,
     (("What is the man by the bags awaiting?\n(A) skateboarder (B) train (C) delivery (D) cab",
       "The answer is (D) cab."),)),
    (save_v2, "questions", 1, 0,
     (("Where is the man?\n(A) Top right (B) Bottom right (C) Bottom left (D) Left middle",
       "The answer is (D) Left middle."),)),
    (save_our_export, "conversations", 2, 0, None),
]  # fmt: skip


def read(
    file: Path, root: Path, formats: list[TextFormat] | None = None, **more: Any
) -> tuple[list[TrainingRow], BadRows]:
    left_out = BadRows(file, 1)
    return read_training_rows(file, root, formats or ["QM-A"], left_out, **more), left_out


@pytest.mark.parametrize(
    ("save", "format", "rows", "text_only", "turns"), PUBLISHED, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_published_file_is_read_whole(
    tmp_path: Path, save: Any, format: str, rows: int, text_only: int, turns: Any
) -> None:
    file = save(tmp_path)
    found, left_out = read(file, tmp_path, file_format=format)
    assert len(found) == rows and not left_out.counts and len({one.where for one in found}) == rows
    assert sum(one.image is None for one in found) == text_only
    assert turns is None or found[0].turns("QM-A") == turns
    other = "questions" if format != "questions" else "captions"
    with pytest.raises(
        DataEngineError, match=f"{file.name}: holds .*, but its format in base_data is {other}; correct"
    ):
        read(file, tmp_path, file_format=other)


def test_all_of_them_are_mixed_and_trained_on(config: Make, images: Path) -> None:
    """The loss goes down on every format, and the log counts each set."""
    base = []
    for number, (save, *_) in enumerate(PUBLISHED):
        folder = images / f"set{number}"
        folder.mkdir()
        base.append({"file": save(folder), "image_root": folder, "samples": 2})
    base[0]["share"] = base[0].pop("samples") / 10
    settings = config([row(n) for n in range(4)], base_data=base, epochs=10, method="full")
    result = fine_tune(settings)
    mix = result.log.mix
    assert [part.name for part in mix] == ["round 1", *(f"base {n}" for n in range(1, 8))]
    assert [(part.rows, part.text_only) for part in mix[1:]] == [(one[2], one[3]) for one in PUBLISHED]
    # a fifth to the captions; the others, with a weight of 2 each, as much as the four new rows
    assert [part.drawn for part in mix] == [40, 70, *[40] * 6]
    assert not result.log.skipped
    losses = [point.loss for point in result.log.loss]
    assert sum(losses[-5:]) / 5 < 0.5 * losses[0]


def test_captions_are_asked_for_in_several_ways(tmp_path: Path) -> None:
    found, _ = read(save_cc_sbu_align(tmp_path), tmp_path)
    rng = Random(0)
    asked = [found[0].for_use("QM-A", rng).turns("QM-A") for _ in range(60)]
    assert {turn[0][0] for turn in asked} == set(CAPTION_INSTRUCTIONS)
    assert {turn[0][1] for turn in asked} == {"The image shows a man."}


def test_captions_without_text_or_image_are_counted(tmp_path: Path) -> None:
    file = save_cc_sbu_align(tmp_path)
    rows = [{"image_id": 2, "caption": "A."}, {"image_id": "2", "caption": " "}, {"image_id": 9, "caption": "A."},
            {"image_id": "../../2", "caption": "A."}, {"image_id": "2"}, {"caption": ["A."], "image_id": 2},
            {"image_id": 2**70, "caption": "A."}, 7]  # fmt: skip
    file.write_text(json.dumps({"annotations": rows}))
    found, left_out = read(file, tmp_path)
    assert [one.image for one in found] == [tmp_path / "image/2.jpg"]
    assert left_out.counts == {EMPTY_CAPTION: 1, NO_IMAGE: 2, MALFORMED: 4} and left_out.n_rows == 8
    # the folder of the images may itself be the root
    assert [one.image for one in read(file, tmp_path / "image")[0]] == [tmp_path / "image/2.jpg"]


def test_annotations_of_another_kind_are_named(tmp_path: Path) -> None:
    file = write_json(
        tmp_path / "instances.json", {"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}
    )
    with pytest.raises(
        DataEngineError, match=r"instances\.json: .*looks like COCO annotations \(instances\)"
    ):
        read_data_sets(TrainingFiles([file], tmp_path, [], tmp_path, ["QM-A"]), 1.0)


@pytest.mark.parametrize(
    ("text_format", "text"),
    [
        ("answer", ("Where is the man?", "The man is at the left side of the image.")),
        (
            "letter",
            (
                f"Where is the man?\nA. Top right\nB. Bottom right\nC. Bottom left\nD. Left middle\n{LETTER}",
                "D",
            ),
        ),
    ],
)
def test_targets_of_v2(tmp_path: Path, text_format: TextFormat, text: tuple[str, str]) -> None:
    (found,), _ = read(save_v2(tmp_path), tmp_path, [text_format])
    assert found.turns(text_format) == (text,)
    (other,), _ = read(save_aokvqa(tmp_path), tmp_path, ["answer"])
    assert other.turns("answer") == (("What is the man by the bags awaiting?", "cab"),)


def test_options_are_shuffled_anew_in_each_use(tmp_path: Path) -> None:
    (found,), _ = read(save_v2(tmp_path), tmp_path, ["letter"], shuffle_options=True)
    rng = Random(0)
    uses = [found.for_use("letter", rng) for _ in range(60)]
    texts = {use.turns("letter")[0] for use in uses}
    assert 20 < len(texts) <= 24 and len({use.use for use in uses}) == len(texts)
    for asked, letter in texts:
        assert f"\n{letter}. Left middle\n" in asked
    # nothing is drawn where no option is shown
    state = rng.getstate()
    assert found.for_use("answer", rng) is found and rng.getstate() == state


def test_shuffled_options_are_trained_on_and_the_same_for_a_seed(config: Make, images: Path) -> None:
    given = {"text_formats": ["letter"], "shuffle_options": True, "epochs": 4, "max_steps": 6}
    first = fine_tune(config(output_dir=images / "a", **given)).log
    assert first == fine_tune(config(output_dir=images / "b", **given)).log
    assert (
        first.loss
        != fine_tune(config(output_dir=images / "c", **given | {"shuffle_options": False})).log.loss
    )


@pytest.mark.parametrize(
    ("base", "line"),
    [
        ([{"file": "a", "fil": "b"}], "unknown key 'base_data.0.fil'; nearest valid key: 'base_data.0.file'"),
        ([{"share": 0.5}], "base_data.0.file is needed; give it"),
        (["a", {"file": "b", "share": 1.0}], "base_data.1.share: Input should be less than 1 (given: 1.0)"),
        (
            [{"file": "a", "format": "llava"}],
            "base_data.0.format: Input should be 'questions', 'conversations' or 'ca",
        ),
        (
            [{"file": "a", "share": 0.1, "samples": 3}],
            "base_data.0: share and samples exclude each other; leave one out",
        ),
        (
            [{"file": n, "share": 0.5} for n in "ab"],
            "the shares in base_data add up to 1, which leaves no draw for new",
        ),
        (
            [{"file": "a", "image_root": n} for n in "ab"],
            "base_data names a with two image roots; link the images",
        ),
        ([{"file": "a\0"}], "base_data: holds a null byte"),
        ({"file": "a"}, "base_data: Input is not a valid path, or a valid list"),
    ],
)
def test_a_wrong_list_is_one_line(base: Any, line: str) -> None:
    given = {"student": "s", "train_data": ["t"], "image_root": "i", "output_dir": "o", "base_data": base}
    with pytest.raises(ParameterError) as caught:
        FineTuneConfig.read(given, "my.yaml: fine_tune")
    assert str(caught.value).startswith(f"my.yaml: fine_tune: {line}") and "\n" not in str(caught.value)


def test_base_share_is_that_of_all_base_data(config: Make, images: Path) -> None:
    files = [
        write_json(images / f"{n}.json", [row(n) for n in range(size)]) for n, size in enumerate((4, 16))
    ]
    log = fine_tune(config(base_data=files, base_share=0.6, max_steps=5)).log
    assert [part.drawn for part in log.mix] == [8, 4, 8]
    with pytest.raises(
        ParameterError, match="base_share is the share of all base data; leave it out, or share"
    ):
        FineTuneConfig.read(
            config().model_dump() | {"base_share": 0.6, "base_data": [{"file": "a", "share": 0.1}]}, "y"
        )


def test_a_missing_image_names_the_root_of_its_file(config: Make, images: Path) -> None:
    base = [
        {
            "file": write_json(images / "b.json", [row(1, image_path="gone.png", image_id=99)]),
            "image_root": images,
        }
    ]
    with pytest.raises(DataEngineError, match=r"b\.json: .*correct them, check base_data\.0\.image_root \("):
        fine_tune(config(base_data=base))
