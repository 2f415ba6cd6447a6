"""The built-in prompts, category sets and prices, and the parameters that name them."""

from pathlib import Path
from typing import Annotated

import pytest

from dataengine_lib import resources
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import ParameterError
from dataengine_lib.resources import CATEGORY_SETS, CLASSIFY_PROMPTS, QUERY_PROMPTS, READER_PROMPTS, BuiltIns


class CategoriesConfig(StepConfig):
    categories: Annotated[str | Path, CATEGORY_SETS] = "v1"


def test_every_file_has_its_name_and_every_name_its_file() -> None:
    kinds: list[BuiltIns] = [CATEGORY_SETS, QUERY_PROMPTS, CLASSIFY_PROMPTS, READER_PROMPTS]
    named = {kind.file(name) for kind in kinds for name in kind.names} | {resources.PRICES}
    shipped = {path for path in Path(resources.__file__).parent.rglob("*") if path.suffix in (".j2", ".yaml")}
    assert named == shipped and len(shipped) == sum(len(kind.names) for kind in kinds) + 1


def test_a_name_stays_a_name_and_other_text_is_a_file() -> None:
    assert CategoriesConfig().categories == "v1"
    assert CategoriesConfig(categories="mmbench").model_dump(mode="json") == {"categories": "mmbench"}
    mine = CategoriesConfig.read({"categories": "sets/mine.yaml"}, "here").categories
    assert mine == Path("sets/mine.yaml") and CATEGORY_SETS.file(mine) == mine
    assert CategoriesConfig(categories=Path("v1.yaml")).categories == Path("v1.yaml")
    with pytest.raises(ParameterError) as caught:
        CategoriesConfig.read({"categories": 3}, "here")
    says = "give a file or a built-in name: v1, seed_bench, mmbench, mmbench_l3, mme (given: 3)"
    assert str(caught.value) == f"here: categories: {says}"


def test_a_missing_price_table_says_what_there_is_instead(tmp_path: Path) -> None:
    with pytest.raises(
        ParameterError, match=r"none\.yaml: cannot be read .*; give a file, or leave `prices` out"
    ):
        read_prices(tmp_path / "none.yaml")
    assert read_prices() == read_prices(resources.PRICES)
