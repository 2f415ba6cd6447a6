"""Tests of step 2 on small COCO folders with a tiny random CLIP, and on real photos where they are available."""

import hashlib
import html
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from coco_folder import annotation, changed, coco, write
from PIL import Image, ImageOps
from project import COCO_MINI
from scipy.stats import chisquare
from tiny_models import save_tiny_clip

from dataengine_lib.annotations.teacher import UNPROVEN_REPLY, AnnotationsTeacher
from dataengine_lib.chat.prices import estimate_tokens
from dataengine_lib.core.records import Query
from dataengine_lib.embeddings.encoder import Encoder, load_encoder
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.copies import COPY
from dataengine_lib.playground.server import message_text, serve
from dataengine_lib.queries import copy_check
from dataengine_lib.queries.copy_check import CopyCheck
from dataengine_lib.queries.image_search import UNREADABLE_IMAGE
from dataengine_lib.queries.query_pool import EARLIER_ROUND
from dataengine_lib.queries.type_shares import (
    NO_CASES,
    NO_CASES_FOR_TARGET,
    NOT_WRITTEN,
    NOT_WRITTEN_FOR_TARGET,
    POOL_EMPTY,
    TOO_LONG,
    UNCOVERED,
)
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE, NEAR_DUPLICATE
from dataengine_lib.report.gallery import query_gallery
from dataengine_lib.report.queries.causes import cause_table
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig, construct_queries
from dataengine_lib.steps.embed import EmbedConfig, embed

TYPES = ("action_recognition", "image_scene", "spatial_relationship")


def case(number: int, **image: object) -> dict:
    return {
        "question": f"Which thing is number {number}?",
        "choices": ["dog", "cat", "cow", "pig"],
        "correct_choice_idx": number % 4,
        "idx": number,
        **image,
    }


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((50, 50))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pool/` with 60 images, `scored/val2017/` with 6 others, the encoder `clip/`, and a pool already embedded."""
    root = tmp_path_factory.mktemp("base")
    save_tiny_clip(root / "clip")
    boxes = [annotation(i, [10, 10, 30, 20]) for i in range(1, 61)]
    coco(
        root / "pool",
        {i: f"{i:012d}.jpg" for i in range(1, 61)},
        boxes,
        {i: f"Picture {i}." for i in range(1, 61)},
    )
    (root / "scored/val2017").mkdir(parents=True)
    for i in range(1, 61):
        noise(i).save(root / f"pool/train2017/{i:012d}.jpg")
    for i in range(6):
        noise(1000 + i).save(root / f"scored/val2017/{i + 1:012d}.jpg")
    return root


@pytest.fixture
def world(base: Path, tmp_path: Path) -> SimpleNamespace:
    """A copy of `base` that a test may change, and `run(**changes)` to run the step on it."""
    root = tmp_path / "w"
    shutil.copytree(base, root)
    cases = {
        "action_recognition": [
            case(i, image_id=i + 1, image_path=f"val2017/{i + 1:012d}.jpg") for i in range(4)
        ],
        "image_scene": [case(4, image_path=f"val2017/{5:012d}.jpg")],
        "spatial_relationship": [case(5, image_id="6"), case(6, image_id=1)],
        "image_style": [],
    }
    write(root / "bad.json", cases)

    def run(**changes: object):  # type: ignore[no-untyped-def]
        values = {
            "input": root / "bad.json",
            "coco_dataset": root / "pool",
            "coco_embedding": root / "store",
            "output": root / "out" / "gptvqa_prompt.json",
            "bad_case_image_root": root / "scored",
            "encoder": str(root / "clip"),
            "maxnum": 20,
            "topk": 10,
            "neighbour_share": 0.5,
            "near_duplicate": None,
            "categories": "v1",
            "template": "v1",
            "batch_size": 16,
            "device": "cpu",
            **changes,
        }
        return construct_queries(ConstructQueriesConfig(**values))  # type: ignore[arg-type]

    return SimpleNamespace(root=root, cases=cases, run=run, output=root / "out/gptvqa_prompt.json")


def sampling(world: SimpleNamespace) -> dict:
    return json.loads(world.output.with_name("sampling.json").read_text())


def test_queries_have_the_public_fields_and_their_image(world: SimpleNamespace) -> None:
    world.run()
    rows = json.loads(world.output.read_text())
    assert len(rows) == 20
    assert list(rows[0])[:3] == ["image_id", "prompt", "question_type"]
    for row in rows:
        assert row["image_path"] == f"train2017/{row['image_id']:012d}.jpg"
        assert f"- Picture {row['image_id']}." in row["prompt"]
        assert (world.root / "pool" / row["image_path"]).is_file()
        assert row["question_type"] in TYPES
        assert re.fullmatch(r"r-[0-9a-f]{16}", row["query_id"])
    assert len({row["image_id"] for row in rows}) == len({row["query_id"] for row in rows}) == 20


def test_the_prompt_has_its_headings_in_order(world: SimpleNamespace) -> None:
    for query in world.run().queries:
        lines = query.prompt.splitlines()
        headings = [
            f"Question type: {query.question_type}",
            "Examples the student answered wrongly:",
            "Image information",
            "Captions:",
            "Objects (name: [x1, y1, x2, y2], from 0 to 1):",
        ]
        places = [lines.index(heading) for heading in headings]
        assert places == sorted(places)
        assert all(lines.count(heading) == 1 for heading in headings)
        assert "- dog: [0.100, 0.200, 0.400, 0.600]" in lines[places[-1] :]
        assert lines[places[-1] + 3].startswith("Write one new question")
        examples = "\n".join(lines[places[1] : places[2]])
        blocks = re.findall(
            r"Question: Which thing is number (\d)\?\nChoices: \(A\) dog .*\nAnswer: The answer is \(",
            examples,
        )
        assert len(blocks) == (1 if query.question_type == "image_scene" else 2)
        assert blocks == list(query.example_ids)
        assert sum(line.startswith("Question type:") for line in lines) == 1


def test_rules_come_first_so_that_prompts_share_a_prefix(world: SimpleNamespace) -> None:
    prefixes = {query.prompt.partition("\nQuestion type: ")[0] for query in world.run().queries}
    assert len(prefixes) == 1
    assert "Skip" in prefixes.pop()


def test_same_seed_same_bytes(world: SimpleNamespace) -> None:
    world.run(near_duplicate=0.999)
    first = world.output.read_bytes(), world.output.with_name("sampling.json").read_bytes()
    world.run(near_duplicate=0.999)  # now from the finished store
    assert (world.output.read_bytes(), world.output.with_name("sampling.json").read_bytes()) == first
    shutil.rmtree(world.root / "store")
    world.run(near_duplicate=0.999)
    assert world.output.read_bytes() == first[0]
    world.run(near_duplicate=0.999, seed=1)
    assert world.output.read_bytes() != first[0]


def test_every_second_query_takes_a_neighbour_of_its_first_example(world: SimpleNamespace) -> None:
    result = world.run(topk=25)
    assert [query.neighbour for query in result.queries] == [False, True] * 10
    encoder = load_encoder(str(world.root / "clip"), "cpu")

    def vector(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return encoder.encode([image])[0]

    pool = {i: vector(world.root / f"pool/train2017/{i:012d}.jpg") for i in range(1, 61)}
    images = {"0": 1, "1": 2, "2": 3, "3": 4, "4": 5, "5": 6, "6": 1}
    for query in result.queries:
        anchor = images[query.example_ids[0]]
        assert query.anchor_image_path == f"val2017/{anchor:012d}.jpg"
        if query.neighbour:
            found = vector(world.root / "scored" / query.anchor_image_path)
            order = sorted(pool, key=lambda i: -float(pool[i] @ found))
            assert query.image_id in order[:26]
            assert query.similarity == pytest.approx(float(pool[query.image_id] @ found), abs=2e-4)
        else:
            assert query.similarity is None


def test_by_default_every_query_takes_a_neighbour(world: SimpleNamespace) -> None:
    default = ConstructQueriesConfig.model_fields["neighbour_share"].default
    assert all(query.neighbour for query in world.run(topk=25, neighbour_share=default).queries)


@pytest.mark.parametrize("choice", ["nearest", "diverse"])
def test_examples_are_chosen_by_image_and_text_and_nothing_else_changes(
    world: SimpleNamespace, choice: str
) -> None:
    world.cases["action_recognition"][3]["image_path"] = "val2017/nowhere.jpg"
    write(world.root / "bad.json", world.cases)
    shown = [query.example_ids for query in world.run().queries]
    first = world.run(example_choice=choice).queries
    written = world.output.read_bytes()
    world.run(example_choice=choice)
    assert world.output.read_bytes() == written
    assert [query.example_ids[0] for query in first] == [ids[0] for ids in shown]
    assert [len(query.example_ids) for query in first] == [len(ids) for ids in shown]
    beside: dict[str, set[str]] = {}
    for query in first:
        beside.setdefault(query.example_ids[0], set()).add(tuple(query.example_ids[1:]))
    assert all(len(found) == 1 for found in beside.values()), "an anchor always has the same examples"


def test_a_single_example_cannot_be_chosen(world: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="raise examples, or leave it out"):
        world.run(example_choice="nearest", examples=1)


def test_each_anchor_is_encoded_once_and_a_rerun_encodes_nothing(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    original = Encoder.encode_prepared

    def counting(self: Encoder, pixels: list[np.ndarray]) -> np.ndarray:
        counts.append(len(pixels))
        return original(self, pixels)

    monkeypatch.setattr(Encoder, "encode_prepared", counting)
    world.run(maxnum=50)
    assert 60 < sum(counts) <= 60 + 6
    counts.clear()
    world.run(maxnum=50)
    assert counts == []


def test_a_store_made_by_embed_is_used(world: SimpleNamespace) -> None:
    images = world.root / "pool/train2017"
    embed(
        EmbedConfig(
            image_root=images,
            encoder=str(world.root / "clip"),
            output=world.root / "store",
            batch_size=16,
            device="cpu",
        )
    )
    before = (world.root / "store/meta.json").read_bytes()
    world.run()
    assert (world.root / "store/meta.json").read_bytes() == before


def test_it_stops_when_images_run_out_and_says_so(world: SimpleNamespace) -> None:
    result = world.run(maxnum=500)
    assert len(result.queries) == 60
    assert sorted(query.image_id for query in result.queries) == list(range(1, 61))
    report = sampling(world)
    for kind in TYPES:
        assert report[kind]["filled"] < report[kind]["asked"]
        assert report[kind]["why_not"] == POOL_EMPTY
    assert sum(entry["filled"] for entry in report.values()) == 60


def test_a_type_without_cases_says_so(world: SimpleNamespace) -> None:
    types = [kind for kind in sampling_types(world) if kind not in ("action_recognition", "image_style")]
    write(world.root / "weight.json", {"action_recognition": 1, "image_style": 1, **dict.fromkeys(types, 0)})
    result = world.run(weight=world.root / "weight.json")
    assert {query.question_type for query in result.queries} == {"action_recognition"}
    assert len(result.queries) == 20
    assert sampling(world)["image_style"]["why_not"] == NO_CASES
    assert sampling(world)["image_style"]["filled"] == 0
    assert sampling(world)["action_recognition"] | {"fallbacks": {}, "neighbours": 0} == {
        "weight": 1, "target": None, "weight_share": 0.5, "asked": 20, "filled": 20, "drawn_share": 1,
        "neighbours": 0, "fallbacks": {}, "why_not": "",
    }  # fmt: skip


def sampling_types(world: SimpleNamespace) -> list[str]:
    world.run(maxnum=1)
    return list(sampling(world))


def test_no_query_at_all_stops_the_step_and_says_why(world: SimpleNamespace) -> None:
    write(world.root / "weight.json", dict.fromkeys(sampling_types(world), 0.0) | {"image_topic": 1.0})
    with pytest.raises(DataEngineError, match=r"none of 20 queries .* has the weight 0 and no target"):
        world.run(weight=world.root / "weight.json")
    with pytest.raises(DataEngineError, match=r"no unused image left.*images left out: .*check coco_dataset"):
        world.run(min_side=9_000)
    assert world.run(maxnum=0).queries == [], "none were wanted"
    world.output.unlink()
    world.output.with_name("sampling.json").unlink()
    write(world.root / "bad.json", {kind: [] for kind in TYPES})
    with pytest.raises(
        DataEngineError, match=r"none of 20 queries could be written: .*bad\.json holds no bad case"
    ):
        world.run()
    assert not world.output.exists() and not world.output.with_name("sampling.json").exists()


def test_shares_follow_the_weights(world: SimpleNamespace) -> None:
    weights = dict.fromkeys(sampling_types(world), 0.0) | {
        "action_recognition": 0.6,
        "image_scene": 0.1,
        "spatial_relationship": 0.3,
    }
    write(world.root / "weight.json", weights)
    for i in range(61, 361):
        shutil.copyfile(
            world.root / f"pool/train2017/{i % 60 + 1:012d}.jpg", world.root / f"pool/train2017/{i:012d}.jpg"
        )
    names = {i: f"{i:012d}.jpg" for i in range(1, 361)}
    shutil.copytree(world.root / "pool/train2017", world.root / "kept")
    coco(world.root / "pool", names)
    shutil.copytree(world.root / "kept", world.root / "pool/train2017", dirs_exist_ok=True)
    result = world.run(weight=world.root / "weight.json", maxnum=340)
    filled = [result.shares[kind].filled for kind in TYPES]
    assert sum(filled) == 340
    assert chisquare(filled, [340 * share for share in (0.6, 0.1, 0.3)]).pvalue > 0.01


def test_every_query_knows_its_round(world: SimpleNamespace) -> None:
    assert {query.round for query in world.run(round=3, maxnum=5).queries} == {3}
    assert {query.round for query in world.run(maxnum=5).queries} == {0}


def test_an_earlier_rounds_images_are_not_used_again(world: SimpleNamespace) -> None:
    first = {query.image_id for query in world.run().queries}
    shutil.copyfile(world.output, world.root / "round1.json")
    result = world.run(exclude_queries=[world.root / "round1.json"], maxnum=500)
    assert {query.image_id for query in result.queries} == set(range(1, 61)) - first
    assert result.left_out == {EARLIER_ROUND: 20}


def test_odd_rows_of_earlier_queries_are_left_out(world: SimpleNamespace) -> None:
    rows = [{"image_id": number, "prompt": "…"} for number in range(1, 31)]
    for odd in ({"image_id": 2**70}, {"prompt": "…"}, ["text"]):
        write(world.root / "old.json", [odd, *rows])
        result = world.run(exclude_queries=[world.root / "old.json"], maxnum=500)
        assert result.left_out == {EARLIER_ROUND: 30}
        (warning,) = [one for one in result.warnings if "old.json" in one]
        assert "1 of 31 rows left out: malformed row (1); first: row 0: " in warning
        with pytest.raises(
            DataEngineError, match=r"1 of 31 rows .*check exclude_queries, or raise max_bad_share"
        ):
            world.run(exclude_queries=[world.root / "old.json"], max_bad_share=0)
    (world.root / "old.json").write_text(
        "\n".join(json.dumps({"image_path": f"{n:012d}.jpg"}) for n in (3, 4))
    )
    result = world.run(exclude_queries=[world.root / "old.json"], maxnum=500)
    assert result.left_out == {EARLIER_ROUND: 2} and not {3, 4} & {one.image_id for one in result.queries}


def test_original_query_files_can_be_excluded(world: SimpleNamespace) -> None:
    write(world.root / "old.json", [{"image_id": "7", "prompt": "…", "question_type": "image_scene"}])
    assert 7 not in {
        q.image_id for q in world.run(exclude_queries=[world.root / "old.json"], maxnum=500).queries
    }


@pytest.mark.parametrize("root", ["same", "above", "other"])
def test_evaluation_images_are_not_in_the_pool(world: SimpleNamespace, root: str) -> None:
    """By id in the same folder, by file under a folder above; the same number elsewhere is another image."""
    record = {"question": "?", "choices": ["a"], "correct_choice_idx": 0}
    path = f"pool/train2017/{8:012d}.jpg"
    write(world.root / "q.json", [{**record, "image_id": 7, "image_path": "" if root == "same" else path}])
    folder = {"same": world.root / "pool", "above": world.root, "other": world.root / "scored"}[root]
    result = world.run(
        questions=world.root / "q.json",
        bad_case_image_root=folder,
        maxnum=500,
        neighbour_share=0,
        max_bad_share=1.0,  # in the other folder the only evaluation image is not there
    )
    gone = set(range(1, 61)) - {query.image_id for query in result.queries}
    # in the same folder the bad cases' own images 1-6 are images of the pool
    assert gone == {"same": {1, 2, 3, 4, 5, 6, 7}, "above": {8}, "other": set()}[root]
    assert result.left_out == ({EVALUATION_IMAGE: len(gone)} if gone else {})


def test_near_duplicates_of_evaluation_images_are_left_out(world: SimpleNamespace) -> None:
    with Image.open(world.root / f"scored/val2017/{2:012d}.jpg") as image:
        image.save(world.root / f"pool/train2017/{30:012d}.jpg", quality=80)
    noise(4242).save(world.root / "scored/val2017/000000000040.jpg")
    with Image.open(world.root / "scored/val2017/000000000040.jpg") as image:
        image.save(world.root / f"pool/train2017/{31:012d}.jpg", quality=80)
    questions = {"image_scene": [{**case(1), "image_id": 40, "image_path": "val2017/000000000040.jpg"}]}
    write(world.root / "q.json", questions)
    result = world.run(questions=world.root / "q.json", near_duplicate=0.995, maxnum=500)
    gone = set(range(1, 61)) - {query.image_id for query in result.queries}
    assert {30, 31} <= gone
    assert result.left_out[NEAR_DUPLICATE] == len(gone) < 20
    # without the cosine they are still copies, saved once more
    result = world.run(questions=world.root / "q.json", maxnum=500)
    assert set(range(1, 61)) - {query.image_id for query in result.queries} == {30, 31}
    assert result.left_out == {COPY: 2}
    assert result.compared.startswith(
        "compared with 7 evaluation images: every image of the pool by id and file;"
    )


def test_copies_that_were_changed_are_left_out(world: SimpleNamespace) -> None:
    """The tiny encoder gives them other vectors; identical bytes are found even in an image of a single colour."""
    Image.new("RGB", (50, 50), "teal").save(world.root / "scored/val2017/000000000041.jpg")
    pixels = np.random.default_rng(7).integers(0, 255, (16, 20, 3), dtype=np.uint8)
    original = Image.fromarray(pixels).resize((160, 128))
    original.save(world.root / f"scored/val2017/{2:012d}.jpg")
    changed = {30: ImageOps.mirror(original), 31: original.convert("L"), 32: original.crop((8, 6, 152, 122))}
    for number, image in changed.items():
        image.save(world.root / f"pool/train2017/{number:012d}.jpg")
    shutil.copy(world.root / "scored/val2017/000000000041.jpg", world.root / f"pool/train2017/{33:012d}.jpg")
    write(
        world.root / "q.json",
        [{**case(1), "image_id": n, "image_path": f"val2017/{n:012d}.jpg"} for n in (2, 41)],
    )
    result = world.run(questions=world.root / "q.json", near_duplicate=None, maxnum=500)
    assert set(range(1, 61)) - {query.image_id for query in result.queries} == {30, 31, 32, 33}
    assert result.left_out == {COPY: 4}
    assert (world.root / "store/image_hashes.npz").is_file()


def test_images_that_will_be_drawn_are_compared_before_and_the_queries_are_the_same(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy changes which images are drawn after it; they are then foreseen once more."""
    for number in range(1, 61, 6):
        with Image.open(world.root / f"scored/val2017/{2:012d}.jpg") as image:
            image.save(world.root / f"pool/train2017/{number:012d}.jpg", quality=80)
    settings = {"maxnum": 24, "neighbour_share": 1.0, "spare_share": 0.5}

    def run() -> tuple[bytes, bytes, dict[str, int]]:
        left_out = world.run(**settings).left_out
        return world.output.read_bytes(), world.output.with_name("gptvqa_spare.json").read_bytes(), left_out

    compared: list[list[int]] = []  # the rows of each comparison
    compare = CopyCheck._compare
    monkeypatch.setattr(
        CopyCheck, "_compare", lambda self, rows: compared.append(rows) or compare(self, rows)
    )
    monkeypatch.setattr(copy_check, "_AT_ONCE", 4)
    foreseen = run()
    assert foreseen[2][COPY] > 2
    assert max(len(rows) for rows in compared) == 4
    drawn = [row for rows in compared for row in rows]
    assert len(set(drawn)) == len(drawn) < 60
    monkeypatch.setattr(CopyCheck, "look_ahead", lambda self, drawn: None)
    compared.clear()
    assert run() == foreseen
    assert {len(rows) for rows in compared} == {1}


def test_evaluation_questions_whose_images_are_not_found_stop_the_step(world: SimpleNamespace) -> None:
    """Their images lie in another folder than the pool, which is where they are looked for by default."""
    write(world.root / "q.json", [{**case(1), "image_path": f"elsewhere/{n}.jpg"} for n in range(4)])
    with pytest.raises(DataEngineError) as error:
        world.run(questions=world.root / "q.json", bad_case_image_root=None)
    assert "4 of 4 rows cannot be used" in str(error.value)
    assert "set bad_case_image_root" in str(error.value)
    assert not world.output.exists()
    assert world.run(questions=world.root / "q.json", max_bad_share=1).queries


def test_images_that_cannot_have_a_query_are_never_used(world: SimpleNamespace) -> None:
    file = world.root / "pool/annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"] += [annotation(11, [i, 0, 5, 5]) for i in range(11)]
    write(file, content)
    (world.root / f"pool/train2017/{12:012d}.jpg").write_bytes(b"\xff\xd8 broken")
    result = world.run(maxnum=500)
    assert {11, 12} == set(range(1, 61)) - {query.image_id for query in result.queries}
    assert result.left_out == {"more than 10 boxes": 1, UNREADABLE_IMAGE: 1}
    assert len(result.unreadable) == 1
    assert f"{12:012d}.jpg" in result.unreadable[0]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"image_path": "../../x.jpg"}, "was not found"),
        ({"image_path": "/etc/hostname"}, "was not found"),
        ({"image_path": "val2017/000000000999.jpg"}, "was not found"),
        ({"image_id": None, "image_path": None}, "was not found"),
        ({"image_path": "val2017/broken.jpg"}, "cannot be read"),
    ],
)
def test_an_anchor_that_cannot_be_used_falls_back_and_is_counted(
    world: SimpleNamespace, image: dict, reason: str
) -> None:
    (world.root / "scored/val2017/broken.jpg").write_bytes(b"\xff\xd8 broken")
    noise(1).save(world.root.parent.parent / "x.jpg")
    write(world.root / "bad.json", {"image_scene": [case(1, **image)]})
    result = world.run()
    assert len(result.queries) == 20
    assert not any(query.neighbour for query in result.queries)
    ((why, count),) = result.shares["image_scene"].fallbacks.items()
    assert reason in why
    assert count == 10
    assert result.unreadable


def test_topk_may_be_larger_than_the_store(world: SimpleNamespace) -> None:
    assert sum(query.neighbour for query in world.run(topk=100000).queries) == 10


def test_a_bad_case_may_have_only_a_prompt(world: SimpleNamespace) -> None:
    prompt = "Question: Who?\nChoices: (A) a (B) b (C) c (D) d\nAnswer: The answer is (A): a.\nQuestion type: image scene"
    write(
        world.root / "bad.json",
        {"Image scene": [{"prompt": prompt, "image_path": "val2017/000000000001.jpg"}]},
    )
    query = world.run(maxnum=2).queries[1]
    assert (query.question_type, query.anchor_image_id, query.neighbour) == ("image_scene", 1, True)
    assert "Question: Who?\nChoices: (A) a" in query.prompt
    assert "Question type: image scene" not in query.prompt


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"image_scene": [{"question": "Who?", "choices": ["a"], "correct_choice_idx": 3}]},
            r"bad\.json: image_scene\[0\]",
        ),
        ({"image_scene": [case(1, image_id=10**30)]}, r"bad\.json: image_scene\[0\].*image_id 10000"),
        ([case(1)], "no question_type"),
        ({"image_scene": [{"question": 5}]}, r"bad\.json.*question"),
        ("words", r"bad\.json"),
    ],
)
def test_a_malformed_bad_case_is_one_clear_line(
    world: SimpleNamespace, content: object, message: str
) -> None:
    write(world.root / "bad.json", content)
    with pytest.raises(DataEngineError, match=message) as caught:
        world.run()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{{ colour }}", "{% if %}", "{{ captions.__class__.__mro__[1].__subclasses__() }}"]
)
def test_a_wrong_template_is_one_clear_line(world: SimpleNamespace, text: str) -> None:
    (world.root / "t.j2").write_text(text)
    with pytest.raises(DataEngineError, match=r"t\.j2: "):
        world.run(template=world.root / "t.j2")


def test_text_that_looks_like_a_template_stays_text(world: SimpleNamespace) -> None:
    write(
        world.root / "bad.json", {"image_scene": [case(1) | {"question": "{{ 7 * 7 }}?\nImage information"}]}
    )
    prompt = world.run(maxnum=1).queries[0].prompt
    assert "Question: {{ 7 * 7 }}? Image information\n" in prompt
    assert prompt.splitlines().count("Image information") == 1


def test_the_result_is_what_the_notebook_shows(world: SimpleNamespace) -> None:
    result = world.run()
    assert (result.pool, result.eligible, result.left_out, result.unreadable) == (60, 60, {}, [])
    assert msgspec.json.decode(world.output.read_bytes(), type=list[Query]) == result.queries
    assert {preview.query.question_type for preview in result.preview} <= set(TYPES)
    assert result.preview
    for preview in result.preview:
        assert preview.anchor.is_file()
        assert preview.image.is_file()
        similarities = [similarity for _, similarity in preview.neighbours]
        assert similarities == sorted(similarities, reverse=True)
        assert len(similarities) == 5
        assert all(path.is_file() for path, _ in preview.neighbours)


def test_a_folder_with_captions_is_a_pool(world: SimpleNamespace) -> None:
    names = [f"{i:012d}.jpg" for i in range(1, 61)]
    rows = {name: f"Picture {name}." for name in names[:-1]} | {names[-1]: []}
    write(world.root / "pool/train2017/captions.json", rows)
    noise(3).resize((30, 50)).save(world.root / "pool/train2017" / names[0])
    result = world.run(coco_dataset=world.root / "pool/train2017", min_side=40)
    assert result.left_out == {"no captions": 1, "shorter side under 40 pixels": 1}
    assert (result.pool, result.eligible, len(result.queries)) == (60, 58, 20)
    assert all(f"- Picture {query.image_path}.\n" in query.prompt for query in result.queries)


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="the 80 COCO photos of ../shared/coco_mini are not here")
def test_real_photos_and_bad_cases_as_published(world: SimpleNamespace) -> None:
    photos = sorted((COCO_MINI / "train2017").glob("*.jpg"))[:4]
    record = case(1) | {"direct_answers": ["dog"] * 10, "difficult_direct_answer": False, "model_answer": 2}
    cases = {
        "image_scene": [{**record, "image_path": f"train2017/{photo.name}"} for photo in photos[:2]],
        "action_recognition": [{**record, "image_id": int(photo.stem)} for photo in photos[2:]],
        "image_emotion": [],
    }
    write(world.root / "bad.json", cases)
    result = world.run(
        coco_dataset=COCO_MINI, bad_case_image_root=COCO_MINI, maxnum=30, topk=1000, near_duplicate=0.9999
    )
    assert len(result.queries) == 30
    assert sum(query.neighbour for query in result.queries) == 15
    assert not {query.image_id for query in result.queries} & {int(photo.stem) for photo in photos}
    assert result.left_out["more than 10 boxes"] == 28
    assert all((COCO_MINI / query.image_path).is_file() for query in result.queries)
    shown = {path.name for preview in result.preview for path, _ in preview.neighbours}
    assert shown and not shown & {photo.name for photo in photos}


def test_only_what_the_teacher_can_write_is_asked_about(world: SimpleNamespace) -> None:
    cases = {
        "object_localization": [case(0, image_id=1), case(1, image_id=2)],  # of the one dog in every picture
        "spatial_relationship": [case(2, image_id=3)],  # takes two things
        "image_quality": [case(3, image_id=4), case(4, image_id=5)],
        "image_emotion": [case(5, image_id=6)],
    }
    write(world.root / "bad.json", cases)
    left_third = [0, 0, 30, 50]
    changed(
        world.root / "pool", lambda content: [row.update(bbox=left_third) for row in content["annotations"]]
    )
    settings = {"weight": world.root / "w.json", "targets": {"image_emotion": 2}, "maxnum": 14}
    write(world.root / "w.json", {"object_localization": 2, "spatial_relationship": 1, "image_quality": 1})
    assert {query.question_type for query in world.run(**settings).queries} == set(cases)
    decided = world.root / "decided.json"
    write(decided, {"1": "use", "3": "never"})
    result = world.run(**settings, served_by="annotations", example_decisions=decided, spare_share=0.5)
    teacher = AnnotationsTeacher(world.root / "pool")
    assert len(result.queries) == 8 and len(result.spares) == 4
    for query in [*result.queries, *result.spares]:
        assert query.question_type == "object_localization" and "1" in query.example_ids
        assert teacher.write(query) != UNPROVEN_REPLY
    shares = {kind: (share.filled, share.why_not) for kind, share in result.shares.items() if kind in cases}
    assert shares == {
        "object_localization": (8, ""),
        "spatial_relationship": (0, UNCOVERED),
        "image_quality": (0, NOT_WRITTEN),
        "image_emotion": (0, NOT_WRITTEN_FOR_TARGET),
    }
    assert {
        "2 of 5 bad cases get no queries, as teacher annotations writes no questions of their types: image_quality 1, "
        "image_emotion 1",
        f"8 of 14 queries were written: {UNCOVERED} (4), {NOT_WRITTEN_FOR_TARGET} (2)",
        f"4 of 6 spare queries were written: 2 {UNCOVERED}",
    } <= {*result.warnings}
    # the images of bad cases that are left out are left out as well
    assert world.run(**settings, served_by="annotations").left_out == world.run(**settings).left_out
    write(world.root / "bad.json", {"image_quality": cases["image_quality"]})
    with pytest.raises(DataEngineError, match=r"of none of the types with bad cases \(image_quality 2\)"):
        world.run(served_by="annotations")


def test_targets_set_by_hand_go_before_the_weights(world: SimpleNamespace) -> None:
    result = world.run(targets={"Image scene": 9, "image_style": 3})
    filled = {kind: share.filled for kind, share in result.shares.items() if share.filled}
    assert filled == {"image_scene": 9, "action_recognition": 4, "spatial_relationship": 4}
    scene, style = (sampling(world)[kind] for kind in ("image_scene", "image_style"))
    assert (scene["target"], scene["asked"], scene["filled"], scene["why_not"]) == (9, 9, 9, "")
    assert (style["target"], style["asked"], style["filled"]) == (3, 3, 0)
    assert style["why_not"] == NO_CASES_FOR_TARGET
    assert scene["weight_share"] == 0.45
    assert sampling(world)["action_recognition"]["target"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"targets": {"image_scen": 3}},
            "targets: unknown question type 'image_scen'; nearest: 'image_scene'",
        ),
        ({"preview_type": "scene"}, "preview_type: unknown question type 'scene'; nearest: 'image_scene'"),
    ],
)
def test_an_unknown_type_names_the_nearest(world: SimpleNamespace, changes: dict, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        world.run(**changes)
    assert str(caught.value) == message
    assert not world.output.exists()


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"image_scene": 15, "image_style": 6}, "targets: 21 queries in all, more than maxnum 20"),
        ({"image_scene": -1}, "targets.image_scene: "),
        ({"image_scene": "many"}, "targets.image_scene: "),
    ],
)
def test_impossible_targets_are_parameter_errors(targets: dict, message: str) -> None:
    given = {"input": "b", "coco_dataset": "c", "coco_embedding": "e", "output": "o", "encoder": "x"}
    with pytest.raises(ParameterError, match=message):
        ConstructQueriesConfig.read(given | {"maxnum": 20, "targets": targets}, "here")


@pytest.mark.parametrize("name", ["v2", "vision"])
def test_other_prompts_by_name_with_more_examples(world: SimpleNamespace, name: str) -> None:
    result = world.run(template=name, examples=10)
    for query in result.queries:
        assert (query.template, query.attach_image) == (f"{name}.j2", name == "vision")
        assert query.prompt_sha256 == hashlib.sha256(query.prompt.encode()).hexdigest()
        assert len(query.example_ids) == len(world.cases[query.question_type])
        assert f"- Picture {query.image_id}.\n" in query.prompt
        assert ("\nShort answer: " in query.prompt) == (name == "v2")
    row = json.loads(world.output.read_text())[0]
    assert list(row)[:3] == ["image_id", "prompt", "question_type"]
    assert row["attach_image"] == (name == "vision")


def test_no_prompt_is_over_its_token_budget_and_what_was_given_up_is_counted(world: SimpleNamespace) -> None:
    most = max(estimate_tokens(query.prompt) for query in world.run().queries)
    write(
        world.root / "bad.json",
        world.cases | {"image_scene": [case(4) | {"question": "Which of " + "these very long things " * 40}]},
    )
    file = world.root / "pool/annotations/captions_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"] += [{"image_id": i, "caption": "A long one. " * 40} for i in range(1, 61) if i % 2]
    write(file, content)
    result = world.run(max_prompt_tokens=most, maxnum=30)
    assert len(result.queries) == 20 and {q.question_type for q in result.queries} == set(TYPES) - {
        "image_scene"
    }
    assert all(estimate_tokens(query.prompt) <= most for query in result.queries)
    assert all(f"- Picture {query.image_id}." in query.prompt for query in result.queries)
    assert not any("A long one." in query.prompt for query in result.queries)
    assert any(query.image_id % 2 for query in result.queries), "shortened, not rejected"
    scene = sampling(world)["image_scene"]
    assert (scene["asked"], scene["filled"]) == (10, 0)
    assert scene["why_not"] == f"10 {TOO_LONG}"
    assert any("A long one." in query.prompt for query in world.run(maxnum=30).queries)


def test_queries_are_grouped_by_type(world: SimpleNamespace) -> None:
    kinds = [query.question_type for query in world.run().queries]
    assert kinds == sorted(kinds)


def test_any_type_can_be_previewed(world: SimpleNamespace) -> None:
    result = world.run(preview_type="Action recognition", maxnum=30)
    assert len(result.preview) == len({p.query.example_ids[0] for p in result.preview}) > 2
    for shown in result.preview:
        assert shown.query in result.queries and shown.written
        assert shown.query.question_type == "action_recognition"
        assert len(shown.neighbours) == 5 and shown.anchor.is_file() and shown.image.is_file()
    assert world.run(preview_type="image_style").preview == []


@pytest.mark.parametrize("near_duplicate", [None, 0.999])
def test_a_type_without_drawn_queries_can_be_previewed_too(
    world: SimpleNamespace, near_duplicate: float | None
) -> None:
    without = world.run(targets={"action_recognition": 0}, near_duplicate=near_duplicate)
    first = world.output.read_bytes()
    result = world.run(
        targets={"action_recognition": 0}, preview_type="action_recognition", near_duplicate=near_duplicate
    )
    assert world.output.read_bytes() == first and result.queries == without.queries
    assert len(result.preview) == 4
    for shown in result.preview:
        assert not shown.written and shown.query not in result.queries
        assert shown.image == shown.neighbours[0][0] and len(shown.neighbours) == 5
        assert shown.query.prompt.endswith(
            "Write one new question of type action_recognition about this picture."
        )
        assert len(shown.query.example_ids) == 2
    text = query_gallery(result.preview).text
    assert "no query of this type was drawn" in text
    assert html.escape(result.preview[0].query.prompt) in text, "whole"


def test_each_seed_gives_its_own_file_every_time(world: SimpleNamespace) -> None:
    found = []
    for seed in (0, 1, 0, 1):
        world.run(seed=seed, template="v2", maxnum=40, targets={"image_scene": 5}, near_duplicate=0.999)
        found.append((world.output.read_bytes(), world.output.with_name("sampling.json").read_bytes()))
    assert found[0] == found[2] and found[1] == found[3] and found[0][0] != found[1][0]


def write_two_causes(world: SimpleNamespace, number: int = 24) -> None:
    """Bad cases of one type: two of three are about colors, the others about sides."""
    cases = []
    for i in range(number):
        color = i % 3
        asked = f"What color is the shirt of man {i}?" if color else f"On which side of tree {i} is a lamp?"
        cases.append(
            case(i, image_path=f"val2017/{i % 6 + 1:012d}.jpg")
            | {"question": asked, "model_answer": "blue" if color else "left", "question_id": f"q{i}"}
        )
    write(world.root / "bad.json", {"image_scene": cases, "spatial_relationship": [case(5, image_id="6")]})


def causes_of(world: SimpleNamespace) -> dict:
    return json.loads(world.output.with_name("causes.json").read_text())["types"]


@pytest.mark.parametrize("example_choice", ["random", "nearest"])
def test_causes_are_in_the_prompts_and_drawn_evenly(world: SimpleNamespace, example_choice: str) -> None:
    write_two_causes(world)
    changes = {"causes": "cluster", "min_cause_cases": 6, "example_choice": example_choice}
    targets = {"image_scene": 16}
    result = world.run(**changes, targets=targets, examples=3)
    first, named = world.output.read_bytes(), world.output.with_name("causes.json").read_bytes()
    of_type = causes_of(world)["image_scene"]["causes"]
    assert sorted((cause["cases"], cause["queries"]) for cause in of_type) == [(8, 8), (16, 8)]
    assert [cause["name"] for cause in causes_of(world)["spatial_relationship"]["causes"]] == [""]
    for row in json.loads(first):
        if row["question_type"] == "image_scene":
            assert f"What they have in common: {row['cause']}\n" in row["prompt"]
            color = "color" in row["cause"]
            assert [int(key[1:]) % 3 > 0 for key in row["example_ids"]] == [color] * 3
        else:
            assert "cause" not in row and "in common" not in row["prompt"]
    text = html.unescape(cause_table(result.causes).text)
    assert all(cause["name"] in text for cause in of_type)
    world.run(**changes, targets=targets, examples=3)
    assert (world.output.read_bytes(), world.output.with_name("causes.json").read_bytes()) == (first, named)


def test_a_later_round_keeps_the_causes_and_counts_their_cases(world: SimpleNamespace) -> None:
    write_two_causes(world)
    changes = {"causes": "cluster", "min_cause_cases": 6}
    world.run(**changes, round=1)
    earlier = world.output.with_name("causes.json").rename(world.root / "earlier.json")
    write_two_causes(world, 12)
    result = world.run(**changes, round=2, earlier_causes=[earlier])
    counts = sorted(tuple(one.by_round.items()) for one in result.causes["image_scene"].causes)
    assert counts == [((1, 8), (2, 4)), ((1, 16), (2, 8))]
    assert "-50 %" in cause_table(result.causes).text
    with pytest.raises(DataEngineError, match=r"earlier.json: made with encoder .*leave earlier_causes out"):
        shutil.copytree(world.root / "clip", world.root / "other")
        world.run(
            **changes,
            earlier_causes=[earlier],
            encoder=str(world.root / "other"),
            coco_embedding=world.root / "o",
        )


def test_a_teacher_names_the_causes_and_is_paid_once(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    write_two_causes(world)

    def reply(messages: list[dict], schema: dict) -> str:
        text = message_text(messages[-1])
        if "causes" in schema["properties"]:
            return json.dumps({"causes": [{"name": "color words"}, {"name": "left and right"}]})
        asked = re.findall(r'"case": (\d+), "question": "(\w+)', text)
        return json.dumps({"cases": [{"case": int(n), "cause": 1 + (word == "On")} for n, word in asked]})

    with serve(lambda messages: "no", (), reply) as server:
        given = {
            "causes": "teacher",
            "cause_teacher": "openai:gpt-4o-mini",
            "base_url": server.base_url,
        }
        result = world.run(**given, min_cause_cases=6, budget_usd=1.0, targets={"image_scene": 12})
        sent = len(server.requests)
        written = world.output.read_bytes()
        world.run(**given, min_cause_cases=6, budget_usd=1.0, targets={"image_scene": 12})
        assert len(server.requests) == sent == 3
    assert world.output.read_bytes() == written
    assert not any("causes" in line for line in result.warnings)
    of_type = result.causes["image_scene"].causes
    assert [(one.name, one.cases, one.queries) for one in of_type] == [
        ("color words", 16, 6),
        ("left and right", 8, 6),
    ]
    assert world.output.with_name("causes_ledger.jsonl").is_file()


def test_without_causes_nothing_of_them_is_written(world: SimpleNamespace) -> None:
    world.output.parent.mkdir()
    write(world.output.with_name("causes.json"), {})  # of an earlier run
    result = world.run()
    assert result.causes == {} and not world.output.with_name("causes.json").exists()
    assert "cause" not in json.loads(world.output.read_text())[0]
    assert "in common" not in world.output.read_text()
    assert "nothing to list" in cause_table({}).text


def test_a_template_that_does_not_name_causes_is_a_warning(world: SimpleNamespace) -> None:
    write_two_causes(world)
    rows = json.loads((world.root / "bad.json").read_text())
    rows["image_scene"].append({"prompt": "Question: Who?", "image_path": "val2017/000000000001.jpg"})
    write(world.root / "bad.json", rows)
    template = world.root / "own.j2"
    template.write_text("Ask about {{ question_type }}.\n{% for one in captions %}{{ one }}{% endfor %}")
    result = world.run(causes="cluster", min_cause_cases=6, template=template)
    assert any("does not name causes to the teacher" in line for line in result.warnings)
    # one is a prompt alone, which is no fault of the file but leaves less to compare
    assert any("1 of 26 bad cases do not say the right answer" in line for line in result.warnings)
    assert any(query.cause for query in result.queries)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"causes": "teacher"}, "go together"),
        ({"cause_teacher": "openai:gpt-4o-mini"}, "go together"),
        ({"causes": "teacher", "cause_teacher": "playground"}, "cannot name causes"),
    ],
)
def test_impossible_causes_are_parameter_errors(changes: dict, message: str) -> None:
    files = dict.fromkeys(["input", "coco_dataset", "coco_embedding", "output", "encoder"], "x")
    with pytest.raises(ParameterError, match=message):
        ConstructQueriesConfig.read(files | changes, "here")
