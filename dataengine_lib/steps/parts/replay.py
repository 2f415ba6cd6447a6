"""Step 5: how much base data is replayed, and of which types, by what the student has forgotten since the first round."""

from collections.abc import Callable, Sequence

import msgspec

from dataengine_lib.evaluation.progress.forgetting import Forgetting
from dataengine_lib.evaluation.progress.panel_forgetting import PanelForgetting
from dataengine_lib.questions.categories import type_name
from dataengine_lib.training.data_sets import DataSet, base_parts
from dataengine_lib.training.mix.replay import Replay, measured_share
from dataengine_lib.training.mix.settings import MixParameters
from dataengine_lib.training.mixing import usual_base_share


def measured_replay(
    parameters: MixParameters, max_bad_share: float, sets: Sequence[DataSet], warn: Callable[[str], object]
) -> Replay:
    """The share of base rows and the types drawn more often, by what was forgotten since the first round."""
    forgetting = Forgetting.read(parameters.evaluations, max_bad_share, warn)
    panel = PanelForgetting.read(parameters.panels, max_bad_share, warn)
    changes, of_panel = forgetting.known_changes(), panel.changes() if panel else []
    start = usual_base_share([len(one.rows) for one in sets if not one.is_base], base_parts(sets))
    fallen: list[str] = []
    if parameters.replay_types == "fallen":
        fallen = list(dict.fromkeys([*forgetting.fallen_types(), *(panel.fallen_types() if panel else [])]))
    there = {type_name(row.question.question_type) for one in sets if one.is_base for row in one.rows}
    return Replay(
        share=measured_share(start, changes, of_panel) if parameters.base_share == "measured" else None,
        square_root_share=round(start, 4),
        changes=changes,
        fallen=fallen,
        panel=of_panel or msgspec.UNSET,
        without_rows=[kind for kind in fallen if type_name(kind) not in there] or msgspec.UNSET,
    )
