"""A made-up run of 6,000 queries and 20,000 answers: how large its pages are, and how long Chromium takes over them.

Prints the time that making the galleries takes, the size of each page and notebook, the time until a page is shown, and
that of a search and a filter. The images are 640 x 480 pixels of coloured shapes and noise, which JPEG and WebP compress
as little as photos. Run by hand or by `make bench`; the browser's part is left out where there is no browser.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image, ImageDraw

sys.path.append(str(Path(__file__).resolve().parents[1]))

from table.results import Row, write_result

from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.core.records import Answer, Query, Result, TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.frames.columns import FRAMES
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.queries.preview import with_other_queries
from dataengine_lib.report.galleries.gallery_data import Gallery
from dataengine_lib.report.gallery import (
    bad_case_gallery,
    qa_gallery,
    query_gallery,
    reject_gallery,
    reply_gallery,
)
from dataengine_lib.report.html import render_notebook
from dataengine_lib.runs.opened.opened_run import load_run
from dataengine_lib.runs.opened.type_page import write_type_page

TYPES = [f"{name}_{number}" for number in range(6) for name in ("scene", "object", "relation", "reading")]
WORDS = [
    "a man",
    "holds",
    "the",
    "red bag",
    "beside",
    "two dogs",
    "near",
    "an old",
    "station",
    "while",
    "boats",
    "pass",
]
MOST_MB, OPEN_S, FILTER_MS = 15, 2.0, 100
BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")


def photo(draw: Random, file: Path) -> None:
    """An image that compresses like a photo: soft shapes and the noise of a sensor."""
    small = np.random.default_rng(draw.randrange(1 << 30)).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC)
    pencil = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = draw.randrange(560), draw.randrange(400)
        color = tuple(draw.randrange(256) for _ in range(3))
        pencil.ellipse((x, y, x + draw.randrange(20, 160), y + draw.randrange(20, 120)), fill=color)
    noise = Image.effect_noise((640, 480), 30).convert("RGB")
    Image.blend(picture, noise, 0.12).save(file, "JPEG", quality=88)


def sentence(draw: Random, words: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(words))


def choices(draw: Random) -> list[str]:
    return [f"{sentence(draw, 3)} {number}" for number in range(4)]


def make_run(folder: Path, queries: int, answers: int, images: int) -> Path:
    """The files of a run with two evaluations and one round between them; returns the folder of its images."""
    draw = Random("report pages")
    root = folder / "images"
    root.mkdir(parents=True)
    for number in range(images):
        photo(draw, root / f"{number}.jpg")
    of_each = answers // 2
    asked = [
        {
            "question_id": f"q{number}",
            "image_path": f"{number % images}.jpg",
            "question": f"What is {sentence(draw, 8)}?",
            "choices": choices(draw),
            "correct_choice_idx": draw.randrange(4),
            "question_type": draw.choice(TYPES),
            "split": "diagnose" if number % 2 else "holdout",
        }
        for number in range(of_each)
    ]
    run = folder / "run"
    for place, right in (("round1", 0.55), ("final", 0.65)):
        (run / place).mkdir(parents=True)
        rows = [answered(draw, question, right) for question in asked]
        write_json(run / place / "aokvqa_eval.json", rows)
        cases: dict[str, list[Answer]] = {}
        for row in rows:
            if row.split == "diagnose" and not row.correct:
                cases.setdefault(row.question_type, []).append(row)
        write_json(run / place / "bad_case_aokvqa_classified.json", cases)
    write_replies(draw, run / "round1", queries, images)
    write_json(run / "run.json", {"run": "run", "status": "done", "rounds": 1, "steps": []})
    return root


def answered(draw: Random, question: dict[str, object], right: float) -> Answer:
    scores = [round(-draw.random(), 4) for _ in range(4)]
    answer = Answer(**question, scores=scores)  # type: ignore[arg-type]
    wrong = [place for place in range(4) if place != answer.correct_choice_idx]
    answer.correct = draw.random() < right
    answer.predicted_choice_idx = answer.correct_choice_idx if answer.correct else draw.choice(wrong)
    answer.model_answer = answer.choices[answer.predicted_choice_idx]
    answer.score = float(answer.correct)
    return answer


def write_replies(draw: Random, folder: Path, queries: int, images: int) -> None:
    rules = "\n".join(f"{number}. {sentence(draw, 14)}" for number in range(20))
    rows, results, kept, dropped = [], [], [], []
    for number in range(queries):
        kind, options, right = draw.choice(TYPES), choices(draw), draw.randrange(4)
        shared = {"image_id": number, "image_path": f"{number % images}.jpg", "question_type": kind}
        name = f"r-{number:016x}"
        captions = "\n".join(f"- {sentence(draw, 10)}" for _ in range(5))
        rows.append(
            Query(**shared, query_id=name, prompt=f"{rules}\n\nCaptions:\n{captions}", neighbour=bool(number % 2),
                  similarity=0.7, anchor_image_id=number, anchor_image_path=f"{draw.randrange(images)}.jpg",
                  example_ids=[f"q{draw.randrange(9_000)}"], round=1)
        )  # fmt: skip
        question, reason = f"What is {sentence(draw, 9)}?", f"Because {sentence(draw, 14)}."
        listed = " ".join(f"({letter}) {text}" for letter, text in zip("ABCD", options, strict=True))
        raw = (
            f"Question: {question}\nChoices: {listed}\nAnswer: The answer is ({'ABCD'[right]}): {options[right]}.\n"
            f"Explanation: {reason}"
        )
        results.append(Result(**shared, raw_instructions=raw, query_id=name, model="playground"))
        if number % 4:
            kept.append(
                TrainRecord(**shared, raw_instructions=raw, question=question, choices=options, record_id=name,
                            correct_choice_idx=right, rationales=[reason], query_id=name, round=1)
            )  # fmt: skip
        else:
            dropped.append(
                Reject(
                    line=number, reason=f"reason {number % 5}", raw_instructions=raw, query_id=name, **shared
                )
            )
    write_json(folder / "gptvqa_prompt.json", rows)
    write_jsonl(folder / "gptvqa_result.jsonl", results)
    write_json(folder / "gptvqa_train_data.json", kept)
    write_jsonl(folder / "rejects.jsonl", dropped)


def boxes(_: object) -> list[NamedBox]:
    return [NamedBox(f"thing {n}", (0.1 * n, 0.1, 0.1 * n + 0.2, 0.6)) for n in range(5)]


def galleries(folder: Path, root: Path) -> dict[str, list[Gallery]]:
    """The galleries of each page of round 1."""
    from dataengine_lib.core.files import read_json, read_jsonl

    place = folder / "run" / "round1"
    cases = read_json(place / "bad_case_aokvqa_classified.json", dict[str, list[Answer]])
    queries = read_json(place / "gptvqa_prompt.json", list[Query])
    return {
        "1_evaluate": [bad_case_gallery(cases, root)],
        "2_construct_queries": [query_gallery(with_other_queries([], queries, root, root), boxes)],
        "3_generate_qa": [reply_gallery(read_jsonl(place / "gptvqa_result.jsonl", Result), root)],
        "4_post_process": [
            qa_gallery(read_json(place / "gptvqa_train_data.json", list[TrainRecord]), root, boxes),
            reject_gallery(read_jsonl(place / "rejects.jsonl", Reject), root, boxes),
        ],
    }


def render(folder: Path, root: Path) -> list[Path]:
    pages = []
    for name, made in galleries(folder, root).items():
        began = time.process_time()
        cells = [
            new_code_cell("1", outputs=[new_output("display_data", one._repr_mimebundle_())]) for one in made
        ]
        seconds = time.process_time() - began
        notebook = folder / "run" / "round1" / f"{name}.ipynb"
        nbformat.write(new_notebook(cells=cells), notebook)
        pages.append(render_notebook(notebook, notebook.with_suffix(".html")))
        print(
            f"{name}: {' and '.join(str(cell.outputs[0].data['text/plain']) for cell in cells)} in {seconds:.1f} s of CPU, "
            f"notebook {notebook.stat().st_size / 1e6:.1f} MB",
            flush=True,
        )
    began = time.perf_counter()
    types = write_type_page(folder / "run")
    assert types is not None
    print(f"types: {time.perf_counter() - began:.1f} s")
    return [*pages, types]


SEARCH = """([word, pick]) => {
  const bar = document.querySelector(".gallery-tools");
  const field = pick ? bar.querySelector("select") : bar.querySelector("input[type=search]");
  const began = performance.now();
  if (pick) field.selectedIndex = 1; else field.value = word;
  field.dispatchEvent(new Event(pick ? "change" : "input"));
  document.body.offsetHeight;  // lays the page out
  return performance.now() - began;
}"""


def in_browser(pages: list[Path], browser: str) -> dict[str, dict[str, float]]:
    """Seconds until each page is shown; milliseconds of the first search, which reads all cards, the next, and a filter."""
    from playwright.sync_api import sync_playwright

    found = {}
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for file in pages:
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            began = time.perf_counter()
            page.goto(file.as_uri(), wait_until="load", timeout=600_000)
            page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
            opened = time.perf_counter() - began
            first, again = (page.evaluate(SEARCH, [word, False]) for word in ("the man", "old red"))
            found[file.name] = {
                "open_s": round(opened, 2),
                "first_search_ms": round(first),
                "search_ms": round(again),
                "filter_ms": round(page.evaluate(SEARCH, ["", True])),
            }
            page.close()
        chromium.close()
    return found


def main() -> None:
    """Make the run, its pages, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--queries", type=int, default=6_000)
    parser.add_argument("--answers", type=int, default=20_000)
    parser.add_argument("--images", type=int, default=6_000)
    given = parser.parse_args()
    browser = next(
        (one for one in (os.environ.get("BROWSER_PATH", ""), *BROWSERS) if one and Path(one).exists()), ""
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = make_run(folder, given.queries, given.answers, given.images)
        began = time.process_time()
        run = load_run(folder / "run")
        opened = time.process_time() - began
        counts = {frame: len(getattr(run, frame)) for frame in FRAMES if frame != "trace"}
        all_frames = time.process_time() - began
        print(f"load_run: {opened:.2f} s of CPU, with all frames {all_frames:.2f} s, {json.dumps(counts)}")
        pages = render(folder, root)
        times = in_browser(pages, browser) if browser else {}
        print(f"promised: under {MOST_MB} MB, open in {OPEN_S} s, a filter in {FILTER_MS} ms")
        for page in pages:
            print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB {json.dumps(times.get(page.name, {}))}")
        largest = max(page.stat().st_size for page in pages) / 1e6
        open_s, filter_ms = (
            max((one[key] for one in times.values()), default=0) for key in ("open_s", "filter_ms")
        )
        shown = f"; opens in {open_s} s, a filter takes {filter_ms} ms" if times else "; no browser here"
        write_result("report_pages", [
            Row(f"the largest page of a run of {given.queries:,} queries and {given.answers:,} answers",
                f"at most {MOST_MB} MB, {OPEN_S:g} s, {FILTER_MS} ms", f"{largest:.1f} MB{shown}")
        ])  # fmt: skip
    if largest > MOST_MB or open_s > OPEN_S or filter_ms > FILTER_MS:
        sys.exit("a page is larger or slower than is promised")


if __name__ == "__main__":
    main()
