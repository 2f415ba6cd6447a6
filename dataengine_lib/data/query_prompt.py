"""The prompt of a query (step 2): a template filled with a type, its bad cases, and an image's text and boxes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataengine_lib.data.image_pool import PoolImage
from dataengine_lib.errors import DataEngineError

Render = Callable[[str, str, list[str], PoolImage], str]


def load_template(file: Path) -> Render:
    """`render(question_type, definition, examples, image) -> prompt` from a Jinja file.

    Raises DataEngineError naming the file and line when the template is missing or wrong.
    """
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)

    def failed(error: jinja2.TemplateError) -> DataEngineError:
        line = f"line {error.lineno}: " if isinstance(error, jinja2.TemplateSyntaxError) else ""
        return DataEngineError(
            f"{file}: {line}{error.message}; names to use: question_type, definition, examples, captions, objects"
        )

    try:
        template = environment.from_string(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataEngineError(f"{file}: cannot be read ({error.strerror}); check template") from error
    except jinja2.TemplateError as error:
        raise failed(error) from error

    def render(question_type: str, definition: str, examples: list[str], image: PoolImage) -> str:
        values: dict[str, Any] = {"captions": image.captions, "objects": image.boxes, "examples": examples}
        try:
            return template.render(question_type=question_type, definition=definition, **values).strip()
        except jinja2.TemplateError as error:
            raise failed(error) from error

    return render
