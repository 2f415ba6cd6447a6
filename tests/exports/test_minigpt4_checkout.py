"""`export minigpt4 --into`: a made-up checkout is wired, its training loads the data, and nothing is half-applied."""

import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from export_records import RECORDS, photos, record
from made_checkout.minigpt4 import contents, make_checkout, train

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.export import export
from dataengine_lib.exports.minigpt4.checkout import Wiring, check_wiring, wire_lines
from dataengine_lib.exports.minigpt4.train_config import with_entry
from dataengine_lib.exports.records import ExportOptions

CONFIG = "train_configs/7b/QMA/stage2_round1.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photos(tmp_path)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "MiniGPT-4")


def wire(
    root: Path, checkout: Path, records: list[TrainRecord] = RECORDS, apply: bool = True, **more: Any
) -> tuple[list[str], list[str]]:
    """(the lines shown, the warnings) of an export that is wired."""
    options = ExportOptions(**({"name": "round_one", "checkout": checkout} | more))
    export("minigpt4", records, root, root.parent / "o", options)
    lines = list(wire_lines(root.parent / "o", options.name, Wiring(checkout, "stage2_round1", apply)))
    return lines, options.warnings


def test_a_wired_checkout_trains_on_the_data_and_wiring_again_changes_nothing(
    root: Path, checkout: Path
) -> None:
    before = contents(checkout)
    shown, _ = wire(root, checkout, apply=False)
    assert contents(checkout) == before
    assert shown[-1] == f"{checkout}: nothing is changed yet; add --apply to change 4 files as above"
    patch = "\n".join(shown)
    assert "+++ b/minigpt4/configs/datasets/round_one/defaults.yaml" in patch
    assert "+from minigpt4.datasets.builders import round_one_builder  # noqa: F401" in patch
    assert "--- a/train_configs/7b/QMA/stage2_round1.yaml" in patch and "\n+  round_one:" in patch

    applied, _ = wire(root, checkout)
    assert applied[:-1] == shown[:-1] and applied[-1] == f"{checkout}: 4 files changed as above"
    found = train(checkout, CONFIG)
    assert set(found) == {"aokvqa", "round_one"} and found["round_one"]["ratio"] == 2
    rows = found["round_one"]["rows"]
    assert [row["answer"] for row in rows] == ["(B) cat"] * 3
    assert rows[0]["size"] == [96, 96], "the size of the other training sets"

    after = contents(checkout)
    again, _ = wire(root, checkout)
    assert again == [f"{checkout}: has the data set round_one already; nothing to change"]
    assert contents(checkout) == after
    kept = [line for line in before[CONFIG].splitlines() if line not in after[CONFIG].splitlines()]
    assert not kept, "comments and other lines stay"


def test_more_data_changes_the_entry_in_its_place_and_a_second_set_is_added(
    root: Path, checkout: Path
) -> None:
    wire(root, checkout)
    many = [record(1 + n % 2, query_id=f"r-{n}") for n in range(30)]
    shown, _ = wire(root, checkout, many)
    assert [line for line in shown if line.startswith(("+ ", "- "))] == [
        "-    sample_ratio: 2",
        "+    sample_ratio: 5",
    ]
    wire(root, checkout, name="round_two")
    found = train(checkout, CONFIG)
    assert list(found) == ["aokvqa", "round_one", "round_two"]
    assert (found["round_one"]["ratio"], found["round_two"]["ratio"]) == (5, 2)


@pytest.mark.parametrize("failing", range(4))
def test_when_a_rename_fails_all_files_are_as_before(
    root: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    before, folders = contents(checkout), sorted(path for path in checkout.rglob("*") if path.is_dir())
    export("minigpt4", RECORDS, root, root.parent / "o", ExportOptions(name="round_one"))
    real, number = os.replace, iter(range(99))

    def replace(source: Any, target: Any) -> None:
        if next(number) == failing:
            raise OSError(5, "Input/output error", str(target))
        real(source, target)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="Input/output"):
        patched.setattr(os, "replace", replace)
        list(wire_lines(root.parent / "o", "round_one", Wiring(checkout, "stage2_round1", True)))
    assert contents(checkout) == before
    assert sorted(path for path in checkout.rglob("*") if path.is_dir()) == folders
    wire(root, checkout)
    assert len(train(checkout, CONFIG)["round_one"]["rows"]) == 3


def test_the_permissions_of_a_file_stay(root: Path, checkout: Path) -> None:
    (checkout / CONFIG).chmod(0o600)
    wire(root, checkout)
    assert stat.S_IMODE((checkout / CONFIG).stat().st_mode) == 0o600


# The six faults of an export that the original's own code does not read.


def test_the_data_card_names_the_import(root: Path, tmp_path: Path) -> None:
    files = export("minigpt4", RECORDS, root, tmp_path / "o", ExportOptions("mine"))
    card = files[-1].read_text()
    assert "`from minigpt4.datasets.builders import mine_builder`" in card and "--into" in card


@pytest.mark.parametrize("name", ["gptvqa_round1", "gptvqa_round2", "aokvqa", "cc_sbu_align"])
def test_a_name_that_the_original_registers_is_refused(root: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ParameterError, match=f"'{name}' is a data set that .* registers itself; give another"
    ):
        export("minigpt4", RECORDS, root, tmp_path / "o", ExportOptions(name))
    assert not (tmp_path / "o").exists()


def test_a_name_that_the_checkout_registers_is_refused(root: Path, checkout: Path) -> None:
    with pytest.raises(ParameterError, match=r"image_text_pair_builder\.py: registers a data set 'lab_set'"):
        check_wiring("minigpt4", "lab_set", Wiring(checkout, "stage2_round1"))


@pytest.mark.parametrize("name", ["retrieval_round1", "val", "evaluated"])
def test_a_name_by_which_it_would_ask_for_a_validation_split_is_refused(
    root: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ParameterError, match="holds 'val', by which MiniGPT-4 tells validation data"):
        export("minigpt4", RECORDS, root, tmp_path / "o", ExportOptions(name))


def test_rows_with_description_in_a_rationale_are_loaded_and_counted(root: Path, checkout: Path) -> None:
    records = [record(1, rationales=["By the description.", "It purrs."]), record(2)]
    _, warnings = wire(root, checkout, records)
    assert [one for one in warnings if "description" in one] == [
        'minigpt4: 1 of 2 records are written without rationales that hold the word "description": its loader would '
        "drop the whole row"
    ]
    assert len(train(checkout, CONFIG)["round_one"]["rows"]) == 2
    records = [record(1, rationales=["A long one by the description.", "It purrs."])]
    records += [record(2, rationales=["The description."]), record(3, image_path="")]
    _, warnings = wire(root, checkout, records, text_format="QM-AE")
    assert warnings[0].startswith("minigpt4: 1 of 3 records are left out: no rationale without the word")
    found = train(checkout, CONFIG)["round_one"]
    assert [row["answer"] for row in found["rows"]] == ["(B) cat It purrs.", "(B) cat It is a long reason."]
    assert found["ratio"] == 1, "√2: what the loader drops does not count"


def test_more_than_seven_choices_are_left_out_and_counted(root: Path, checkout: Path) -> None:
    seven, eight = (record(n, choices=list("abcdefgh")[:size]) for n, size in ((1, 7), (2, 8)))
    _, warnings = wire(root, checkout, [seven, eight])
    assert warnings == [
        "minigpt4: 1 of 2 records are left out: more than 7 choices, for which MiniGPT-4's loader has no letters"
    ]
    assert len(train(checkout, CONFIG)["round_one"]["rows"]) == 1
    with pytest.raises(DataEngineError, match=r"nothing to export; .*more than 7 choices"):
        export("minigpt4", [eight], root, root.parent / "p")


def test_relative_paths_start_at_the_checkout_or_are_refused(root: Path, checkout: Path) -> None:
    with pytest.raises(ParameterError, match=r"train\.py starts in its checkout"):
        export("minigpt4", RECORDS, root, root.parent / "p", ExportOptions(paths="relative"))
    wire(root, checkout, paths="relative")
    config = yaml.safe_load((checkout / "minigpt4/configs/datasets/round_one/defaults.yaml").read_text())
    assert config["datasets"]["round_one"]["build_info"]["train"] == {
        "annotation": "../o/round_one.json",
        "coco": "../o/round_one_images.json",
        "images": "../photos",
    }
    assert len(train(checkout, CONFIG)["round_one"]["rows"]) == 3
    assert "paths start at the checkout" in (root.parent / "o" / "README.md").read_text()


def test_an_image_id_that_is_text_gets_a_number(root: Path, checkout: Path) -> None:
    """The loader drops rows with such ids in silence."""
    records = [record(1), msgspec.structs.replace(record(2), image_id="000a1249af2bc5f0")]
    wire(root, checkout, records)
    assert len(train(checkout, CONFIG)["round_one"]["rows"]) == 2


@pytest.mark.parametrize(
    ("wiring", "format", "message"),
    [
        (Wiring(Path("/nowhere")), "minigpt4", "is no checkout of MLLM-DataEngine's MiniGPT-4"),
        (Wiring(None, "x"), "minigpt4", "need --into"),
        (Wiring(None, apply=True), "minigpt4", "need --into"),
        (Wiring(Path()), "llava", "--into is for minigpt4"),
    ],
)
def test_options_that_do_not_fit_are_refused(wiring: Wiring, format: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        check_wiring(format, "mine", wiring)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("", "name the config of the training; give --train-config one of train_configs/13b"),
        (
            "stage2",
            "'stage2' is the name of 2 configs; give --train-config one of train_configs/13b/QMA/stage2",
        ),
        ("stage9", "'stage9' is the name of 0 configs"),
    ],
)
def test_the_train_config_has_to_be_one(checkout: Path, named: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        check_wiring("minigpt4", "mine", Wiring(checkout, named))
    check_wiring("minigpt4", "mine", Wiring(checkout, "train_configs/7b/QMA/stage2.yaml"))


def test_files_of_others_are_not_replaced(root: Path, checkout: Path) -> None:
    for place in (
        "minigpt4/datasets/builders/round_one_builder.py",
        "minigpt4/configs/datasets/round_one/defaults.yaml",
    ):
        file = checkout / place
        file.parent.mkdir(exist_ok=True)
        file.write_text("# mine\n")
        before = contents(checkout)
        with pytest.raises(ParameterError, match="was not written by dataengine; move it"):
            wire(root, checkout)
        assert contents(checkout) == before
        file.unlink()


ENTRY = {"vis_processor": {"train": {"name": "n", "image_size": 224}}, "format": "QM-A", "sample_ratio": 3}


@pytest.mark.parametrize(
    "text",
    [
        "datasets:\n    a:\n        x: 1\n",
        "datasets:\n  a: {x: 1}\n\n# the end\nrun:\n  y: 2\n",
        "run: 1\ndatasets: # here\n  a:\n    x: 1\n  mine:\n    old: 1\n\n    # a comment\n  b:\n    x: 2",
        "datasets:\r\n  a:\r\n    x: 1\r\nrun:\r\n  y: 2\r\n",
        "\ufeffdatasets:\n  a: &base\n    x: 1\n  b: *base\n",
    ],
)
def test_an_entry_is_added_and_all_else_stays(tmp_path: Path, text: str) -> None:
    changed = with_entry(tmp_path / "c.yaml", text, "mine", ENTRY)
    before, after = (yaml.safe_load(one.removeprefix("\ufeff")) for one in (text, changed))
    assert after == before | {"datasets": before["datasets"] | {"mine": ENTRY}}
    assert with_entry(tmp_path / "c.yaml", changed, "mine", ENTRY) == changed
    assert "\r\n" not in text or "\n" not in changed.replace("\r\n", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: {a: {x: 1}}\n", "datasets: is not a line of its own"),
        ("run: 1\n", "has no section datasets"),
        ("datasets:\n  a: [\n", "is not valid YAML"),
        ("datasets:\n  'mine': {x: 1}\n", "cannot be extended safely|is given twice"),
    ],
)
def test_a_config_that_cannot_be_extended_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        with_entry(tmp_path / "c.yaml", text, "mine", ENTRY)


def test_the_verb_shows_and_applies(
    root: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataengine_lib import cli

    data = write_json(root.parent / "train.json", RECORDS)
    words = [
        "dataengine", "export", "minigpt4", "--input", str(data), "--output", str(root.parent / "o"),
        "--image-root", str(root), "--name", "mine", "--into", str(checkout), "--train-config", "stage2_round1",
    ]  # fmt: skip
    for more in ([], ["--apply"], ["--apply"]):
        monkeypatch.setattr("sys.argv", [*words, *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
    out = capsys.readouterr().out
    assert out.count("\n+  mine:") == 4 and "add --apply" in out and "nothing to change" in out
    assert len(train(checkout, CONFIG)["mine"]["rows"]) == 3
