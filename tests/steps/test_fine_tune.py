"""Tests of step 5 on a LLaVA of a few thousand weights: it learns only the answer, and the same every time."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from fine_tuning import CHOICES, QUESTION, Make, row, weights
from PIL import Image
from tiny_families import save_family
from tqdm.auto import tqdm

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.report.fine_tune import training_sentences
from dataengine_lib.steps.fine_tune import FineTuneConfig, FineTuneResult, fine_tune
from dataengine_lib.students.length_limit import LengthLimit
from dataengine_lib.students.loading import load_student
from dataengine_lib.training.encoding.batches import IGNORED_LABEL
from dataengine_lib.training.examples import (
    IMAGE_UNREADABLE,
    NOT_ENCODED,
    TEXT_TOO_LONG,
    ExampleEncoder,
)
from dataengine_lib.training.log import TrainLog
from dataengine_lib.training.mix.replay import Replay
from dataengine_lib.training.row_files import read_training_rows
from dataengine_lib.training.texts import OVER_MAX_LENGTH
from dataengine_lib.training.trainable import TrainableSettings, load_trainable


def answers(folder: Path | str, images: Path) -> list[int]:
    """The option that the student ranks first for each of the four pictures."""
    pictures = [Image.open(images / f"{number:012d}.png").convert("RGB") for number in range(4)]
    options = " ".join(f"({letter}) {choice}" for letter, choice in zip("ABCD", CHOICES, strict=True))
    scores = load_student(str(folder), "cpu").rank(pictures, [f"{QUESTION}\n{options}"] * 4, [CHOICES] * 4)
    return [one.index(max(one)) for one in scores]


@pytest.mark.parametrize(("method", "rate", "dtype"), [("full", 5e-3, "float32"), ("lora", 2e-2, "bfloat16")])
def test_training_lowers_the_loss_and_changes_the_answers(
    config: Make, student: Path, images: Path, method: str, rate: float, dtype: str
) -> None:
    assert answers(student, images) != [0, 1, 2, 3]
    result = fine_tune(config(method=method, learning_rate=rate, epochs=30, dtype=dtype))
    losses = [point.loss for point in result.log.loss]
    assert sum(losses[-5:]) / 5 < 0.25 * losses[0]
    assert answers(result.checkpoint, images) == [0, 1, 2, 3]


def test_the_same_seed_gives_the_same_weights(config: Make, images: Path) -> None:
    first = fine_tune(config(output_dir=images / "a", epochs=2))
    second = fine_tune(config(output_dir=images / "b", epochs=2))
    other = fine_tune(config(output_dir=images / "c", epochs=2, seed=1))
    assert weights(images / "a") == weights(images / "b") != weights(images / "c")
    assert (images / "a/train_log.json").read_bytes() == (images / "b/train_log.json").read_bytes()
    assert first.log == second.log != other.log


def examples_of(
    student: Path, rows: list[Any], images: Path, **more: Any
) -> tuple[ExampleEncoder, list[Any], BadRows]:
    file = write_json(images / "rows.json", rows)
    skipped = BadRows(file, 1)
    read = read_training_rows(file, images, ["QM-A", "Q-A"], skipped)
    examples = ExampleEncoder(load_student(str(student), "cpu").processor, {file: skipped}, **more)
    made = examples.make([(one, name) for one in read for name in one.formats], tqdm(disable=True))
    return examples, made, skipped


def test_labels_hold_the_answer_and_its_end_alone(student: Path, images: Path) -> None:
    examples, made, _ = examples_of(student, [row(1), row(2)], images)
    tokenizer = load_student(str(student), "cpu").processor.tokenizer
    batch = examples.batch(made)
    learnt = [tokenizer.decode(line[line != IGNORED_LABEL]) for line in batch["labels"]]
    assert learnt == [
        " The answer is (B) green.</s>",
        " The answer is green.</s>",
        " The answer is (C) blue.</s>",
        " The answer is blue.</s>",
    ]
    for number, example in enumerate(made):
        assert batch["attention_mask"][number].sum() == len(example)
        assert (batch["labels"][number, : len(example) - example.answer] == IGNORED_LABEL).all()
        assert (batch["labels"][number, len(example) :] == IGNORED_LABEL).all()


def test_the_loss_is_that_of_the_answer_tokens(student: Path, images: Path) -> None:
    examples, made, _ = examples_of(student, [row(1)], images)
    model = load_student(str(student), "cpu").model
    batch = examples.batch(made)
    with torch.no_grad():
        out = model(**batch)
    rows, places = torch.nonzero(batch["labels"] != IGNORED_LABEL, as_tuple=True)
    picked = out.logits.log_softmax(-1)[rows, places - 1, batch["labels"][rows, places]]
    assert out.loss.item() == pytest.approx(-picked.mean().item(), rel=1e-5)


def test_lora_leaves_out_the_vision_tower_and_the_output_layer(student: Path) -> None:
    def trained(**more: Any) -> set[str]:
        settings = {
            "method": "lora",
            "lora_rank": 2,
            "train_vision": False,
            "dtype": "float32",
            "device": "cpu",
            "seed": 0,
        }
        model = load_trainable(str(student), TrainableSettings(**(settings | more))).model
        return {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    names = trained()
    assert any("language_model" in name and "q_proj" in name for name in names)
    assert any("language_model" in name and "down_proj" in name for name in names)
    assert any("multi_modal_projector" in name for name in names)
    assert not any("vision_tower" in name or "lm_head" in name for name in names)
    assert all("lora_" in name for name in names)
    assert any("vision_tower" in name for name in trained(train_vision=True))
    full = trained(method="full")
    assert any("lm_head" in name for name in full) and not any("vision_tower" in name for name in full)


def test_only_what_is_trained_changes(config: Make, student: Path) -> None:
    from safetensors.torch import load_file

    result = fine_tune(config())
    before, after = (
        load_file(student / "model.safetensors"),
        load_file(result.checkpoint / "model.safetensors"),
    )
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not any("vision_tower" in name or "norm" in name for name in changed)
    assert {one.dtype for one in after.values()} == {one.dtype for one in before.values()}


@pytest.mark.parametrize(
    ("family", "method"),
    [("instructblip_t5", "lora"), ("instructblip_t5", "full"), ("florence2", "lora")],
)
def test_an_encoder_decoder_learns_the_answer(config: Make, images: Path, family: str, method: str) -> None:
    folder = save_family(family, images / family)
    result = fine_tune(
        config(student=str(folder), method=method, epochs=15, batch_size=4, learning_rate=0.01)
    )
    losses = [point.loss for point in result.log.loss]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    asked = [Image.new("RGB", (40, 30))], [QUESTION], [CHOICES]
    before, after = (load_student(str(name), "cpu").rank(*asked)[0] for name in (folder, result.checkpoint))
    assert sum(after) > sum(before)


def test_a_kept_adapter_gives_the_same_weights_when_merged(config: Make, student: Path, images: Path) -> None:
    merged = fine_tune(config(epochs=4, output_dir=images / "merged")).checkpoint
    adapter = fine_tune(config(epochs=4, output_dir=images / "adapter", keep_adapter=True)).checkpoint
    assert (adapter / "adapter_model.safetensors").is_file() and not (adapter / "model.safetensors").exists()
    joined = load_student(str(student), "cpu", adapter=adapter).model.state_dict()
    torch.testing.assert_close(joined, load_student(str(merged), "cpu").model.state_dict())


def test_a_step_divided_into_passes_is_the_same_step(config: Make, images: Path) -> None:
    rows = [row(n, question="Which? " * (n + 1)) for n in range(8)]
    whole = fine_tune(config(rows, output_dir=images / "a", epochs=2)).log.loss
    parted = fine_tune(config(rows, output_dir=images / "b", epochs=2, accumulate=3)).log.loss
    assert [one.loss for one in whole] == pytest.approx([one.loss for one in parted], rel=1e-3)


def test_the_log_lists_what_was_trained_on(config: Make, images: Path) -> None:
    base = write_json(images / "base.json", [row(n, question_type="image_scene") for n in range(32)])
    second = write_json(images / "second.json", [row(n) for n in range(2)])
    settings = config(train_data=[images / "train.json", second], base_data=base, epochs=3)
    log = read_json(fine_tune(settings).checkpoint / "train_log.json", TrainLog)
    assert [(part.name, part.rows) for part in log.mix] == [("round 1", 8), ("round 2", 2), ("base", 32)]
    assert [part.drawn for part in log.mix] == [20, 10, 40]  # as 2 : 1 : 4, the roots of 8, 2 and 32
    assert sum(part.share for part in log.mix) == pytest.approx(1, abs=1e-3)
    assert log.by_type["image_scene"].base == log.mix[2].drawn and log.by_type["image_scene"].new == 0
    assert log.by_type["attribute_recognition"].new == 30
    assert log.steps == len(log.loss) and log.loss[-1].lr < 0.1 * max(point.lr for point in log.loss)
    timing = json.loads((settings.output_dir / "train_time.json").read_text())
    assert timing["training"] >= 0 and timing["device"] == "cpu"


def test_max_steps_stops_early_and_keeps_the_shares(config: Make, images: Path) -> None:
    base = write_json(images / "base.json", [row(n) for n in range(8)])
    log = fine_tune(config(base_data=base, epochs=50, max_steps=3)).log
    assert log.steps == 3
    assert [part.drawn for part in log.mix] == [6, 6]


def test_steps_is_the_exact_number_and_mixes_over_as_many_passes_as_it_takes(
    config: Make, images: Path
) -> None:
    base = write_json(images / "base.json", [row(n) for n in range(3)])
    log = fine_tune(config(base_data=base, base_share=0.25, epochs=50, steps=7)).log
    assert log.steps == len(log.loss) == 7
    assert [part.drawn for part in log.mix] == [21, 7]  # of 28 rows, where an epoch has 8 new ones


def test_base_data_alone_is_trained_on_for_as_many_steps(config: Make, images: Path) -> None:
    base = write_json(images / "base.json", [row(n) for n in range(3)])
    result = fine_tune(
        config(train_data=[], new_data=False, base_data=base, base_share=0.5, steps=5, keep_best=False)
    )
    assert result.log.steps == 5 and [(p.name, p.drawn) for p in result.log.mix] == [("base", 20)]
    assert not any("new row" in line for line in result.warnings)
    assert "Trained on base data alone, without new data." in training_sentences(result.log, result.time)
    broken = write_json(images / "broken.json", [row(0, image_path="none.png")])
    with pytest.raises(DataEngineError, match="check base_data and base_image_root"):
        fine_tune(
            config(
                train_data=[],
                new_data=False,
                base_data=broken,
                steps=1,
                max_bad_share=1,
                output_dir=images / "c",
            )
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"steps": 3, "max_steps": 4},
            "steps is the exact number, max_steps the most; leave one of them out",
        ),
        ({"replay_types": "fallen"}, "replay_types: fallen needs base_data"),
        (
            {"base_share": "measured", "base_data": "b.json"},
            "base_share: measured needs evaluations; give aokvqa_eval.json of every round so far",
        ),
        (
            {
                "replay_types": "fallen",
                "base_data": "b.json",
                "train_data": [],
                "new_data": False,
                "steps": 3,
            },
            "replay_types: fallen is against forgetting from new data; leave it out with new_data: false",
        ),
        (
            {
                "replay_types": "fallen",
                "base_data": "b.json",
                "evaluations": ["1.json", "2.json"],
                "panels": ["panel"],
            },
            "panels has 1 folders for 2 evaluations; give one each, or none",
        ),
        ({"train_data": []}, "train_data is needed; give gptvqa_train_data.json of every round so far"),
        ({"new_data": False}, "new_data: false trains on base data alone; leave train_data out"),
        ({"new_data": False, "train_data": [], "steps": 3}, "new_data: false needs base_data, and steps"),
        (
            {"new_data": False, "train_data": [], "base_data": "b.json"},
            "new_data: false needs base_data, and steps",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(
    config: Make, settings: dict[str, Any], message: str
) -> None:
    values = config().model_dump(exclude_unset=True) | settings
    with pytest.raises(ParameterError) as caught:
        FineTuneConfig.read(values, "mine.yaml: fine_tune")
    assert str(caught.value).startswith(f"mine.yaml: fine_tune: {message}")
    assert len(str(caught.value).splitlines()) == 1


def evaluations(folder: Path, accuracies: list[float]) -> list[Path]:
    """One evaluation a round of 60 questions about as many images, with so many right."""
    files = []
    for number, accuracy in enumerate(accuracies):
        rows = [
            Answer(
                question_id=f"q{n}", image_id=1000 + n, question="Which?", choices=["a", "b"], split="diagnose",
                correct_choice_idx=0, correct=n < 60 * accuracy, predicted_choice_idx=int(n >= 60 * accuracy),
                question_type="attribute_recognition",
            )
            for n in range(60)
        ]  # fmt: skip
        files.append(write_json(folder / f"eval{number}.json", rows))
    return files


@pytest.mark.parametrize(("replay_types", "drawn"), [("all", (27, 9)), ("even", (18, 18))])
def test_base_rows_of_rare_types_can_be_drawn_more_often(
    config: Make, images: Path, replay_types: str, drawn: tuple[int, int]
) -> None:
    """Twelve base rows, three of them of a rare type; 36 draws of base rows."""
    rows = [row(n) | {"question_type": "image_scene" if n < 9 else "image_style"} for n in range(12)]
    base = write_json(images / "base.json", rows)
    log = fine_tune(config(base_data=base, base_share=0.5, steps=18, replay_types=replay_types)).log
    assert [part.drawn for part in log.mix] == [36, 36]
    assert (log.by_type["image_scene"].base, log.by_type["image_style"].base) == drawn


def test_the_share_of_base_rows_follows_what_was_forgotten(config: Make, images: Path) -> None:
    """Eight new rows and eight of base data: a half by the square-root rule, two thirds after a fall."""
    base = write_json(images / "base.json", [row(n) for n in range(8)])
    settings: dict[str, Any] = {"base_data": base, "base_share": "measured", "steps": 6}

    def trained(accuracies: list[float], **more: Any) -> FineTuneResult:
        files = evaluations(images, accuracies)
        return fine_tune(config(**settings | more, evaluations=files))

    def drawn(result: FineTuneResult) -> list[int]:
        return [part.drawn for part in result.log.mix]

    assert drawn(trained([1.0])) == [12, 12]
    fallen = trained([1.0, 0.6], replay_types="fallen")
    assert drawn(fallen) == [8, 16]
    log: TrainLog = read_json(images / "checkpoint/train_log.json", TrainLog)
    replay = log.replay
    assert isinstance(replay, Replay) and replay == fallen.log.replay
    assert replay.changes[0].fell and replay.share == 0.6667
    assert replay.fallen == ["attribute_recognition"]
    text = " ".join(training_sentences(fallen.log, fallen.time))
    assert "Share of base rows, as measured: 67% (by the square-root rule 50%)" in text
    assert "(60 diagnose questions) changed by -40.0 points (p < 0.0001, a fall)" in text
    panels = [images / f"round{n}" for n in (1, 2)]
    for folder, accuracy in zip(panels, [1.0, 0.7], strict=True):
        (folder / "mme").mkdir(parents=True)
        rows: list[Answer] = read_json(evaluations(images, [accuracy])[0], list[Answer])
        for one in rows:
            one.question_type = "count"
        write_json(folder / "mme/aokvqa_eval.json", rows)
    kept = trained([0.6, 0.7], replay_types="fallen", panels=panels)
    assert drawn(kept) == [8, 16], "nothing of the diagnose split fell, but a type of the panel"
    replay = kept.log.replay
    assert isinstance(replay, Replay) and replay.fallen == replay.without_rows == ["count"]
    text = " ".join(training_sentences(kept.log, kept.time))
    assert (
        "On the panel, fallen beyond noise since the first round: mme -30.0 points (sets and types compared: 1,"
        in text
    )
    assert "No base row is of the fallen types count." in text and "twice" not in text


def test_a_log_without_measuring_is_as_before(config: Make, images: Path) -> None:
    files = evaluations(images, [1.0, 0.5])
    assert config(evaluations=files).evaluations == [], "not read, and no part of what is trained"
    assert fine_tune(config(evaluations=files)).log.replay is msgspec.UNSET
    assert b"replay" not in (images / "checkpoint/train_log.json").read_bytes()


def test_a_base_file_that_cannot_be_encoded_is_an_error_where_steps_are_exact(
    config: Make, images: Path
) -> None:
    long = write_json(images / "long.json", [row(0, question="word " * 400)])
    with pytest.raises(DataEngineError, match=r"long\.json: no row can be encoded, so that 4 of the 8 draws"):
        fine_tune(config(base_data=long, base_share=0.5, steps=2, max_bad_share=1))


def test_a_file_that_gets_no_draw_is_not_called_unusable_where_steps_are_exact(
    config: Make, images: Path
) -> None:
    new = [write_json(images / "new.json", [row(n) for n in range(4)]),
           write_json(images / "long.json", [row(0, question="word " * 400)])]  # fmt: skip
    base = write_json(images / "base.json", [row(1)])
    with pytest.raises(
        DataEngineError, match=r"^\S*long\.json: no row can be encoded, so that 3 of the 8 draws"
    ):
        fine_tune(config(train_data=new, base_data=base, base_share=0.01, steps=2, max_bad_share=1))


def test_bad_images_and_texts_are_counted_and_the_run_goes_on(config: Make, images: Path) -> None:
    whole = (images / f"{2:012d}.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    (images / "text.png").write_text("<html>")
    rows = [row(n) for n in range(4)] + [
        row(0, image_path="cut.png"),
        row(0, image_path="text.png"),
        {"question": "?"},
    ]
    log = fine_tune(config(rows, max_bad_share=0.5)).log
    assert log.skipped == {IMAGE_UNREADABLE: 2, "malformed row": 1}
    assert log.mix[0].drawn == 6  # others were drawn instead of the two
    assert any("cut.png" in line or IMAGE_UNREADABLE in line for line in log.skipped_rows)


@pytest.mark.parametrize("family", ["", "instructblip_t5", "instructblip", "qwen2_5_vl"])
def test_rows_that_are_too_long_are_left_out_and_the_others_trained_on(
    config: Make, images: Path, tmp_path_factory: pytest.TempPathFactory, family: str
) -> None:
    """The weights are those of a training without the long rows."""
    given = {}
    if family:
        given["student"] = str(save_family(family, tmp_path_factory.mktemp("families") / family))
    short = [row(n) for n in range(40)]
    long = [row(1, question="q" * 5000), row(2, choices=["c" * 100_000, "b", "c", "d"], correct_choice_idx=0)]
    log = fine_tune(config([*short, *long], max_bad_share=0.1, epochs=3, **given)).log
    assert log.skipped == {TEXT_TOO_LONG: 2} and log.mix[0].drawn == 126
    reasons = sorted(line.partition(TEXT_TOO_LONG)[2] for line in log.skipped_rows)
    assert reasons[0].startswith(" (200,") and " characters, where this student reads " in reasons[0]
    assert " tokens" in reasons[1] and "where this student" in reasons[1]
    with pytest.raises(DataEngineError, match=r"train\.json: .*2 of 42 rows cannot be used: .*max_bad_share"):
        fine_tune(config([*short, *long], max_bad_share=0.01, epochs=3, **given))


def test_rows_longer_than_max_length_are_left_out_and_none_is_cut(config: Make, images: Path) -> None:
    """They are counted, but not bad: the limit was chosen. The image's tokens count, and stay whole."""
    rows = [row(n, question="Which? " * (1 + 3 * n)) for n in range(12)]
    whole = fine_tune(config(rows, epochs=2, output_dir=images / "a")).log
    limited = fine_tune(config(rows, epochs=2, output_dir=images / "b", max_length=150, max_bad_share=0)).log
    assert not whole.skipped and whole.mix[0].drawn == limited.mix[0].drawn == 24
    (left_out,) = limited.skipped.values()
    assert limited.skipped == {OVER_MAX_LENGTH: left_out} and 2 < left_out < 10
    assert "tokens with the image, where max_length is 150" in limited.skipped_rows[0]
    with pytest.raises(DataEngineError, match=r"no row can be trained on; first: .* longer than max_length"):
        fine_tune(config(rows, max_length=5))


def test_a_conversation_that_is_too_long_is_left_out_whole(config: Make, images: Path) -> None:
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A car."},
             {"from": "human", "value": "And?"}, {"from": "gpt", "value": "word " * 4000}]  # fmt: skip
    rows = [{"image": f"{0:012d}.png", "conversations": some} for some in (turns[:2], turns)]
    base = write_json(images / "base.json", rows)
    log = fine_tune(config(base_data=base, base_share=0.5, max_bad_share=0.5)).log
    assert log.skipped == {TEXT_TOO_LONG: 1} and log.mix[1].drawn == 8
    assert "row 1, 2: text too long (" in log.skipped_rows[0]


def test_the_longest_row_is_the_last_that_fits(student: Path, images: Path) -> None:
    """One token more than the student has positions, with those of the image, is too many."""
    loaded = load_student(str(student), "cpu")
    limit = LengthLimit(loaded.model, loaded.processor)
    rows = [row(0, question="q" * size) for size in range(150, 520)]
    _, made, skipped = examples_of(student, rows, images, limit=limit)
    lengths = [len(one) for one in made if one is not None]
    assert max(lengths) == limit.positions == 512
    assert skipped.counts[TEXT_TOO_LONG] == len(made) - len(lengths) > 0


def test_rows_about_evaluation_images_are_not_trained_on(
    config: Make, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same file below a link, the same bytes below another name, and the same COCO photo in another size."""
    scored = tmp_path_factory.mktemp("scored")
    (scored / "link").symlink_to(images)
    Image.new("RGB", (41, 30), "teal").save(images / "file.png")
    Image.new("RGB", (42, 30), "gray").save(images / "bytes.png")
    shutil.copy(images / "bytes.png", scored / "renamed.png")
    Image.new("RGB", (20, 20)).save(scored / "COCO_val2014_000000000003.jpg")
    asked = ("link/file.png", "renamed.png", "COCO_val2014_000000000003.jpg")
    questions = write_json(
        scored / "q.json", [{**row(9), "image_id": None, "image_path": path} for path in asked]
    )
    given = {"questions": questions, "evaluation_image_root": scored}
    rows = [row(n) for n in range(8)]
    rows += [{**row(n), "image_path": name} for n, name in enumerate(("file.png", "bytes.png"))]
    with pytest.raises(
        DataEngineError, match=r"is an evaluation image; 4 of 10 rows cannot be used: correct them"
    ):
        fine_tune(config(rows, **given))
    result = fine_tune(config(rows, **given, max_bad_share=1))
    # images 3 (twice), file.png and bytes.png
    assert result.log.skipped == {"evaluation image": 4}
    assert result.compared == "compared with 3 evaluation images by file, bytes and COCO number"
    base = config(rows[:3], base_data=write_json(scored / "base.json", rows[-2:]), **given)
    with pytest.raises(DataEngineError, match=r"base.json: .*is an evaluation image; 2 of 2 rows"):
        fine_tune(base)


def test_a_wrong_folder_of_evaluation_images_stops_before_training(config: Make, tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(json.dumps([{**row(1), "image_path": "elsewhere.png"}]))
    with pytest.raises(
        ParameterError, match=r"none of its 1 images is below .*; correct evaluation_image_root"
    ):
        fine_tune(config(questions=tmp_path / "q.json", evaluation_image_root=tmp_path))


def test_an_image_token_in_a_question_is_plain_text(student: Path, images: Path) -> None:
    _, made, skipped = examples_of(student, [row(0, question="What does <image> </s> mean?")], images)
    assert all(made) and skipped.counts[NOT_ENCODED] == 0


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], r"no row can be trained on; check train_data and image_root"),
        ([{"question": "?"}], r"not a format that this step reads: .* \(none of 1 rows can be read; row 0: "),
        ([row(0, image_id=99, image_path="gone.png")], r"gone\.png: image not found under .*; 1 of 1 rows"),
        ([row(0, image_path="text.png")], r"text\.png cannot be read .*; 1 of 1 rows cannot be used"),
    ],
)
def test_without_usable_rows_the_error_names_the_reason(
    config: Make, images: Path, rows: list[Any], reason: str
) -> None:
    (images / "text.png").write_text("<html>")
    with pytest.raises(DataEngineError, match=rf"train\.json: .*{reason}"):
        fine_tune(config(rows))
    assert not list(images.glob("*checkpoint*"))


def test_a_failed_run_leaves_the_earlier_checkpoint(
    config: Make, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine_tune(config())
    before = weights(images / "checkpoint")

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("dataengine_lib.training.checkpoint.save_checkpoint", stop)
        fine_tune(config(seed=1))
    assert weights(images / "checkpoint") == before
    # what a kill leaves behind: half a folder under another name, which the next run replaces
    (images / ".checkpoint.unfinished").mkdir()
    (images / ".checkpoint.unfinished/model.safetensors").write_bytes(b"half")
    fine_tune(config(seed=1))
    assert weights(images / "checkpoint") != before
    assert [path.name for path in images.glob("*checkpoint*")] == ["checkpoint"]


def test_only_checkpoints_of_this_step_are_replaced(config: Make, images: Path) -> None:
    (images / "mine").mkdir()
    (images / "mine/letter.txt").write_text("dear")
    with pytest.raises(DataEngineError, match="holds something else"):
        fine_tune(config(output_dir=images / "mine"))
    assert (images / "mine/letter.txt").read_text() == "dear"


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(config: Make, images: Path) -> None:
    (images / "file").write_text("")
    with pytest.raises(DataEngineError, match="cannot be written"):
        fine_tune(config(output_dir=images / "file" / "checkpoint"))


def test_a_loss_that_is_not_finite_is_an_error(config: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataEngineError, match="lower learning_rate"):
            fine_tune(config(learning_rate=1e30, method="full", epochs=4))


def test_impossible_settings_are_refused_before_training(config: Make, student: Path) -> None:
    with pytest.raises(ParameterError, match="no weights to train"):
        fine_tune(config(student="api:gpt-5"))
    with pytest.raises(ParameterError, match="output_dir is the student"):
        fine_tune(config(output_dir=student))
    with pytest.raises(DataEngineError, match="student"):
        fine_tune(config(student="/nowhere/model"))
    with pytest.raises(ParameterError, match="need base_data"):
        FineTuneConfig.read({**config().model_dump(), "base_share": 0.5}, "params.yaml: fine_tune")
    with pytest.raises(ParameterError, match="nearest valid key: 'epochs'"):
        FineTuneConfig.read({**config().model_dump(), "epoch": 2}, "params.yaml: fine_tune")
