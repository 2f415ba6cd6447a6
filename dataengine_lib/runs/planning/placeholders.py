"""What the placeholders in the table of steps stand for at one place of a run, and how they are filled in."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.runs.parameters import Experiment

NO_VALUE = object()  # of a placeholder: the parameter is left out, whatever the YAML says


def trains_on_new_data(experiment: Experiment) -> bool:
    """Whether step 5 trains on new data; where it does not, the run asks no teacher for any."""
    given = experiment.sections.get("fine_tune", {}).get("new_data", True)
    try:
        return TypeAdapter(bool).validate_python(given)
    except ValidationError:
        return True  # step 5's Config says what is wrong with the value


def placeholder_values(
    experiment: Experiment,
    out: Path,
    place: str,
    round_: int | None,
    configs: dict[str, StepConfig],
    playground: str,
    last_round: int | None,
) -> dict[str, Any]:
    """What the placeholders in STEPS stand for at one place of the run; None where there is no such thing (yet).

    `{evaluate.image_root}` is that parameter of that step, as it was set the last time before.
    """
    rounds = [out / f"round{n}" for n in range(1, experiment.head.rounds + 1)]
    # rounds that are complete here; step 0 has no round either, but uses no placeholder that depends on this
    done = len(rounds) if round_ is None else round_ - 1
    # where the student was measured: before round 1 and after each round that step 6 compares
    if round_ is None:
        evaluated = [*rounds, out / "final"] if last_round is None else rounds[: last_round + 1]
    else:
        evaluated = rounds[: round_ + 1]
    until = experiment.head.until
    with_data = rounds if trains_on_new_data(experiment) else []
    queries = experiment.sections.get("construct_queries", {})
    teacher = experiment.sections.get("generate_qa", {}).get("teacher")
    looks_for_causes = queries.get("causes", "none") != "none"
    evaluate, fine_tune = (experiment.sections.get(name, {}) for name in ("evaluate", "fine_tune"))
    first = in_playground(evaluate.get("student"), playground)
    # a student of fine_tune's own is not the one that evaluate's adapter was made for
    first_adapter = None if "student" in fine_tune else in_playground(evaluate.get("adapter"), playground)
    of_steps = {f"{name}.{key}": value for name, config in configs.items() for key, value in config}
    of_steps |= _handed_on(configs, rounds[:done]) | _asked_student(experiment, configs)
    return of_steps | {
        "run": out,
        "here": out / place,
        "classified": out / "aokvqa_classified.json" if "classify_questions" in experiment.sections else None,
        "here with spares": out / place if queries.get("spare_share") else None,
        # a model writes about anything, and the playground's types are those that its lessons are about
        "covered teacher": teacher if teacher == "annotations" else None,
        "first student": first,
        "first adapter": first_adapter,
        "rounds before": with_data[:done],
        "rounds with causes": with_data[:done] if looks_for_causes else None,
        "evaluated rounds with causes": with_data[: len(evaluated) - 1] if looks_for_causes else None,
        "rounds so far": with_data[: done + 1],
        "evaluated": evaluated,
        "evaluated rounds": with_data[: len(evaluated) - 1],
        "judged": evaluated if evaluate.get("judge") else None,
        "until.no_type_gains": until.no_type_gains if until else None,
        "until.max_usd_per_point": until.max_usd_per_point if until else None,
        "seed": experiment.head.seed,
        "round": round_,
        "round seed": experiment.head.seed + (round_ or 0),
    }


def _handed_on(configs: dict[str, Any], done: list[Path]) -> dict[str, Any]:
    """The student that the rounds `done` give to the next step 1, and with `start_from: last` to the next step 5."""
    trained = configs.get("fine_tune")
    if not done or trained is None:
        return {}
    student, adapter = done[-1] / "checkpoint", NO_VALUE
    if trained.keep_adapter:  # the checkpoint is an adapter for the student that was trained
        student, adapter = trained.student, student
    handed = {"student": student, "adapter": adapter}
    if trained.start_from == "last":
        handed |= {"last student": student, "last adapter": adapter}
    return handed


def _asked_student(experiment: Experiment, configs: dict[str, Any]) -> dict[str, Any]:
    """The student of this round and how step 1 runs it, for a step 4 that asks it how difficult the new questions are."""
    evaluate = configs.get("evaluate")
    mode = experiment.sections.get("post_process", {}).get("difficulty", "off")
    if evaluate is None or mode in ("off", False):  # a bare `off` in YAML is false
        return {}
    names = ["student", "adapter", "batch_size", "device", "dtype", "workers"]
    # a written answer has no scores, so step 4 cannot ask by that rule
    names += ["rank"] if evaluate.rank != "generate" else []
    return {f"asked {name}": getattr(evaluate, name) for name in names}


def filled_in(templates: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    """`{placeholder}/file` with the value put in; a list of folders gives a list of files, None no entry.

    NO_VALUE gives None, which takes the place of a value in the YAML.
    """
    filled: dict[str, Any] = {}
    for name, template in templates.items():
        # "{here}/weight.json" is the placeholder "here" and the rest "/weight.json"
        placeholder, _, rest = template[1:].partition("}")
        value = values.get(placeholder)
        if value is NO_VALUE:
            filled[name] = None
        elif isinstance(value, list):
            filled[name] = [f"{item}{rest}" for item in value]
        elif value is not None:
            # numbers, such as a seed, are not turned into text, nor the sets of a panel
            filled[name] = value if isinstance(value, int | float | dict) else f"{value}{rest}"
    return filled


def in_playground(value: Any, folder: str) -> Any:
    """A YAML value with `{playground}` replaced by that folder."""
    if isinstance(value, list):
        return [in_playground(item, folder) for item in value]
    if isinstance(value, dict):
        return {name: in_playground(item, folder) for name, item in value.items()}
    return value.replace("{playground}", folder) if isinstance(value, str) else value
