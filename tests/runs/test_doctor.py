"""`dataengine doctor`: what it finds on this machine and in an experiment."""

from collections import namedtuple
from pathlib import Path

import pytest
from project import PROJECT_ROOT

from dataengine_lib.runs.doctor import examine
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.workflow import STEPS

_Usage = namedtuple("_Usage", "total used free")


@pytest.mark.parametrize(("free_gb", "mark"), [(4, "warn"), (6, "ok")])
def test_the_machine_without_an_experiment(monkeypatch: pytest.MonkeyPatch, free_gb: int, mark: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: _Usage(0, 0, free_gb * 10**9))
    findings = {finding.subject: finding for finding in examine()}
    expected = {"python", "torch", "device", "ipykernel", "report pages", "disk", "OPENAI_API_KEY"}
    assert expected <= set(findings)
    assert findings["python"].mark == "ok"
    assert (findings["disk"].mark, findings["disk"].message) == (mark, f"{free_gb} GB free in {Path.cwd()}")
    assert findings["OPENAI_API_KEY"].message == "is set (not shown)"


def test_a_missing_path_and_a_missing_package_are_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sets = ["construct_queries.coco_dataset=gone", "construct_queries.encoder=clip:ViT-B/32"]
    experiment = read_experiment(Path("params/demo.yaml"), [step.name for step in STEPS], sets)
    bad = {finding.subject: finding.message for finding in examine([experiment]) if finding.mark == "bad"}
    assert "gone does not exist; check the path" in bad["data paths"]
    assert bad["construct_queries.encoder"].startswith("clip:ViT-B/32: needs clip, which is not installed")


def test_the_doctor_asks_the_readers_servers_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT_ROOT)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    sets = ["generate_qa.teacher=openai:gpt-4.1", "post_process.second_reader=openai:gpt-4.1"]
    sets += ["post_process.blind_reader=openai:gpt-4o"]
    experiment = read_experiment(Path("params/demo.yaml"), [step.name for step in STEPS], sets)
    bad = [
        finding.subject for finding in examine([experiment]) if "OPENAI_API_KEY is not set" in finding.message
    ]
    assert bad == ["teacher of generate_qa", "blind_reader of post_process"]
