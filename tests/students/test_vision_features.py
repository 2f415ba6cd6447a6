"""Features of images: kept by their pixels up to a number of bytes, and split by rows or by grids of patches."""

from types import SimpleNamespace
from typing import Any

import torch

from dataengine_lib.students.image_reuse.vision_features import VisionFeatures


class Tower(torch.nn.Module):
    """Joins two patches to one; `reads` are the images that each pass gets."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[float]] = []

    def forward(self, pixels: torch.Tensor, grid_thw: torch.Tensor | None = None, scale: int = 1) -> Any:
        self.reads.append(pixels[:, 0].tolist())
        if grid_thw is not None:  # patches of all images in one row
            pixels = pixels.reshape(-1, 2, pixels.shape[1]).mean(1)
        return pixels * scale, [pixels + 1], None


def test_only_new_images_are_read_and_the_oldest_are_dropped() -> None:
    tower = Tower()
    one, two, three = (torch.full((1, 4), float(n)) for n in (1, 2, 3))
    wanted = tower(torch.cat([two, one, two, three]), scale=2)
    tower.reads.clear()
    features = VisionFeatures(tower, most_bytes=3 * 2 * 4 * 4)  # of three images: two tensors of four numbers
    with features.reused():
        tower(one, scale=2)
        found = tower(torch.cat([two, one, two, three]), scale=2)
        assert tower.reads == [[1.0], [2.0, 3.0]]
        tower(pixels=one, scale=3)  # other arguments, other features; the oldest make room
        tower(torch.cat([two, three]), scale=2)
        tower(one, scale=2)
        assert tower.reads[2:] == [[1.0], [1.0]]
        features.clear()
        tower(three, scale=2)
    assert tower.reads[-1] == [3.0] and len(tower.reads) == 5
    assert torch.equal(found[0], wanted[0]) and torch.equal(found[1][0], wanted[1][0]) and found[2] is None
    tower(three, scale=2)  # behind the block everything is read
    assert len(tower.reads) == 6 and "forward" not in vars(tower)


def test_features_that_are_not_shared_out_by_images_are_passed_on() -> None:
    class Mixed(Tower):
        def forward(self, pixels: torch.Tensor, *more: Any) -> Any:  # type: ignore[override]
            return super().forward(pixels)[0].sum(0, keepdim=True)

    tower, three = Mixed(), torch.arange(12.0).reshape(3, 4)
    wanted = tower(three)
    with VisionFeatures(tower).reused():
        assert torch.equal(tower(three), wanted) and torch.equal(tower(three), wanted)
        assert torch.equal(tower(three, None), wanted)  # an argument without a name


def test_a_model_whose_tower_is_not_known_reuses_nothing() -> None:
    model = SimpleNamespace(eyes=Tower())
    model.base_model = model
    assert VisionFeatures.for_model(model) is None


def test_processes_share_the_memory_for_features() -> None:
    model = SimpleNamespace(vision_tower=Tower())
    model.base_model = model
    alone, one_of_four = VisionFeatures.for_model(model), VisionFeatures.for_model(model, processes=4)
    assert alone and one_of_four and alone._most_bytes == 4 * one_of_four._most_bytes


def test_images_of_several_patches_are_told_apart_by_their_grids() -> None:
    tower = Tower()
    small, large = torch.arange(8.0).reshape(2, 4), torch.arange(8.0, 24.0).reshape(4, 4)
    grids = torch.tensor([[1, 2, 2], [1, 1, 2], [1, 2, 2]])
    wanted = tower(torch.cat([large, small, large]), grids)
    tower.reads.clear()
    with VisionFeatures(tower).reused():
        found = tower(torch.cat([large, small, large]), grid_thw=grids)
        assert tower.reads == [[8.0, 12.0, 16.0, 20.0, 0.0, 4.0]]
        tower(large, grid_thw=torch.tensor([[1, 4, 1]]))  # the same pixels in another grid are another image
        assert len(tower.reads) == 2
        tower(large, grid_thw=torch.tensor([[2, 1, 1], [1, 2, 3]]))  # rows that fit no grid are passed on
        assert len(tower.reads) == 3
    assert torch.equal(found[0], wanted[0]) and torch.equal(found[1][0], wanted[1][0])
