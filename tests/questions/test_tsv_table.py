"""Tests of question tables: MMBench's and VLMEvalKit's TSV, their images, and every row that cannot be used."""

import base64
import hashlib
import io
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from question_tables import COLUMNS, IMAGE, JPEG, only_reason, picture, read, row, table

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.reader import image_of, read_question_file, read_questions
from dataengine_lib.questions.splits import assign_splits


def unpacked(content: bytes, suffix: str = "jpg", folder: str = "Bench") -> str:
    """The file that an image in a table becomes."""
    return f"{folder}/{hashlib.sha256(content).hexdigest()[:20]}.{suffix}"


def test_mmbench_is_read_and_its_images_unpacked(tmp_path: Path) -> None:
    file = table(tmp_path, row(241, hint="Look left.\nThen right."), row(252, hint=""))
    found = read(file)
    assert found[0].question == "Look left.\nThen right.\nWhat is it?"
    assert found[1].question == "What is it?"
    assert (found[0].question_id, found[0].split) == ("241", "dev")
    assert (found[0].question_type, found[0].correct_choice_idx) == ("attribute_reasoning", 1)
    assert found[0].image_path == unpacked(JPEG)
    assert (tmp_path / "images" / image_of(found[0], tmp_path / "images")).read_bytes() == JPEG
    assert read(file, type_field="category")[0].question_type == "identity_reasoning"


def test_the_type_is_the_category_without_an_l2_column(tmp_path: Path) -> None:
    file = table(tmp_path, row(1), columns=[name for name in COLUMNS if name != "l2-category"])
    assert read(file)[0].question_type == "identity_reasoning"


@pytest.mark.parametrize(("given", "choices"), [({"C": "nan", "D": ""}, 2), ({"D": "nan"}, 3), ({}, 4)])
def test_missing_last_options_are_no_choices(tmp_path: Path, given: dict[str, str], choices: int) -> None:
    assert len(read(table(tmp_path, row(1, **given)))[0].choices) == choices


def test_five_choices(tmp_path: Path) -> None:
    file = table(tmp_path, row(1, E="hen", answer="e"), columns=[*COLUMNS, "E"])
    (found,) = read(file)
    assert (found.choices[4], found.correct_choice_idx) == ("hen", 4)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"B": "nan"}, "unusable choices", "a choice is empty"),
    ({"B": "", "C": "", "D": "", "answer": "A"}, "unusable choices", "1 choices"),
    ({"question": "nan"}, "empty question", "empty"),
    ({"answer": ""}, "no correct choice", "not given"),
    ({"answer": "nan"}, "no correct choice", "not given"),
    ({"answer": "fox"}, "wrong answer letter", "'fox'"),
    ({"answer": "A. cat"}, "wrong answer letter", "'A. cat'"),
    ({"answer": "7"}, "wrong answer letter", "'7'"),
    ({"answer": "D", "D": "nan"}, "index outside the choices", "answer D is outside the 3 choices"),
    ({"image": "", "image_path": ""}, "no image", "image"),
    ({"image": IMAGE[:-3]}, "broken image", "base64"),
    ({"image": "%" * 200}, "broken image", "base64"),
    ({"image": base64.b64encode(b"plain text " * 20).decode()}, "broken image", "base64"),
    ({"image": "999"}, "broken image", "'999' is neither"),
    ({"image": f"['{IMAGE}', '{IMAGE}']"}, "several images", "2 images"),
    ({"image": "", "image_path": "['a.jpg', 'b.jpg', 'c.jpg']"}, "several images", "3 images"),
    ({"image": "[[" * 300 + "]"}, "broken image", "list"),
    ({"image": "[{[]: 1}]"}, "broken image", "list"),
    ({"index": ""}, "malformed row", "index is empty"),
    ({"index": 1}, "repeated question_id", "index 1 occurs twice, first in row 2"),
]


@pytest.mark.parametrize(("cells", "kind", "reason"), WRONG)
def test_a_row_that_cannot_be_used_says_why_and_stops_no_other(
    tmp_path: Path, cells: dict[str, Any], kind: str, reason: str
) -> None:
    bad = {**row(2), **cells}
    file = table(tmp_path, row(1), bad, row(3, image="1"), columns=[*COLUMNS, "image_path"])
    found = read_question_file(file, tmp_path / "images")
    assert [question.question_id for question in found.questions] == ["1", "3"]
    assert (found.rows, found.places) == (["row 2", "row 4"], [0, 2])
    assert found.skipped[0].row == "row 3"
    assert only_reason(file)[0] == kind and reason in only_reason(file)[1]


def test_rows_of_a_test_split_without_the_answer_column(tmp_path: Path) -> None:
    file = table(tmp_path, row(1), columns=[name for name in COLUMNS if name != "answer"])
    assert only_reason(file)[0] == "no correct choice"


def test_a_row_with_more_cells_than_the_heading(tmp_path: Path) -> None:
    file = table(tmp_path, row(1))
    file.write_text(file.read_text() + "\t".join(["2"] * 20) + "\n\n")
    assert only_reason(file)[0] == "malformed row"


def test_rows_share_an_image_also_one_that_comes_later(tmp_path: Path) -> None:
    rows = [row(5, image="241"), row(241, answer=""), row(1000241, image="241"), row(9, image="5")]
    found = read_question_file(table(tmp_path, *rows), tmp_path / "images")
    assert [question.image_path for question in found.questions] == [unpacked(JPEG)] * 2
    assert [skipped.kind for skipped in found.skipped] == ["no correct choice", "broken image"]
    assert os.listdir(tmp_path / "images") == ["Bench"] and len(os.listdir(tmp_path / "images/Bench")) == 1


def test_a_list_of_one_image_and_a_data_url_are_read(tmp_path: Path) -> None:
    found = read(
        table(tmp_path, row(1, image=f"['{IMAGE}']"), row(2, image=f"data:image/jpeg;base64,{IMAGE}"))
    )
    assert [question.image_path for question in found] == [unpacked(JPEG)] * 2


def test_a_photo_of_coco_keeps_its_number_beside_base64(tmp_path: Path) -> None:
    rows = [row(1, image_path="COCO_val2014_000000000042.jpg"), row(2, image_path="42.jpg")]
    found = read(table(tmp_path, *rows, columns=[*COLUMNS, "image_path"]))
    own = unpacked(JPEG)
    assert [one.image_path for one in found] == [own.replace(".jpg", "/COCO_val2014_000000000042.jpg"), own]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_the_suffix_is_the_files_own(tmp_path: Path, kind: str) -> None:
    suffix = {"TIFF": "tif"}.get(kind, kind.lower())
    content = picture(kind)
    (found,) = read(table(tmp_path, row(1, image=base64.b64encode(content).decode())))
    assert found.image_path == unpacked(content, suffix)


def test_a_smallest_image_is_no_reference(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("1", (1, 1)).save(stream, "GIF")
    cell = base64.b64encode(stream.getvalue()).decode()
    assert read(table(tmp_path, row(1, image=cell)))[0].image_path == unpacked(stream.getvalue(), "gif")


@pytest.mark.parametrize("index", ["../x", "/etc/x", "..", "a/b", "A b", "図1", "x" * 300, "C:\\x", "a\x00b"])
def test_an_index_never_leads_out_of_the_folder(tmp_path: Path, index: str) -> None:
    (found,) = read(table(tmp_path, row(index)))
    assert found.question_id == index
    assert re.fullmatch(r"Bench/[a-z0-9_-]+\.jpg", found.image_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".tsv"] == [
        tmp_path / "images" / found.image_path
    ]


def test_one_picture_is_one_file_whatever_the_index(tmp_path: Path) -> None:
    """Rows of one table repeat a picture's base64; its questions must not fall into both splits."""
    other = picture("PNG")
    rows = [row(n) for n in range(8)] + [row("A_B", image=base64.b64encode(other).decode())]
    found = read(table(tmp_path, *rows))
    assert [question.image_path for question in found] == [unpacked(JPEG)] * 8 + [unpacked(other, "png")]
    assert len(set(assign_splits(found[:8]))) == 1


def test_a_folder_that_leads_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "images" / "Bench").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataEngineError, match="leads outside"):
        read(table(tmp_path, row(1)))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_images_are_written_once(tmp_path: Path) -> None:
    file = table(tmp_path, row(1))
    image = tmp_path / "images" / read(file)[0].image_path
    os.utime(image, (1, 1))
    read(file)
    assert image.stat().st_mtime == 1
    image.write_bytes(b"cut off")
    read(file)
    assert image.read_bytes() == JPEG


def test_images_inside_need_an_image_root_and_images_beside_do_not(tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match=r"Bench\.tsv: index 1: .*give image_root"):
        read_questions(table(tmp_path, row(1)))
    beside = table(tmp_path, row(1, image="", image_path="own/a.jpg"), columns=[*COLUMNS, "image_path"])
    assert read_questions(beside)[0].image_path == "own/a.jpg"


def test_other_scripts_quotes_tabs_and_lines_are_kept(tmp_path: Path) -> None:
    chinese = row(1, question="图中有什么？", A="狗", B="猫", hint="看左边。")
    arabic = row(2, question="ماذا يوجد في الصورة؟", A="كلب", B="قطة")
    quoted = row(3, question='Which says "stop"?\nOr\t"go"?', A='5" pipe', B="None", C="NaNcy")
    found = read(table(tmp_path, chinese, arabic, quoted))
    assert found[0].question == "看左边。\n图中有什么？" and found[0].choices[:2] == ["狗", "猫"]
    assert found[1].question == "ماذا يوجد في الصورة؟" and found[1].choices[:2] == ["كلب", "قطة"]
    assert found[2].question == 'Which says "stop"?\nOr\t"go"?'
    assert found[2].choices[:3] == ['5" pipe', "None", "NaNcy"]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('2\t"Foo says\tx\ty\tA\ta.jpg', '3\tthe man"\tx\ty\tA\tb.jpg'),  # the cells are as many as before
        ('2\t"Foo says\tx\ty\tA\ta.jpg', '3\tWho?\tthe man"\ty\tA\tb.jpg'),
        ('2\tWho?\t"x\ty\tA\ta.jpg', '3\tWho is it"\tx\ty\tA\tb.jpg'),
    ],
)
def test_stray_quotes_do_not_make_two_rows_one(tmp_path: Path, one: str, two: str) -> None:
    lines = ["index\tquestion\tA\tB\tanswer\timage_path", "1\tWho?\tx\ty\tA\tc.jpg", one, two]
    (tmp_path / "b.tsv").write_text("\n".join([*lines, "4\tWho?\tx\ty\tA\td.jpg"]) + "\n")
    with pytest.raises(DataEngineError, match=r"b\.tsv: row 3: a quotation mark .*quoted as pandas does"):
        read_questions(tmp_path / "b.tsv")


def test_a_table_is_recognised_by_its_heading_with_any_line_ends(tmp_path: Path) -> None:
    text = table(tmp_path, row(1)).read_bytes()
    for content in (b"\xef\xbb\xbf" + text, text.replace(b"\r\n", b"\n")):
        (tmp_path / "bench.txt").write_bytes(content)
        assert read(tmp_path / "bench.txt")[0].image_path == unpacked(JPEG, folder="bench")
    listed = write_json(
        tmp_path / "listed.tsv",
        [Question(question="?", choices=["a", "b"], correct_choice_idx=0, image_id=1, question_id="q")],
    )
    assert read_questions(listed)[0].question_id == "q"


def test_files_that_are_no_question_table_are_errors_of_one_line(tmp_path: Path) -> None:
    wrong: list[tuple[bytes, str]] = [
        (b"", "has no column 'index'"),
        (b"index\tquestion\tlabel\n", "has no column 'A'"),
        (b"index\tquestion\tanswer\n1\tWhat?\tB\n2\tWho?\tC\n", "has no column 'A'"),
        (b"index\tquestion\tA\tB\tanswer\n1\t\xff\xfe\tx\ty\tA\n", "row 2: not saved as UTF-8"),
        (
            b'index\tquestion\tA\tB\tanswer\n1\t"What?\tx\ty\tA\n2\tWhat?\tx\ty\tA\n',
            "row 2: a quotation mark",
        ),
        (b'index\tquestion\tA\tB\tanswer\n1\t"Stop" is where?\tx\ty\tA\n', "row 2: a quotation mark"),
    ]
    for content, message in wrong:
        (tmp_path / "b.tsv").write_bytes(content)
        with pytest.raises(DataEngineError, match=message) as caught:
            read_questions(tmp_path / "b.tsv")
        assert str(tmp_path / "b.tsv") in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(DataEngineError, match="cannot be read"):
        read_questions(tmp_path / "none.tsv")


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    cell = base64.b64encode(JPEG + bytes(1 << 20)).decode()
    file = table(tmp_path, *(row(number, image=cell) for number in range(40)))
    tracemalloc.start()
    read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert file.stat().st_size > 50 << 20 and peak < 20 << 20
