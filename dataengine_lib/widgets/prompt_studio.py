"""Prompt studio in JupyterLab: a person marks QAs of a prompt version, and a teacher proposes better rules."""

from typing import Any

from dataengine_lib.report.tables import Html, escaped
from dataengine_lib.steps.prompt_studio import PromptStudio
from dataengine_lib.widgets.keys import KEY_GUARD, KEY_SCRIPT
from dataengine_lib.widgets.lab_form import LabForm
from dataengine_lib.widgets.studio.form import StudioForm
from dataengine_lib.widgets.studio.session import StudioSession


class PromptStudioForm(LabForm):
    """The versions of a studio; marks, versions and the accepted template are written to its folder."""

    script = KEY_GUARD + KEY_SCRIPT

    def __init__(self, studio: PromptStudio) -> None:
        self.session = StudioSession(studio)

    def summary(self) -> Html:
        """Where the versions lie, and what is accepted."""
        folder = self.session.studio.folder
        accepted = f"{folder.accepted.name} is accepted" if folder.accepted else "none is accepted yet"
        number = len(folder.versions)
        text = (
            f"{number} version{'' if number == 1 else 's'} in {folder.folder}; {accepted}. In JupyterLab, QAs of a version "
            "are marked here, the teacher proposes better rules, and a version is accepted."
        )
        return Html(f'<p class="why">{escaped(text)}</p>')

    def make_widget(self) -> Any:
        """The form over the session."""
        return StudioForm(self.session).box
