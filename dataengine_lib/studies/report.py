"""Notebook 7_study: the arms of a study compared, as its last step."""

from pathlib import Path

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.execute_notebook import check_notebook, execute
from dataengine_lib.runs.workflow import STUDY
from dataengine_lib.steps.study import StudyConfig
from dataengine_lib.studies.settings import StudySettings

STUDY_FILE = "study.json"


def report_config(settings: StudySettings, file: Path, out: Path) -> StudyConfig:
    """The notebook's parameters for the study in the folder `out`; `file` is the study's YAML, for messages.

    Raises ParameterError for an unknown key, a wrong value, and a `reference` that is no arm.
    """
    where = f"{file}: report"
    own = [key for key in ("study", "output") if key in settings.report]
    if own:
        raise ParameterError(f"{where}: {own[0]} is set by the study; remove it")
    paths = {"study": out / STUDY_FILE, "output": out / Path(STUDY.writes["output"]).name}
    config = StudyConfig.read(settings.report | paths, where)
    if config.reference and config.reference not in settings.arms:
        raise ParameterError(
            f"{where}: reference: {config.reference} is no arm; give one of {', '.join(settings.arms)}"
        )
    return config


def check_report(config: StudyConfig, notebooks: Path) -> None:
    """Raise ParameterError unless the notebook is there and has the parameters of its step."""
    check_notebook(notebooks / f"{STUDY.notebook}.ipynb", set(type(config).model_fields))


def write_report(config: StudyConfig, notebooks: Path) -> Path:
    """Execute the notebook and write its page, which is returned. Raises DataEngineError when a cell of it fails."""
    from dataengine_lib.report.html import render_notebook

    out = config.output.parent
    executed, page = (out / f"{STUDY.notebook}.{suffix}" for suffix in ("ipynb", "html"))
    source = notebooks / f"{STUDY.notebook}.ipynb"
    try:
        execute(source, executed, config.model_dump(mode="json"), STUDY.name, out)
    finally:
        if executed.is_file():  # of a notebook that failed as well, with its error
            render_notebook(executed, page, [config.output, *(out / name for name in STUDY.more_files)])
    return page
