"""Checks before the first step of a run (all steps): the steps chosen, files, folders, keys, notebooks, disk."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dataengine_lib.chat.budget import check_priced
from dataengine_lib.chat.endpoint import endpoint, scores_no_prompts
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.core.text import nearest_name
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.questions.categories import known_type, read_categories, type_name
from dataengine_lib.questions.reader import read_question_rows
from dataengine_lib.resources import BuiltIns
from dataengine_lib.runs.checks.answers_only import check_can_be_asked
from dataengine_lib.runs.checks.finding import Finding, Mark
from dataengine_lib.runs.checks.machine import check_machine
from dataengine_lib.runs.checks.models import check_models
from dataengine_lib.runs.checks.pool import check_pool
from dataengine_lib.runs.checks.questions import AskedQuestions, asked_or_finding, check_questions
from dataengine_lib.runs.checks.teacher_types import TEACHER_SUBJECT, check_teacher_types
from dataengine_lib.runs.execute_notebook import check_notebook
from dataengine_lib.runs.workflow import Planned, first_configs
from dataengine_lib.steps.fine_tune import FineTuneConfig, check_devices
from dataengine_lib.teachers.local_llm import model_file
from dataengine_lib.training.external.command import check_program


def selected_range(planned: list[Planned], start: str | None, stop: str | None) -> tuple[int, int]:
    """Positions of the first and the last step to run; all steps where `start` and `stop` are None.

    A step is given as `evaluate`, `1` or `1_evaluate` (its first place in the run; as `stop` the one outside the rounds,
    if there is one), or as `round2/evaluate`.
    Raises ParameterError for a step that is not in the run, and for a `stop` before `start`.
    """
    first = _position(planned, "--from", start, 0) if start else 0
    last = _position(planned, "--to", stop, first) if stop else len(planned) - 1
    return first, last


def _position(planned: list[Planned], option: str, name: str, earliest: int) -> int:
    """The position of the step `name`.

    A name without a round is its first place from `earliest` on; for --to its place outside the rounds, if it has one.
    """
    # of round 1's step 1: round1/1_evaluate, round1/evaluate, round1/1, and 1_evaluate, evaluate, 1
    names: dict[str, int] = {}
    for number, item in enumerate(planned):
        place = item.label.removesuffix(item.step.notebook)  # round1/, or nothing
        for short in (item.step.notebook, item.step.name, str(item.step.number)):
            names.setdefault(place + short, number)
            if number >= earliest:
                names.setdefault(short, number)
            # --to 6 is the last comparison; --from 6 the first that `until` needs, as it may end the rounds there
            if not place and option == "--to":
                names[short] = number
    found = names.get(name.strip())
    if found is None:
        raise ParameterError(
            f"{option} {name}: no such step in this run; nearest: {nearest_name(name, names)}"
        )
    if found < earliest:
        raise ParameterError(f"{option} {name}: comes before the step given with --from; give a later one")
    return found


def check_run(
    file: Path,
    planned: list[Planned],
    first: int,
    last: int,
    notebooks: Path,
    out: Path,
    on_note: Callable[[str], object] = lambda line: None,
) -> list[str]:
    """Raise ParameterError, one line per fault, if a step from `first` to `last` could not run; returns the warnings.

    `file` is the YAML that messages name. The faults of all steps are collected, so that they can be fixed at once.
    `on_note` is called with what a built-in teacher can answer, where that is enough.
    """
    chosen = planned[first : last + 1]
    checks: list[Callable[[], None]] = []
    for item in chosen:
        names = set(type(item.config).model_fields)
        checks.append(partial(check_notebook, notebooks / f"{item.step.notebook}.ipynb", names))
        checks.append(partial(_check_endpoint, file, item))
        checks.append(partial(_check_prompt_scores, file, item))
        checks.append(partial(_check_prices, file, item))
        checks.append(partial(_check_point_price, file, item, planned))
        checks.append(partial(_check_training, file, item))
        checks.append(partial(check_can_be_asked, file, item, planned))
        checks.append(partial(_check_types, file, item, planned))
    found: list[Finding] = []
    checks.append(partial(_check_findings, file, chosen, out, found))
    checks += [partial(check_paths, file, planned, first, last), partial(_check_writable, out)]
    wrong: dict[str, None] = {}  # the same fault in every round is one line
    for check in checks:
        try:
            check()
        except ParameterError as error:
            wrong[str(error)] = None
    if wrong:
        raise ParameterError("\n".join(wrong))
    for one in found:
        if one.mark == "ok" and one.subject == TEACHER_SUBJECT:
            on_note(f"{one.subject}: {one.message}")
    return _warnings(found)


def check_data(file: Path, planned: list[Planned], first: int, last: int) -> list[str]:
    """Check questions and images as `check_run` does, again once the playground is written; returns the warnings.

    Raises ParameterError, one line per fault.
    """
    chosen = planned[first : last + 1]
    found = list(data_findings(chosen, asked_or_finding(chosen)))
    _refuse_bad(file, found)
    return _warnings(found)


def parameter_findings(file: Path, planned: list[Planned]) -> Iterator[Finding]:
    """What speaks against parameters of the whole experiment: prices, types, a student that cannot be fine-tuned, or asked.

    The last two are warnings, as a run may stop before that step.
    """
    seen: set[str] = set()
    for item in planned:
        checks: list[tuple[Mark, Callable[[], None]]] = [
            ("bad", partial(_check_prices, file, item)),
            ("bad", partial(_check_prompt_scores, file, item)),
            ("bad", partial(_check_point_price, file, item, planned)),
            ("bad", partial(_check_types, file, item, planned)),
            ("warn", partial(_check_training, file, item)),
            ("warn", partial(check_can_be_asked, file, item, planned)),
        ]
        for mark, check in checks:
            try:
                check()
            except DataEngineError as error:
                if str(error) not in seen:
                    seen.add(str(error))
                    yield Finding(mark, "parameters", str(error))


def planned_findings(planned: Sequence[Planned], out: Path, *, hub: bool) -> Iterator[Finding]:
    """What models, teacher types, machine and data show of the `planned` steps; with `hub` names are looked up there."""
    asked = asked_or_finding(planned)
    yield from check_models(planned, hub=hub)
    yield from check_teacher_types(planned, asked)
    yield from check_machine(planned, out)
    yield from data_findings(planned, asked)


def data_findings(planned: Sequence[Planned], asked: AskedQuestions | Finding | None) -> Iterator[Finding]:
    """What the files of questions (`asked`, as `asked_or_finding` has read them) and images show of the steps."""
    yield from check_questions(planned, asked)
    yield from check_pool(planned)


def check_paths(file: Path, planned: list[Planned], first: int, last: int) -> None:
    """Raise ParameterError for every input that does not exist and is not written by an earlier step of this run.

    `file` is the YAML that the message names. Paths in a playground that is not written yet are not checked.
    """
    # outputs of the steps before; with --from, files of steps that are left out have to exist
    made: set[Path] = set()
    wrong: dict[Path, str] = {}
    for item in planned[first : last + 1]:
        for name, paths in item.inputs().items():
            for path in paths if name not in item.step.optional else ():
                if not (path.exists() or path in made or str(path).startswith("{playground}")):
                    remedy = "run the steps before" if name in item.wired else _remedy(item, name, path)
                    wrong.setdefault(path, f"{item.step.name}.{name}: {path} does not exist; {remedy}")
        made.update(item.outputs())
    if wrong:
        raise ParameterError("\n".join(f"{file}: {line}" for line in wrong.values()))


def _remedy(item: Planned, name: str, path: Path) -> str:
    """What to do about a missing input that no step writes."""
    built_ins = [one for one in type(item.config).model_fields[name].metadata if isinstance(one, BuiltIns)]
    if built_ins:
        return built_ins[0].hint()
    if name == "prices":
        return "give a file, or leave `prices` out for the built-in table"
    if path.parts[:1] == ("data_demo",):
        return "data_demo comes with the project's repository; start there, or give files of your own"
    return "check the path"


def _check_endpoint(file: Path, item: Planned) -> None:
    """Models behind an API need address and key, a local model its file: before hours of evaluation, not after."""
    student, models = str(getattr(item.config, "student", "")), item.models_asked
    servers = [one.base_url for one in models if one.spec.startswith("openai:")]
    if student.startswith("api:"):
        servers.append(getattr(item.config, "base_url", None))
    for server in dict.fromkeys(servers):
        try:
            endpoint(server)
        except ParameterError as error:
            raise ParameterError(f"{file}: {item.step.name}: {error}") from error
    kind, _, model = str(getattr(item.config, "teacher", "")).partition(":")
    if kind == "local":
        try:
            model_file(model)
        except ParameterError as error:
            raise ParameterError(f"{file}: {item.step.name}: {error}") from error


def _check_prompt_scores(file: Path, item: Planned) -> None:
    """Servers that are known to score no prompts need another `rank`: before the first request, not after it."""
    config: Any = item.config
    is_served = str(getattr(config, "student", "")).startswith("api:")
    if is_served and getattr(config, "rank", "") == "text" and scores_no_prompts(config.base_url):
        raise ParameterError(
            f"{file}: {item.step.name}: this server gives no log-probabilities of a prompt, which rank: text needs; "
            "set rank to letter or generate"
        )


def _check_findings(file: Path, planned: list[Planned], out: Path, found: list[Finding]) -> None:
    """Models that cannot be loaded, types that the teacher does not write, this machine, and the data; into `found`."""
    found += planned_findings(planned, out, hub=False)
    _refuse_bad(file, found)


def _refuse_bad(file: Path, found: list[Finding]) -> None:
    if wrong := [f"{file}: {one.subject}: {one.message}" for one in found if one.mark == "bad"]:
        raise ParameterError("\n".join(wrong))


def _warnings(found: list[Finding]) -> list[str]:
    return [f"{one.subject}: {one.message}" for one in found if one.mark == "warn"]


def _check_prices(file: Path, item: Planned) -> None:
    """A step with a budget needs the prices of its models; that must be known before other steps cost money."""
    config: Any = item.config
    # step 1 has one for its student and another for its judge
    judged, asked = (
        [one.spec for one in item.models_asked if (one.parameter == "judge") == of_judge]
        for of_judge in (True, False)
    )
    if str(getattr(config, "student", "")).startswith("api:"):
        asked.append(config.student)
    limited = asked if getattr(config, "budget_usd", None) is not None else []
    limited += judged if getattr(config, "judge_budget_usd", None) is not None else []
    if not limited:
        return
    prices = read_prices(getattr(config, "prices", None))
    for spec in limited:
        try:
            check_priced(prices.of(spec), spec, prices.near(spec))
        except ParameterError as error:
            raise ParameterError(f"{file}: {item.step.name}: {error}") from error


def _check_point_price(file: Path, item: Planned, planned: Sequence[Planned]) -> None:
    """The price of a point can only be judged where those of the teachers, the readers and the judge are known."""
    if getattr(item.config, "max_usd_per_point", None) is None:
        return
    for other in planned:
        if other.step.name not in ("evaluate", "construct_queries", "generate_qa", "post_process"):
            continue
        prices = read_prices(getattr(other.config, "prices", None))
        for one in other.models_asked:
            if prices.of(one.spec) is None:
                raise ParameterError(
                    f"{file}: until.max_usd_per_point: no price is known for {one.spec} of {other.step.name}; give its "
                    f"`prices` a file with it, or leave max_usd_per_point out"
                )


def _check_training(file: Path, item: Planned) -> None:
    """Only a model that is loaded from a folder or the hub can be fine-tuned here; another trainer has to be installed."""
    if not isinstance(config := item.config, FineTuneConfig):
        return
    if config.trainer == "command":
        try:
            check_program(config.command, config.command_folder)
        except ParameterError as error:
            raise ParameterError(f"{file}: fine_tune.command: {error}") from error
        return
    if config.student.startswith(("api:", "vllm:", "recorded:")):
        raise ParameterError(
            f"{file}: fine_tune.student: {config.student} cannot be fine-tuned; give the folder or hub name of a model, or "
            "stop before with --to post_process"
        )
    if config.accelerate_config and not config.accelerate_config.is_file():
        return  # which check_paths says
    try:
        check_devices(config)
    except ParameterError as error:
        raise ParameterError(f"{file}: fine_tune: {error}") from error


def _check_types(file: Path, item: Planned, planned: list[Planned]) -> None:
    """A misspelt question type must be found before the evaluation, not after it."""
    config: Any = item.config
    if item.step.name != "construct_queries":
        return
    named = [("targets", name) for name in config.targets]
    named += [("preview_type", config.preview_type)] if config.preview_type else []
    types = read_categories(config.categories).names if named else []
    # the questions may have types that the category set lacks; their file is read only where that matters
    if {type_name(name) for _, name in named} - set(types):
        own = first_configs(planned).get("evaluate")
        if own is not None and own.questions.is_file():
            fields = {"type_field": own.type_field, "split_field": own.split_field}
            rows = read_question_rows(own.questions, own.image_root, **fields)[0]
            types = [*types, *(row.question_type for row in rows if row.question_type)]
    for key, name in named:
        known_type(name, types, f"{file}: construct_queries.{key}")


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ParameterError(
            f"--out {out}: cannot be written ({error.strerror}); choose a folder you may write to"
        ) from error
