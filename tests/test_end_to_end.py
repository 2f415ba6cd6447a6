"""The whole loop through `dataengine run`: the notebooks, papermill, an untrained LLaVA, a teacher on a local server.

The run that is killed is processes with kernels of their own. For the others, whose files must be the same,
`dataengine` is called in this process, and their kernels are forked.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from axe_playwright_python.sync_playwright import Axe
from echoing.server import ANSWERS, GIVEN, KEY, echo_server, leaks
from small_loop import is_running, write_loop
from whole_runs.in_process import run_here

from dataengine_lib.playground.questions import QUESTION_WRITERS
from dataengine_lib.playground.server import serve
from dataengine_lib.playground.teacher import reply, structured_reply

PASSWORD = next(given for given in GIVEN if given.name == "password")
STEPS = [
    "0_classify_questions",
    "round1/1_evaluate",
    "round1/2_construct_queries",
    "round1/3_generate_qa",
    "round1/4_post_process",
    "round1/5_fine_tune",
    "final/1_evaluate",
    "6_compare_rounds",
]
# Files whose bytes must not depend on when, where or how often the loop ran.
DATA = [
    "aokvqa_classified.json",
    "round1/aokvqa_eval.json",
    "round1/bad_case_aokvqa_classified.json",
    "round1/weight.json",
    "round1/weight.txt",
    "round1/metrics.json",
    "round1/predictions.json",
    "round1/gptvqa_prompt.json",
    "round1/sampling.json",
    "round1/gptvqa_result.jsonl",
    "round1/usage.json",
    "round1/gptvqa_train_data.json",
    "round1/rejects.jsonl",
    "round1/post_process.json",
    "round1/checkpoint/model.safetensors",
    "final/aokvqa_eval.json",
    "compare_rounds.json",
]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """A folder with untrained models of the shipped shape and a YAML of one small round.

    The teacher is the playground's script behind a server that gets an API key, as a provider's does, at a URL with a
    password.
    """
    with pytest.MonkeyPatch.context() as patch, serve(reply, structured=structured_reply) as server:
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.setenv("OPENAI_BASE_URL", PASSWORD.url(server.server_port))
        yield write_loop(tmp_path_factory.mktemp("loop"), teacher="openai:scripted").parent


def words(experiment, out):
    return ["run", str(experiment / "small.yaml"), "--out", str(out)]


def command(experiment, out):
    return [str(Path(sys.executable).with_name("dataengine")), *words(experiment, out)]


def run_loop(experiment, out, *options):
    # Started in another folder than the checkout: nothing may depend on the current folder.
    return run_here([*words(experiment, out), *options], experiment)


def run_process(experiment, out):
    return subprocess.run(
        command(experiment, out), cwd=experiment, capture_output=True, text=True, timeout=900
    )


@pytest.fixture(scope="module")
def done(experiment):
    out = experiment / "reports" / "first"
    # the loop that is killed has one thread: bytes do not depend on their number
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        finished = run_loop(experiment, out)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    # later runs on this folder write their own, in whatever order tests come
    shutil.copy(out / "run.json", out / "first_run.json")
    return out, finished.stdout


def test_every_file_of_the_loop_is_written_with_its_fields(done):
    out, _ = done
    assert [name for name in DATA if not (out / name).is_file()] == []
    answers = json.loads((out / "round1" / "aokvqa_eval.json").read_text())
    assert len(answers) == 5 * len(QUESTION_WRITERS)
    wanted = {"image_id", "image_path", "idx", "question", "choices", "correct_choice_idx", "direct_answers",
              "difficult_direct_answer", "model_answer", "question_type", "prompt"}  # fmt: skip
    assert wanted <= set(answers[0])
    bad = json.loads((out / "round1" / "bad_case_aokvqa_classified.json").read_text())
    assert set(bad) == set(QUESTION_WRITERS) and all(
        row["split"] == "diagnose" for rows in bad.values() for row in rows
    )
    queries = json.loads((out / "round1" / "gptvqa_prompt.json").read_text())
    assert len(queries) == 30 and {"image_id", "prompt", "question_type"} <= set(queries[0])
    assert len({query["image_id"] for query in queries}) == 30
    train = json.loads((out / "round1" / "gptvqa_train_data.json").read_text())
    fields = {
        "image_id",
        "raw_instructions",
        "question_type",
        "question",
        "choices",
        "correct_choice_idx",
        "rationales",
    }
    assert train and fields <= set(train[0])


def test_the_command_ends_with_the_table_and_the_report(done):
    out, printed = done
    lines = printed.splitlines()
    assert any(line.startswith("question type") and "before" in line and "after" in line for line in lines)
    assert all(any(line.startswith(kind) for line in lines) for kind in QUESTION_WRITERS)
    assert (
        lines[-1] == f"report: {out / 'index.html'}" and "the teacher is the playground's script" in printed
    )


def test_reports_are_whole_offline_and_linked(done):
    out, _ = done
    for label in STEPS:
        text = (out / f"{label}.html").read_text()
        assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", text), label
        assert "import " not in re.sub(r"<style.*?</style>", "", text, flags=re.S) and "index.html" in text
        for link in re.findall(r'href="([^"#]+)"', text):
            if not link.startswith("http"):
                assert (out / label).parent.joinpath(link).exists(), (label, link)
    evaluated = (out / "round1" / "1_evaluate.html").read_text()
    assert "data:image/webp;base64," in evaluated and "<svg" in evaluated and "Wilson" in evaluated
    index = (out / "index.html").read_text()
    assert "round1/3_generate_qa.html" in index and 'href="types.html"' in index
    # a click on a type in a chart leads to its section
    linked = re.findall(r'xlink:href="\.\./types\.html#([^"]+)"', evaluated)
    assert linked and all(f'id="{anchor}"' in (out / "types.html").read_text() for anchor in linked)


@pytest.mark.browser
def test_reports_open_in_a_browser_and_ask_nothing_of_the_network(done, page):
    out, _ = done
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for label in [*STEPS, "index"]:
        page.goto((out / f"{label}.html").as_uri())
        assert page.locator("h1").first.is_visible(), label
        assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)"), label
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            f"{label} is wider than the window"
        )
    assert errors == [] and [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_no_page_has_a_serious_fault_of_accessibility(done, page, width, scheme):
    """By axe-core's rules; and no page is wider than its window."""
    out, _ = done
    axe = Axe()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    pages = [path for path in sorted(out.rglob("*.html")) if ".ipynb" not in path.name]
    assert {"index.html", "types.html", "6_compare_rounds.html"} <= {path.name for path in pages}
    found = []
    for path in pages:
        page.goto(path.as_uri())
        for fault in axe.run(page).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found.append((path.name, fault["id"], fault["nodes"][0]["html"][:200]))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path.name
    assert found == []


def test_no_secret_is_in_a_file_or_a_line(done):
    """No data file, ledger, log, notebook, report or manifest, though key and password were sent to the teacher."""
    out, printed = done
    files = {file.name for file in out.rglob("*") if file.is_file()}
    assert {"gptvqa_ledger.jsonl", "3_generate_qa.ipynb", "3_generate_qa.html"} <= files
    assert leaks(out, PASSWORD, printed) == []


@pytest.mark.parametrize("name", ["in the reply", "refused"])
def test_a_teacher_that_repeats_every_secret_gets_none_into_a_file_or_line(
    done, experiment, monkeypatch, name
):
    out = experiment / "reports" / f"repeated {name}"
    shutil.copytree(done[0], out)
    for file in out.glob("round1/gptvqa_[lrf]*"):
        file.unlink()
    status, body = next(answer[1:] for answer in ANSWERS if answer[0] == name)
    with echo_server(status, body) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", PASSWORD.url(server.server_port))
        finished = run_loop(experiment, out, "--from", "generate_qa", "--to", "post_process")
    assert server.paths and (finished.returncode == 0) == (status == 200), finished.stderr
    assert leaks(out, PASSWORD, finished.stdout + finished.stderr) == []
    assert "***" in (out / "round1" / "3_generate_qa.html").read_text()


def test_run_json_says_what_ran(done):
    out, _ = done
    run = json.loads((out / "first_run.json").read_text())
    assert run["status"] == "done" and [step["label"] for step in run["steps"]] == STEPS
    assert all(step["status"] == "done" and step["seconds"] > 0 for step in run["steps"])
    assert 0 < run["overhead_seconds"] < run["seconds"]
    manifest = json.loads((out / "round1" / "1_evaluate.manifest.json").read_text())
    assert {"inputs", "parameters", "outputs", "versions"} <= set(manifest)


def data_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in DATA}


def test_a_second_run_skips_everything(done, experiment):
    out, _ = done
    before = data_of(out)
    second = run_loop(experiment, out)
    assert second.returncode == 0 and second.stdout.count("nothing changed, skipped") == len(STEPS)
    assert data_of(out) == before


def test_killed_in_every_step_and_run_again_it_ends_with_the_same_files(done, experiment, monkeypatch):
    """Also shows that the same seed gives the same bytes, since the killed run shares no files with the first.

    With another number of threads, too.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out = experiment / "reports" / "killed"
    rng = Random(0)
    killed = []
    for label in STEPS:
        process = subprocess.Popen(command(experiment, out), cwd=experiment, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        while process.poll() is None and not is_running(out / "run.json", label):
            time.sleep(0.05)
        time.sleep(rng.uniform(0.1, 2.5))
        if process.poll() is None:
            killed.append(label)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert len(killed) >= len(STEPS) - 2  # the shortest steps may end before they are killed
    finished = run_process(experiment, out)
    assert finished.returncode == 0, finished.stderr
    first = data_of(done[0])
    second = {name: data.replace(b"reports/killed", b"reports/first") for name, data in data_of(out).items()}
    assert [name for name in DATA if first[name] != second[name]] == []


def test_a_missing_folder_and_a_wrong_key_are_one_line_each(experiment):
    out = experiment / "reports" / "wrong"
    for option, message in (
        ("evaluate.image_root=nowhere", "nowhere"),
        ("evaluate.stundent=x", "nearest valid key: 'student'"),
        ("construct_queries.maxnum=many", "maxnum"),
    ):
        fails_in_one_line(run_loop(experiment, out, "--set", option), 2, message)


def test_a_folder_that_cannot_be_written_is_one_line(experiment):
    (experiment / "a_file").write_text("not a folder")
    fails_in_one_line(run_process(experiment, experiment / "a_file" / "run"), 2, "a_file")


def fails_in_one_line(finished, status, message):
    assert finished.returncode == status, finished.stdout + finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1 and message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_truncated_image_and_a_malformed_row_are_counted_and_stop_nothing(done, experiment):
    cache = experiment / "damaged"
    shutil.copytree(experiment / "cache", cache)
    (folder,) = cache.iterdir()
    questions = json.loads((folder / "aokvqa_playground.json").read_text())
    image = folder / questions[0]["image_path"]
    image.write_bytes(image.read_bytes()[:500])
    shown = sum(question["image_path"] == questions[0]["image_path"] for question in questions)
    malformed = next(q for q in questions if q["image_path"] != questions[0]["image_path"])
    malformed["choices"] = "none"
    (folder / "aokvqa_playground.json").write_text(json.dumps(questions))
    out = experiment / "reports" / "damaged"
    settings = [f"playground.cache={cache}", "evaluate.max_bad_share=0.3", "evaluate.direct_answers=false"]
    finished = run_loop(
        experiment, out, *(part for one in settings for part in ("--set", one)), "--to", "evaluate"
    )
    assert finished.returncode == 0, finished.stderr
    skipped = json.loads((out / "round1" / "metrics.json").read_text())["skipped"]
    assert skipped["total"] == shown and image.name in json.dumps(skipped["rows"])
    assert len(json.loads((out / "round1" / "aokvqa_eval.json").read_text())) == len(questions) - shown - 1
    assert (
        "1 " in (out / "0_classify_questions.html").read_text()
        and malformed["question_id"] not in (out / "aokvqa_classified.json").read_text()
    )


def test_zero_weights_and_a_teacher_that_is_down_lose_nothing(done, experiment):
    out = experiment / "reports" / "faults"
    shutil.copytree(done[0], out)
    weights = json.loads((out / "round1" / "weight.json").read_text())
    (out / "round1" / "weight.json").write_text(json.dumps(dict.fromkeys(weights, 0.0)))
    before = data_of(out)
    finished = run_loop(experiment, out, "--from", "construct_queries")
    assert (
        finished.returncode == 1 and "weight.json" in finished.stderr and "Traceback" not in finished.stderr
    )
    (out / "round1" / "weight.json").write_text(json.dumps(weights))
    (out / "round1" / "gptvqa_result.jsonl").unlink()
    down = ["generate_qa.teacher=openai:nobody", "generate_qa.base_url=http://127.0.0.1:9/v1"]
    finished = run_loop(
        experiment, out, "--from", "generate_qa", *(part for one in down for part in ("--set", one))
    )
    assert (
        finished.returncode == 1 and "127.0.0.1:9" in finished.stderr and "Traceback" not in finished.stderr
    )
    remade = ("round1/weight.json", "round1/gptvqa_result.jsonl", "round1/usage.json")
    assert [name for name in DATA if name not in remade and (out / name).read_bytes() != before[name]] == []
    assert "Traceback" in (out / "round1" / "3_generate_qa.html").read_text()
