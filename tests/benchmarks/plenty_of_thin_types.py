"""Are the student's weak types weak because its base data is thin? Trains it on plenty of them and measures again.

    python tests/benchmarks/plenty_of_thin_types.py [SCENES]

Questions of the thin types alone, on scenes outside every set, through steps 5 and 1; ends with a table of holdout
accuracy before and after.
"""

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table
from table.results import Row, write_result

from dataengine_lib.core.files import write_json
from dataengine_lib.evaluation.metrics import SplitScore
from dataengine_lib.playground.drawing.scene import draw_scene
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import (
    FIRST_ID,
    PIXELS,
    THIN_TYPES,
    base_questions,
    file_name,
    write_playground,
)
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune

PROJECT_ROOT = Path(__file__).resolve().parents[2]

STUDENT = str(PROJECT_ROOT / "data_demo/models/tiny-llava")


def main(scenes: int = 2000) -> None:
    sets = write_playground(PROJECT_ROOT / "reports/.playground", 0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_thin_questions(folder, scenes)
        fine_tune(FineTuneConfig(
            student=STUDENT, train_data=[folder / "questions.json"], image_root=folder,
            output_dir=folder / "checkpoint", base_data=sets / "base_questions.json", base_image_root=sets,
            base_share=0.3, method="full", learning_rate=3e-4, epochs=3, batch_size=16,
        ))  # fmt: skip
        before, after = (holdout(sets, student, folder) for student in (STUDENT, str(folder / "checkpoint")))
    table = Table("type", "base data", "before", "after", title=f"Holdout accuracy, {scenes} more scenes")
    for kind in sorted(before.per_type, key=lambda kind: before.per_type[kind].accuracy or 0):
        shares = (f"{score.per_type[kind].accuracy:.0%}" for score in (before, after))
        table.add_row(kind, "thin" if kind in THIN_TYPES else "plenty", *shares)
    table.add_row("overall", "", *(f"{score.overall.accuracy:.1%}" for score in (before, after)))
    Console().print(table)
    was, now = (score.overall.accuracy or 0.0 for score in (before, after))
    write_result("plenty_of_thin_types", [
        Row(f"the student with {scenes:,} more scenes of its thin types", "", f"{now:.1%} on the holdout questions",
            f"the student as it is: {was:.1%}")
    ])  # fmt: skip


def write_thin_questions(folder: Path, scenes: int) -> None:
    first, questions = FIRST_ID["base"] + 80_000, []
    (folder / "base" / "images").mkdir(parents=True)
    for image_id in range(first, first + scenes):
        scene = make_scene(image_id, 0)
        asked = [q for q in base_questions(scene, 0, thin_share=1.0) if q.question_type in THIN_TYPES]
        if asked:
            draw_scene(scene, PIXELS).save(folder / "base" / "images" / file_name(image_id), quality=88)
        questions += asked
    write_json(folder / "questions.json", questions)


def holdout(sets: Path, student: str, folder: Path) -> SplitScore:
    return evaluate(EvaluateConfig(
        questions=sets / "aokvqa_playground.json", image_root=sets, student=student, output_dir=folder / "scores",
        split="holdout", direct_answers=False,
    )).metrics.splits["holdout"]  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
