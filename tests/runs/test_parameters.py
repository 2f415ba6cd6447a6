"""An experiment's YAML and `--set`: what is read, and what is refused."""

from pathlib import Path

import pytest
from fake_loop import read_fake, write_yaml

from dataengine_lib.errors import ParameterError


class TestParameters:
    def test_unknown_section(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match=r"unknown section 'shoot'; nearest valid one: 'shout'"):
            read_fake(write_yaml(tmp_path, shoot={"wrong": "x"}))

    def test_bad_heads_and_yaml(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match=r"fake\.yaml: rounds: .*\(given: 'two'\)"):
            read_fake(write_yaml(tmp_path, rounds="two"))
        with pytest.raises(ParameterError, match=r"fake\.yaml: run: "):
            read_fake(write_yaml(tmp_path, run="../elsewhere"))
        (tmp_path / "fake.yaml").write_text("run: [1, 2")
        with pytest.raises(ParameterError, match="is not valid YAML"):
            read_fake(tmp_path / "fake.yaml")
        with pytest.raises(ParameterError, match=r"none\.yaml: cannot be read"):
            read_fake(tmp_path / "none.yaml")

    def test_set_reads_yaml_values_and_names_its_faults(self, tmp_path: Path) -> None:
        file = write_yaml(tmp_path)
        experiment = read_fake(file, "rounds=3", "shout.wrong=[a, b]", "write.text=x=y")
        assert experiment.head.rounds == 3
        assert experiment.sections == {
            "write": {"source": str(tmp_path / "source.txt"), "text": "x=y"},
            "shout": {"wrong": ["a", "b"]},
        }
        with pytest.raises(ParameterError, match=r"--set shout: write STEP\.KEY=VALUE"):
            read_fake(file, "shout")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("write.text", "sk-proj-abcdefghijklmnop1234"),
            ("write.api_key", "plain"),
            ("write.token", "plain"),
            ("write.hf_token", "plain"),
            ("write.text", "https://me:pass@host/v1"),
        ],
    )
    def test_secrets_are_refused_and_not_repeated(self, tmp_path: Path, key: str, value: str) -> None:
        with pytest.raises(ParameterError, match=f"{key}: looks like a secret") as caught:
            read_fake(write_yaml(tmp_path), f"{key}={value}")
        assert value not in str(caught.value)

    def test_settings_that_only_sound_secret_are_taken(self, tmp_path: Path) -> None:
        sets = ["write.max_output_tokens=600", "write.text=task-oriented-words-in-a-row"]
        assert read_fake(write_yaml(tmp_path), *sets).sections["write"]["max_output_tokens"] == 600
