"""The explorer of neighbours in JupyterLab (step 2): what the pool holds near a bad case, an image or a sentence."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.report.tables import Html, displayed, escaped
from dataengine_lib.widgets.case_list import CaseList, case_label
from dataengine_lib.widgets.case_view import STYLE
from dataengine_lib.widgets.lab_form import LabForm, wide_field
from dataengine_lib.widgets.neighbour_search import (
    NeighbourSearch,
    NeighbourSettings,
    PoolNeighbour,
    run_neighbours,
)
from dataengine_lib.widgets.pictures import picture

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from dataengine_lib.runs.opened.opened_run import OpenedRun

BAD_CASE, POOL_IMAGE, UPLOAD, SENTENCE = "bad case", "pool image", "uploaded image", "sentence"
_SIDE = 320  # pixels of a neighbour's longer side
_MOST_CASES = 500  # bad cases that are offered
_MOST_CAPTIONS = 5  # shown below a neighbour


class NeighbourExplorer(LabForm):
    """Shows the pool images nearest to a bad case, an image or a sentence in JupyterLab; nothing is written.

    But embeddings: those of pool images that the store does not have are added to it, as step 2 would.
    """

    def __init__(self, run: "OpenedRun", given: NeighbourSettings) -> None:
        self.run = run
        self.search = NeighbourSearch(run_neighbours(run, given))

    def summary(self) -> Html:
        """Which pool is searched, and by which encoder."""
        settings = self.search.settings
        return Html(
            f'<p class="why">Neighbours in the pool {escaped(settings.pool)} by the encoder {escaped(settings.encoder)}. '
            "They are looked for in JupyterLab.</p>"
        )

    def make_widget(self) -> Any:
        """The fields and what was found."""
        return _Form(self).box


def neighbours_html(found: Sequence[PoolNeighbour]) -> str:
    """The neighbours as cards: the picture with its boxes, the cosine, id, captions and the names of its objects."""
    cards = []
    for one in found:
        image = one.image
        alt = f"Pool image {image.id}"
        names = ", ".join(dict.fromkeys(one_line(box.name) for box in image.boxes))
        captions = "".join(f"<li>{escaped(one_line(text))}</li>" for text in image.captions[:_MOST_CAPTIONS])
        left_out = f'<p class="de-muted">no query: {escaped(image.skip)}</p>' if image.skip else ""
        cards.append(
            f"<figure>{picture(partial(_opened, one), alt, _SIDE, image.boxes)}"
            f"<figcaption><p><b>cosine {one.cosine:.3f}</b> "
            f'<span class="de-muted">{escaped(image.id)}, {escaped(image.path)}</span></p>'
            f'<ul>{captions}</ul><p class="de-muted">{escaped(names)}</p>{left_out}</figcaption></figure>'
        )
    return displayed(f'<div class="de-case"><div class="de-grid">{"".join(cards)}</div></div>')


def _opened(neighbour: PoolNeighbour) -> "Image.Image":
    image = read_image(neighbour.file)
    if isinstance(image, str):
        raise DataEngineError(image)
    return image


class _Form:
    """The field of each kind of search, and what was found."""

    def __init__(self, explorer: NeighbourExplorer) -> None:
        import ipywidgets as w

        self.explorer = explorer
        self.cases = CaseList(explorer.run).frame.head(_MOST_CASES).to_dict("records")
        labels = [(case_label(case), place) for place, case in enumerate(self.cases)]
        self.kind = w.ToggleButtons(options=[BAD_CASE, POOL_IMAGE, UPLOAD, SENTENCE])
        self.case = w.Dropdown(options=labels or [("none", -1)], description=BAD_CASE, **wide_field())
        # sent when the field is left: letters that wait for the kernel would come after the click on the button
        typed = {"continuous_update": False}
        self.image = w.Text(
            description=POOL_IMAGE, placeholder="id, path or file name", **typed, **wide_field()
        )
        self.upload = w.FileUpload(accept="image/*", multiple=False, description="image file")
        self.sentence = w.Text(
            description=SENTENCE, placeholder="a dog beside a red car", **typed, **wide_field()
        )
        self.fields = {
            BAD_CASE: self.case,
            POOL_IMAGE: self.image,
            UPLOAD: self.upload,
            SENTENCE: self.sentence,
        }
        self.number = w.BoundedIntText(
            value=8, min=1, max=100, description="how many", layout=w.Layout(width="170px")
        )
        self.button = w.Button(description="Find neighbours", button_style="primary")
        self.status, self.wanted, self.found = w.HTML(), w.HTML(), w.HTML()
        self.kind.observe(lambda _: self.choose(), names="value")
        self.button.on_click(lambda _: self.find())
        asked = w.HBox(
            [*self.fields.values(), self.number, self.button], layout=w.Layout(flex_flow="row wrap")
        )
        self.box = w.VBox([w.HTML(STYLE), self.kind, asked, self.status, self.wanted, self.found])
        self.choose()

    def choose(self) -> None:
        """Show the field of the chosen kind alone."""
        for name, field in self.fields.items():
            field.layout.display = None if name == self.kind.value else "none"

    def find(self) -> None:
        """Look for the neighbours; what cannot be looked for only shows the reason."""
        self.status.value, self.button.disabled = "Searching …", True
        try:
            find: dict[str, Callable[[], np.ndarray]] = {
                BAD_CASE: self._of_case,
                POOL_IMAGE: lambda: self.explorer.search.of_pool_image(self.image.value),
                UPLOAD: self._of_upload,
                SENTENCE: lambda: self.explorer.search.of_sentence(self.sentence.value),
            }
            self.wanted.value = ""
            found = self.explorer.search.nearest(find[self.kind.value](), self.number.value)
        except DataEngineError as error:
            self.status.value, self.found.value = escaped(error), ""
        else:
            self.found.value = neighbours_html(found)
            self.status.value = f"{len(found):,} neighbours, the most similar first."
        finally:
            self.button.disabled = False

    def _of_case(self) -> "np.ndarray":
        if not self.cases:
            raise DataEngineError("this run has no bad case; choose an image or a sentence")
        case = self.cases[self.case.value]
        image = self.explorer.run.image(case)
        shown = picture(lambda: image, f"Image of: {case['question']}", _SIDE)
        self.wanted.value = displayed(f'<div class="de-case">{shown}<p>{escaped(case["question"])}</p></div>')
        return self.explorer.search.of_image(image)

    def _of_upload(self) -> "np.ndarray":
        if not self.upload.value:
            raise DataEngineError("choose an image file first")
        return self.explorer.search.of_upload(bytes(self.upload.value[0]["content"]))
