"""The explorer of neighbours without a browser: images, uploads and sentences, with captions and boxes as text."""

import io
from pathlib import Path

import numpy as np
import pytest
from made_run import EVIL, write_run
from PIL import Image
from project import PROJECT_ROOT

from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.opened.opened_run import load_run
from dataengine_lib.widgets import neighbour_explorer
from dataengine_lib.widgets.neighbour_explorer import NeighbourExplorer, neighbours_html
from dataengine_lib.widgets.neighbour_search import NeighbourSearch, NeighbourSettings

ENCODER = str(PROJECT_ROOT / "data_demo/models/tiny-clip")


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> NeighbourExplorer:
    folder = write_run(tmp_path_factory.mktemp("runs") / "made")
    return NeighbourExplorer(load_run(folder), NeighbourSettings(folder, folder / "store", ENCODER))


@pytest.fixture(scope="module")
def search(explorer: NeighbourExplorer) -> NeighbourSearch:
    return explorer.search


def test_an_image_is_its_own_nearest_neighbour(search: NeighbourSearch) -> None:
    for name in ("2", "images/2.png", "2.png"):
        first, second = search.nearest(search.of_pool_image(name), 2)
        assert (
            first.image.id == 2
            and first.cosine == pytest.approx(1, abs=1e-4)
            and first.cosine > second.cosine
        )
    stream = io.BytesIO()
    Image.new("RGB", (100, 50), "blue").save(stream, "PNG")
    assert search.nearest(search.of_upload(stream.getvalue()), 1)[0].image.id == 2
    assert len(search.nearest(search.of_pool_image("1"), 99)) == 4


def test_a_sentence_has_a_vector_in_the_same_space(search: NeighbourSearch) -> None:
    vector = search.of_sentence("a red picture")
    assert vector.shape == search.of_pool_image("1").shape and np.linalg.norm(vector) == pytest.approx(
        1, abs=1e-5
    )
    assert len(search.nearest(vector, 3)) == 3


def test_what_cannot_be_looked_for_is_one_line(search: NeighbourSearch) -> None:
    with pytest.raises(DataEngineError, match=r"'9': no image of the pool.*give one such as images/1\.png"):
        search.of_pool_image("9")
    with pytest.raises(DataEngineError, match="no image of the pool"):
        search.of_pool_image(" ")
    with pytest.raises(DataEngineError, match="uploaded file cannot be read"):
        search.of_upload(b"no image")
    with pytest.raises(DataEngineError, match="type a sentence"):
        search.of_sentence(" ")


def test_the_form_shows_neighbours_with_boxes_and_hostile_captions_as_text(
    explorer: NeighbourExplorer,
) -> None:
    form = neighbour_explorer._Form(explorer)
    form.number.value = 3
    form.button.click()
    assert "3 neighbours" in form.status.value and form.found.value.count("<svg") == 3
    assert (
        "cosine" in form.found.value and "&lt;script&gt;" in form.found.value and "<rect" in form.found.value
    )
    assert "<script" not in form.found.value + form.wanted.value and "<img" in form.wanted.value
    form.kind.value = "pool image"
    assert form.image.layout.display is None and form.case.layout.display == "none"
    form.image.value = EVIL
    form.button.click()
    assert "no image of the pool" in form.status.value and "<script" not in form.status.value
    assert form.found.value == "" and not form.button.disabled
    form.kind.value = "uploaded image"
    form.button.click()
    assert "choose an image file first" in form.status.value


def test_a_picture_that_is_gone_is_said_on_its_card(search: NeighbourSearch, tmp_path: Path) -> None:
    (found,) = search.nearest(search.of_pool_image("1"), 1)
    gone = type(found)(found.image, tmp_path / "gone.png", found.cosine)
    assert "gone.png cannot be read" in neighbours_html([gone])
