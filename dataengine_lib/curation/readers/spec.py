"""Step 4: the parameters that name readers: one model, or several, each with its server and with the image or not."""

import json
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, field_validator

from dataengine_lib.teachers.spec import check_spec

# How many of the readers must name the teacher's answer for it to count as found.
VoteRule = Literal["any", "majority", "all"]


def check_reader(spec: str) -> str:
    """`spec` itself when it names a chat model; raises ValueError for teachers that answer queries only."""
    if spec.partition(":")[0] not in ("openai", "playground"):
        raise ValueError(f"{spec} cannot answer questions; choose openai:MODEL or playground")
    return check_spec(spec)


class ReaderSpec(BaseModel):
    """One reader as a parameter names it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    model: str
    """openai:MODEL or playground."""
    base_url: str | None = None
    """Its server; default: the step's base_url."""
    image: bool | None = None
    """Send it the image; default: second_reader_image. A blind reader gets none."""

    @field_validator("model")
    @classmethod
    def _is_chat_model(cls, spec: str) -> str:
        return check_reader(spec)


class Reader(NamedTuple):
    """A reader that will be asked: `parameter` names it in messages, `name` in the records and counts."""

    parameter: str
    name: str
    model: str
    base_url: str | None
    image: bool
    blind: bool


def _listed(given: Any) -> Any:
    """A text, or a list of texts and objects, as a list of objects; the command line gives objects as JSON."""
    if given is None or given == "":
        return []
    rows = []
    for row in given if isinstance(given, list) else [given]:
        if isinstance(row, str) and row.lstrip().startswith("{"):
            try:
                row = json.loads(row)
            except ValueError as error:
                raise ValueError(f"not valid JSON ({error})") from error
        rows.append({"model": check_reader(row)} if isinstance(row, str) else row)
    return rows


def _all_different(specs: list[ReaderSpec]) -> list[ReaderSpec]:
    seen: list[ReaderSpec] = []
    for spec in specs:
        if spec in seen:
            raise ValueError(f"names {spec.model} twice, whose answers would be the same; name it once")
        seen.append(spec)
    return specs


ReaderSpecs = Annotated[list[ReaderSpec], BeforeValidator(_listed), AfterValidator(_all_different)]


def readers_of(
    second: list[ReaderSpec], blind: list[ReaderSpec], *, base_url: str | None, image: bool
) -> list[Reader]:
    """The readers of both parameters, in the order in which they are asked; defaults are filled in."""
    found: list[Reader] = []
    for parameter, specs in (("second_reader", second), ("blind_reader", blind)):
        for number, spec in enumerate(specs):
            place = f"{parameter}.{number}" if len(specs) > 1 else parameter
            is_blind = parameter == "blind_reader"
            name = f"{spec.model}, blind" if is_blind else spec.model
            # one model on two servers, or with the image and without it
            same = sum(one.name.partition(" #")[0] == name for one in found)
            found.append(
                Reader(
                    parameter=place,
                    name=f"{name} #{same + 1}" if same else name,
                    model=spec.model,
                    base_url=spec.base_url or base_url,
                    image=not is_blind and (image if spec.image is None else spec.image),
                    blind=is_blind,
                )
            )
    return found
