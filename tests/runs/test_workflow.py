"""The workflow: how the real steps follow each other and are wired."""

from pathlib import Path
from typing import Any

import pytest
from experiments import demo_experiment
from fake_loop import STEPS, read_fake, write_yaml
from project import PROJECT_ROOT

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs import workflow
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.precheck import check_paths
from dataengine_lib.runs.workflow import AskedModel, plan


class TestPlan:
    def test_steps_are_in_the_order_of_the_loop(self) -> None:
        rounds = [
            f"round{n}/{name}"
            for n in (1, 2)
            for name in (
                "1_evaluate",
                "2_construct_queries",
                "3_generate_qa",
                "4_post_process",
                "5_fine_tune",
            )
        ]
        labels = [item.label for item in plan(demo_experiment(), Path("out"))]
        assert labels == ["0_classify_questions", *rounds, "final/1_evaluate", "6_compare_rounds"]

    def test_step_4_asks_the_student_of_its_round_where_difficulty_is_on(self) -> None:
        def asked(*sets: str) -> list[Any]:
            planned = plan(demo_experiment(*sets), Path("out"))
            return [one for one in planned if one.step.name == "post_process"]

        off = asked()
        assert [(one.config.student, one.config.adapter) for one in off] == [("", None)] * 2
        on = asked("post_process.difficulty=drop", "evaluate.batch_size=9", "evaluate.rank=letter")
        students = [one.config.student for one in on]
        assert students[0].endswith("tiny-llava") and students[1] == "out/round1/checkpoint"
        assert [(one.config.batch_size, one.config.rank) for one in on] == [(9, "letter")] * 2
        assert "student" in on[0].wired and on[1].inputs()["student"] == [Path("out/round1/checkpoint")]
        kept = asked(
            "post_process.difficulty=mark",
            "fine_tune.method=lora",
            "fine_tune.keep_adapter=true",
            "evaluate.rank=generate",
        )
        assert kept[1].config.student == students[0] and kept[1].config.adapter == "out/round1/checkpoint"
        assert kept[1].config.rank == "text"
        with pytest.raises(ParameterError, match=r"post_process: student is set by the workflow; remove it"):
            asked("post_process.difficulty=drop", "post_process.student=mine")

    def test_later_rounds_keep_the_causes_where_causes_are_looked_for(self) -> None:
        def earlier(*sets: str) -> list[Any]:
            planned = plan(demo_experiment(*sets), Path("out"))
            return [one.config.earlier_causes for one in planned if one.step.name == "construct_queries"]

        assert earlier() == earlier("construct_queries.causes=none") == [[], []]
        assert earlier("construct_queries.causes=cluster") == [[], [Path("out/round1/causes.json")]]
        planned = plan(demo_experiment("construct_queries.causes=cluster"), Path("out"))
        compared: Any = planned[-1].config
        assert compared.found_causes == [Path("out/round1/causes.json"), Path("out/round2/causes.json")]
        with pytest.raises(ParameterError, match=r"earlier_causes is set by the workflow; remove it"):
            earlier("construct_queries.causes=cluster", "construct_queries.earlier_causes=[mine.json]")

    def test_spares_are_read_where_they_are_asked_for(self) -> None:
        def spares(*sets: str) -> list[Any]:
            planned = plan(demo_experiment(*sets), Path("out"))
            return [one.config.spares for one in planned if one.step.name == "generate_qa"]

        assert spares("construct_queries.spare_share=0") == [None, None]
        files = [Path(f"out/round{n}/gptvqa_spare.json") for n in (1, 2)]
        assert spares("construct_queries.spare_share=0.5") == files
        with pytest.raises(ParameterError, match=r"generate_qa: spares is set by the workflow; remove it"):
            spares("construct_queries.spare_share=0.5", "generate_qa.spares=mine.json")

    def test_asked_spares_are_inputs_of_the_steps_that_read_them(self, tmp_path: Path) -> None:
        def inputs(name: str, parameter: str) -> list[Path]:
            planned = plan(demo_experiment("construct_queries.spare_share=0.5"), tmp_path)
            return [one for one in planned if one.step.name == name][1].inputs()[parameter]

        asked = tmp_path / "round1/gptvqa_spare_asked.json"
        reads = [("construct_queries", "exclude_queries"), ("evaluate", "teacher_queries")]
        assert [inputs(*one) for one in reads] == [[asked.with_name("gptvqa_prompt.json")]] * 2
        asked.parent.mkdir()
        asked.write_text("[]")
        assert [inputs(*one) for one in reads] == [[asked.with_name("gptvqa_prompt.json"), asked]] * 2

    def test_a_teacher_that_names_causes_is_one_of_the_models_asked(self) -> None:
        sets = ["causes=teacher", "cause_teacher=openai:m", "base_url=http://127.0.0.1:9/v1"]
        planned = plan(demo_experiment(*(f"construct_queries.{one}" for one in sets)), Path("out"))
        asked = [item.models_asked for item in planned if item.step.name == "construct_queries"]
        assert asked == [[AskedModel("cause_teacher", "openai:m", "http://127.0.0.1:9/v1")]] * 2

    def test_a_panel_is_kept_out_of_the_data_of_every_round(self, tmp_path: Path) -> None:
        pope = f"{{pope: {{questions: {tmp_path / 'pope.json'}, image_root: {tmp_path}}}}}"
        planned = plan(demo_experiment(f"evaluate.panel={pope}"), Path("out"))
        expected = {"pope": {"questions": str(tmp_path / "pope.json"), "image_root": str(tmp_path)}}
        names = ("evaluate", "construct_queries", "post_process", "fine_tune")
        for item in planned:
            if item.step.name in names:
                assert item.config.model_dump(mode="json")["panel"] == expected, item.label
                assert item.inputs()["panel"] == [tmp_path / "pope.json", tmp_path], item.label
                assert "panel" not in item.wired
        with pytest.raises(ParameterError, match=r"evaluate\.panel: .*pope\.json does not exist"):
            check_paths(Path("x.yaml"), planned, 0, 1)
        evaluate = next(item for item in planned if item.step.name == "evaluate")
        assert Path("out/round1/panel") in evaluate.outputs()

    def test_outputs_of_one_step_are_inputs_of_the_next(self) -> None:
        steps = {
            item.label: item.config.model_dump(mode="json")
            for item in plan(demo_experiment("seed=7", "fine_tune.start_from=base"), Path("out"))
        }
        assert steps["round1/1_evaluate"]["questions"] == "out/aokvqa_classified.json"
        assert steps["round1/1_evaluate"]["student"].endswith("tiny-llava")
        assert steps["round2/1_evaluate"]["student"] == "out/round1/checkpoint"
        assert steps["final/1_evaluate"]["student"] == "out/round2/checkpoint"
        queries = [steps[f"round{n}/2_construct_queries"] for n in (1, 2)]
        assert queries[1]["weight"] == "out/round2/weight.json"
        assert [q["exclude_queries"] for q in queries] == [[], ["out/round1/gptvqa_prompt.json"]]
        assert [q["seed"] for q in queries] == [8, 9] and [q["round"] for q in queries] == [1, 2]
        assert [steps[f"round{n}/4_post_process"]["review"] for n in (1, 2)] == [
            "out/round1/review.json",
            "out/round2/review.json",
        ]
        shown = [steps[f"{place}/1_evaluate"]["teacher_queries"] for place in ("round1", "round2", "final")]
        earlier = [steps[f"{place}/1_evaluate"] for place in ("round1", "round2", "final")]
        assert [len(one["earlier_evaluations"]) for one in earlier] == [0, 1, 2]
        assert earlier[1]["earlier_evaluations"] == ["out/round1/aokvqa_eval.json"]
        assert earlier[1]["earlier_training"] == ["out/round1/gptvqa_train_data.json"]
        first, second = (f"out/round{n}/gptvqa_prompt.json" for n in (1, 2))
        assert shown == [[], [first], [first, second]]
        assert queries[0]["questions"] == "out/aokvqa_classified.json"
        assert queries[0]["coco_embedding"] == queries[1]["coco_embedding"] == "out/coco_embedding"
        assert steps["round2/3_generate_qa"]["coco_dataset"] == queries[1]["coco_dataset"]
        tuned = steps["round2/5_fine_tune"]
        assert tuned["train_data"] == [f"out/round{n}/gptvqa_train_data.json" for n in (1, 2)]
        assert tuned["student"] == steps["round1/1_evaluate"]["student"], "starts from the first student"
        evaluations = [f"out/{place}/aokvqa_eval.json" for place in ("round1", "round2", "final")]
        assert steps["6_compare_rounds"]["evaluations"] == evaluations

    @pytest.mark.parametrize("start", ["base", "last"])
    @pytest.mark.parametrize("keep", [False, True])
    def test_student_and_adapter_are_handed_to_the_next_round(self, keep: bool, start: str) -> None:
        given = ["fine_tune.method=lora", f"fine_tune.keep_adapter={keep}", f"fine_tune.start_from={start}"]
        given += ["evaluate.adapter=owner/lora", "rounds=2"]
        steps = {item.label: item.config for item in plan(demo_experiment(*given), Path("out"))}

        def models(label: str) -> tuple[str, str | None]:
            config: Any = steps[label]
            return config.student, config.adapter

        first = steps["round1/1_evaluate"].student  # type: ignore[attr-defined]
        assert models("round1/1_evaluate") == models("round1/5_fine_tune") == (first, "owner/lora")
        after = [
            (first, f"out/round{n}/checkpoint") if keep else (f"out/round{n}/checkpoint", None)
            for n in (1, 2)
        ]
        assert models("round2/1_evaluate") == after[0] and models("final/1_evaluate") == after[1]
        assert models("round2/5_fine_tune") == ((first, "owner/lora") if start == "base" else after[0])

    def test_a_student_of_step_5_has_no_adapter_of_step_1(self) -> None:
        given = ["evaluate.adapter=owner/lora", "fine_tune.student=owner/other"]
        steps = {item.label: item.config for item in plan(demo_experiment(*given), Path("out"))}
        assert steps["round1/5_fine_tune"].adapter is None  # type: ignore[attr-defined]

    def test_without_step_0_the_questions_are_the_yamls(self) -> None:
        experiment = demo_experiment("evaluate.questions=mine.json")
        experiment.sections.pop("classify_questions")
        planned = plan(experiment, Path("out"))
        assert planned[0].label == "round1/1_evaluate"
        assert [str(item.config.questions) for item in planned if item.step.name == "evaluate"] == [
            "mine.json"
        ] * 3

    @pytest.mark.parametrize("name", ["demo", "coco", "aokvqa", "local_llm"])
    def test_shipped_parameters_are_valid(self, name: str) -> None:
        names = [step.name for step in workflow.STEPS]
        experiment = read_experiment(PROJECT_ROOT / "params" / f"{name}.yaml", names, [])
        assert experiment.head.run == name
        assert plan(experiment, Path("out"))[-1].label == "6_compare_rounds"

    def test_a_persons_decisions_are_an_input_that_need_not_be_there(self, tmp_path: Path) -> None:
        planned = plan(demo_experiment(), tmp_path)
        place = next(n for n, item in enumerate(planned) if item.label == "round1/4_post_process")
        assert planned[place].inputs()["review"] == [tmp_path / "round1" / "review.json"]
        assert tmp_path / "round1" / "review.json" not in planned[place].outputs()
        (tmp_path / "round1").mkdir()
        (tmp_path / "round1" / "gptvqa_result.jsonl").touch()
        (tmp_path / "aokvqa_classified.json").touch()
        images = tmp_path / "images"
        images.mkdir()
        planned[place].config.image_root = images
        check_paths(Path("x.yaml"), planned, place, place)

    @pytest.mark.parametrize("given", ["null", "mine.json"])
    def test_weights_of_the_yaml_win_over_those_of_step_1(self, given: str) -> None:
        planned = plan(demo_experiment(f"construct_queries.weight={given}"), Path("out"))
        weights = [item.config.weight for item in planned if item.step.name == "construct_queries"]
        assert weights == [None if given == "null" else Path(given)] * 2

    def test_without_weights_of_step_1_the_remedy_is_to_run_it(self, tmp_path: Path) -> None:
        planned = plan(demo_experiment(), tmp_path)
        place = next(n for n, item in enumerate(planned) if item.label == "round1/2_construct_queries")
        with pytest.raises(ParameterError, match=r"weight\.json does not exist; run the steps before"):
            check_paths(Path("x.yaml"), planned, place, place)

    def test_measured_replay_reads_the_evaluations_of_all_rounds_so_far(self) -> None:
        plain: list[Any] = [item.config for item in plan(demo_experiment(), Path("out"))]
        assert all(
            config.evaluations == config.panels == [] for config in plain if hasattr(config, "replay_types")
        )
        planned = plan(demo_experiment("fine_tune.base_share=measured"), Path("out"))
        tuned: list[Any] = [item.config for item in planned if item.step.name == "fine_tune"]
        read = [[str(file) for file in config.evaluations] for config in tuned]
        assert read == [[f"out/round{n}/aokvqa_eval.json" for n in range(1, last)] for last in (2, 3)]
        panels = [[str(folder) for folder in config.panels] for config in tuned]
        assert panels == [[f"out/round{n}/panel" for n in range(1, last)] for last in (2, 3)]

    def test_without_new_data_no_step_makes_any(self) -> None:
        given = ["fine_tune.new_data=false", "fine_tune.steps=5", "rounds=2"]
        planned = plan(demo_experiment(*given), Path("out"), "world")
        assert [item.label for item in planned] == [
            "0_classify_questions", "round1/1_evaluate", "round1/5_fine_tune", "round2/1_evaluate",
            "round2/5_fine_tune", "final/1_evaluate", "6_compare_rounds",
        ]  # fmt: skip
        configs: list[Any] = [item.config for item in planned]
        assert configs[2].train_data == [] and configs[3].teacher_queries == []
        assert configs[2].image_root == Path("world/pool")  # that of step 2's section
        assert configs[3].student == "out/round1/checkpoint"
        # sections of steps that are left out are checked all the same, and need not be there
        with pytest.raises(ParameterError, match="construct_queries: unknown key 'maxnun'"):
            plan(demo_experiment(*given, "construct_queries.maxnun=3"), Path("out"))
        alone = demo_experiment(*given, "fine_tune.image_root=images")
        for name in ("construct_queries", "generate_qa", "post_process"):
            alone.sections.pop(name)
        assert len(plan(alone, Path("out"))) == 7
        with pytest.raises(ParameterError, match="fine_tune: new_data: Input should be a valid boolean"):
            plan(demo_experiment("fine_tune.new_data=perhaps"), Path("out"))

    def test_playground_is_put_into_paths(self) -> None:
        planned = plan(demo_experiment(), Path("out"), "cache/world")
        assert str(planned[0].config.questions) == "cache/world/aokvqa_playground.json"

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("evaluate.batch_sise=3", "evaluate: unknown key 'batch_sise'; nearest valid key: 'batch_size'"),
            ("evaluate.batch_size=many", "evaluate: batch_size: "),
            ("evaluate.output_dir=x", "evaluate: output_dir is set by the workflow; remove it"),
            ("generate_qa.teacher=nobody", "generate_qa: teacher: not a teacher"),
        ],
    )
    def test_a_wrong_key_is_named_once_with_its_file(self, setting: str, message: str) -> None:
        with pytest.raises(ParameterError) as caught:
            plan(demo_experiment(setting), Path("out"))
        assert str(caught.value).startswith(f"{PROJECT_ROOT / 'params/demo.yaml'} with --set: {message}")
        assert len(str(caught.value).splitlines()) == 1

    def test_a_relative_path_is_found_beside_the_yaml_or_above_params(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workflow, "STEPS", STEPS)
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "params").mkdir()
        (tmp_path / "notes.txt").write_text("above")
        monkeypatch.chdir(tmp_path / "elsewhere")
        for folder, found in (
            ("params", tmp_path / "notes.txt"),
            ("", tmp_path / "notes.txt"),
            ("other", None),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            file = write_yaml(tmp_path / folder, write={"source": "notes.txt"})
            first = plan(read_fake(file), Path("out"))[0]
            assert first.config.source == (found or Path("notes.txt")), folder
