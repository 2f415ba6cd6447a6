"""Before a run: students, adapters and encoders that are names on the Hugging Face hub."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from experiments import demo_experiment
from huggingface_hub import constants

from dataengine_lib.runs.checks.models import check_models
from dataengine_lib.runs.workflow import plan

MODEL = "owner/model"
FILES = ["config.json", "model.safetensors"]


class Hub:
    """A server that answers every look-up of a model with `status`, `headers` and `body`."""

    status, headers, body, denied = 200, dict[str, str](), dict[str, Any](), False

    def has(self, *files: str, **more: Any) -> None:
        self.body = {"id": MODEL, "siblings": [{"rfilename": name} for name in files], **more}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    answers = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            denied = answers.denied and self.path.endswith("/auth-check")
            content = json.dumps(answers.body).encode()
            self.send_response(403 if denied else answers.status)
            for name, value in ({"X-Error-Code": "GatedRepo"} if denied else answers.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield answers
    server.shutdown()
    server.server_close()


def found(folder: Path, parameter: str = "evaluate.student") -> tuple[str, str]:
    steps = plan(demo_experiment(f"{parameter}={MODEL}"), folder)
    return next((one.mark, one.message) for one in check_models(steps, hub=True) if one.subject == parameter)


@pytest.mark.parametrize(
    ("status", "headers", "mark", "words"),
    [
        (200, {}, "ok", "owner/model, on the Hugging Face hub"),
        (404, {"X-Error-Code": "RepoNotFound"}, "bad", "no such model on the Hugging Face hub, or a private one"),
        (401, {}, "bad", "check its name, or set HF_TOKEN"),
        (404, {}, "bad", "no such model on the Hugging Face hub, or a private one"),
        (403, {"X-Error-Code": "GatedRepo"}, "bad", "its licence has to be accepted"),
        (418, {}, "warn", "the Hugging Face hub answers 418; try later"),
    ],
)  # fmt: skip
def test_what_the_hub_answers(
    status: int, headers: dict[str, str], mark: str, words: str, hub: Hub, tmp_path: Path
) -> None:
    hub.has(*FILES)
    hub.status, hub.headers = status, headers
    for parameter in ("evaluate.student", "construct_queries.encoder"):
        got = found(tmp_path, parameter)
        assert got[0] == mark and words in got[1] and got[1].startswith(MODEL)


@pytest.mark.parametrize(
    ("parameter", "files", "more", "mark", "words"),
    [
        ("evaluate.student", ["adapter_config.json"], {}, "bad", "this is an adapter: set adapter to this name"),
        ("construct_queries.encoder", ["adapter_config.json"], {}, "bad", "has no config.json"),
        ("evaluate.student", ["model.gguf"], {}, "bad", "has no config.json, so transformers cannot load it"),
        ("evaluate.adapter", FILES, {}, "bad", "has no adapter_config.json, so it is no adapter"),
        ("evaluate.adapter", ["adapter_config.json"], {}, "ok", "on the Hugging Face hub"),
        ("evaluate.student", FILES, {"config": {"model_type": "llava"}}, "ok", "on the Hugging Face hub"),
        ("evaluate.student", FILES, {"config": {"model_type": "of_tomorrow"}}, "bad",
         "its model_type 'of_tomorrow' is not known"),
        ("evaluate.student", FILES, {"config": {"model_type": "own"}, "tags": ["custom_code"]}, "bad",
         "needs code of its own repository"),
        ("evaluate.student", FILES, {"gated": "manual"}, "bad", "its licence has to be accepted"),
    ],
)  # fmt: skip
def test_what_the_files_on_the_hub_show(
    parameter: str, files: list[str], more: dict[str, Any], mark: str, words: str, hub: Hub, tmp_path: Path
) -> None:
    hub.has(*files, **more)
    hub.denied = "gated" in more
    got = found(tmp_path, parameter)
    assert got[0] == mark and words in got[1]


def test_a_model_in_the_cache_needs_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub.status = 404
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert found(tmp_path) == (
        "bad", "owner/model: no folder here, and not in the cache; HF_HUB_OFFLINE is set",
    )  # fmt: skip
    model = tmp_path / "cache" / "models--owner--model"
    (model / "snapshots" / "abc").mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc")
    (model / "snapshots" / "abc" / "config.json").write_text("{}")
    assert found(tmp_path) == ("ok", "owner/model, in the cache of the Hugging Face hub")
    assert found(tmp_path, "evaluate.adapter")[0] == "bad", "the cache has a model of that name, no adapter"
    (model / "snapshots" / "abc" / "adapter_config.json").write_text("{}")
    assert found(tmp_path, "evaluate.adapter")[0] == "ok"


def test_a_hub_that_cannot_be_reached_is_a_warning(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    mark, message = found(tmp_path)
    assert mark == "warn" and message.startswith(
        "owner/model: no folder here, and the Hugging Face hub does not answer"
    )
