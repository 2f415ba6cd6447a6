"""All of step 2 on all of COCO: 6,000 queries from 300 bad cases, embeddings given, without and with the pool's cache.

Run by `make bench`. Each figure comes from a fresh process; the seconds are those of the step, what it imports
included. A tenth of the images and queries shows how it grows. Exits with a message when a limit is exceeded. The files
are made below the temporary folder (about 1 GB) and removed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from coco_sized import BOXES, CAPTIONS, IMAGES, write_coco
from table.results import Row, write_result

from dataengine_lib.core.files import write_json
from dataengine_lib.questions.categories import read_categories

PROJECT_ROOT = Path(__file__).resolve().parents[2]

QUERIES, ANCHORS, DIMENSION = 6_000, 300, 512
COLD_S, COLD_MB, WARM_S = 20.0, 2_000, 5.0
GROWTH = 11.0  # times the seconds for ten times the images and queries


def write(folder: Path, share: float) -> None:
    """COCO's annotations with empty image files, a store with random vectors, and bad cases with pictures."""
    from PIL import Image
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    from dataengine_lib.embeddings.encoder import load_encoder
    from dataengine_lib.embeddings.store import StoredImage, StoreMeta, write_store
    from dataengine_lib.images.read_pool import read_pool

    write_coco(folder / "coco", *(round(number * share) for number in (IMAGES, BOXES, CAPTIONS)))
    layers = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    tower = {**layers, "image_size": 32, "patch_size": 16}
    text = {**layers, "vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    CLIPModel(CLIPConfig(text_config=text, vision_config=tower, projection_dim=DIMENSION)).save_pretrained(
        folder / "clip"
    )
    side = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side).save_pretrained(folder / "clip")
    encoder, pool = load_encoder(str(folder / "clip"), "cpu"), read_pool(folder / "coco")
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(pool), DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    states = [os.stat(folder / "coco" / path) for path in pool.paths]
    images = [
        StoredImage(path, state.st_size, state.st_mtime_ns)
        for path, state in zip(pool.paths, states, strict=True)
    ]
    meta = StoreMeta(
        encoder=encoder.name, weights_sha256=encoder.weights_sha256, preprocessing=encoder.preprocessing
    )
    write_store(folder / "store", meta, pool.ids, vectors, images)
    (folder / "val").mkdir()
    kinds = read_categories("v1").names
    cases: dict[str, list[dict[str, object]]] = {kind: [] for kind in kinds}
    for number in range(round(ANCHORS * share)):
        pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"val/{number}.png")
        cases[kinds[number % len(kinds)]].append(
            {
                "image_path": f"{number}.png",
                "question": "What does the man in the jacket hold in his hand?",
                "choices": ["umbrella", "suitcase", "kite", f"dog {number}"],
                "correct_choice_idx": number % 4,
            }
        )
    write_json(folder / "bad.json", cases)
    write_json(folder / "weight.json", {kind: 0.1 + 0.04 * place for place, kind in enumerate(kinds)})


def measure(folder: Path, share: float) -> None:
    """Write the queries and print the step's seconds and the peak memory (MB) as JSON."""
    started = time.perf_counter()
    from dataengine_lib.steps.construct_queries import ConstructQueriesConfig, construct_queries

    result = construct_queries(
        ConstructQueriesConfig(
            input=folder / "bad.json",
            coco_dataset=folder / "coco",
            coco_embedding=folder / "store",
            output=folder / "out/gptvqa_prompt.json",
            weight=folder / "weight.json",
            bad_case_image_root=folder / "val",
            encoder=str(folder / "clip"),
            maxnum=round(QUERIES * share),
        )
    )
    seconds = time.perf_counter() - started
    assert len(result.queries) == round(QUERIES * share)
    assert any(query.neighbour for query in result.queries)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def fresh(name: str, folder: Path, share: float) -> tuple[float, float]:
    """Seconds and peak memory of `measure` in a process of its own, with the cache beside the folder."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder.parent / "cache")}
    command = [sys.executable, __file__, "measure", str(folder), str(share)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    print(f"{name:28} {found['seconds']:6.2f} s  {found['peak_mb']:6.0f} MB", flush=True)
    return found["seconds"], found["peak_mb"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", nargs="?", choices=["write", "measure"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("share", nargs="?", type=float)
    options = parser.parse_args()
    if options.way:
        (write if options.way == "write" else measure)(options.folder, options.share)
    else:
        compare()


def compare() -> None:
    """Make the files and take all figures."""
    wrong = []
    with TemporaryDirectory() as scratch:
        full, tenth = Path(scratch) / "all", Path(scratch) / "tenth"
        for folder, share in ((full, 1.0), (tenth, 0.1)):
            environment = os.environ | {
                "XDG_CACHE_HOME": str(folder / "none")
            }  # so that no cache of the pool is left for the measurement
            subprocess.run(
                [sys.executable, __file__, "write", str(folder), str(share)], env=environment, check=True
            )
        tenth_s, _ = fresh("a tenth, no cache", tenth, 0.1)
        cold_s, cold_mb = fresh("6,000 queries, no cache", full, 1.0)
        warm_s, _ = fresh("6,000 queries, with the cache", full, 1.0)
    print(f"ten times the images and queries take {cold_s / tenth_s:.1f} times as long")
    write_result("coco_scale_queries", [
        Row("all of step 2 on all of COCO, 6,000 queries, first time", f"at most {COLD_S:g} s, {COLD_MB:,} MB",
            f"{cold_s:.1f} s, {cold_mb:,.0f} MB", f"a tenth of images and queries: {tenth_s:.1f} s, "
            f"{cold_s / tenth_s:.1f} times"),
        Row("the same with the pool's cache", f"at most {WARM_S:g} s", f"{warm_s:.1f} s"),
    ])  # fmt: skip
    if cold_s > COLD_S or cold_mb > COLD_MB:
        wrong.append(f"without a cache the step takes more than {COLD_S:g} s or {COLD_MB:,} MB")
    if warm_s > WARM_S:
        wrong.append(f"with its cache the step takes more than {WARM_S:g} s")
    if cold_s > GROWTH * tenth_s:
        wrong.append(f"ten times as much takes more than {GROWTH:g} times as long")
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
