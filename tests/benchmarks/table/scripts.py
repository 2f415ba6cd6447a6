"""The benchmarks of `make bench`, in the order in which they run and stand in docs/benchmarks.md."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
BENCHMARKS = (
    "ranking_speed",
    "evaluate_memory",
    "coco_scale_pool",
    "neighbours_speed",
    "queries_speed",
    "coco_scale_queries",
    "embed_speed",
    "teacher_flow",
    "kills",
    "batches",
    "post_process_speed",
    "questions/near_questions_speed",
    "training_data",
    "training_speed",
    "machine/thread_worth",
    "machine/busy_machine",
    "machine/start_and_install",
    "pages/report_pages",
    "false_alarms",
    "machine/demo_time",
    "plenty_of_thin_types",
)


def names() -> list[str]:
    """What the benchmarks are called in the table."""
    return [script.rpartition("/")[2] for script in BENCHMARKS]


def script_of(name: str) -> Path:
    """The script of a benchmark. Raises ValueError for an unknown name."""
    for script in BENCHMARKS:
        if script.rpartition("/")[2] == name:
            return FOLDER / f"{script}.py"
    raise ValueError(f"{name} is no benchmark; there are {', '.join(names())}")
