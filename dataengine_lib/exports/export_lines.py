"""`dataengine export`: one format or all of them, and what is said of each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.data_card import CARD
from dataengine_lib.exports.export import FORMATS, export, export_all, read_train_records


def export_lines(format: str, input: Path, output: Path, image_root: Path, **options: Any) -> Iterator[str]:
    """Write training data as `format` or `all`, with the options of `export`; what is written, as it is written.

    The counts for the data card are those of the post_process.json beside the input.
    Raises DataEngineError as `export` does, for `all` when it is through and a format could not be written.
    """
    if output.resolve() == input.resolve():
        raise ParameterError(f"{output}: is the training data itself; give the export another name")
    records = read_train_records(input)
    options |= {"counts": input.parent / "post_process.json", "source": input}
    if format != "all":
        files = export(format, records, image_root, output, **options)
        yield from map(str, files)
        yield from _no_card(format, output, files)
        return
    failed = []
    for done in export_all(records, image_root, output, **options):
        if done.problem:
            failed.append(done.format)
            yield f"{done.format}: not written: {done.problem}"
        else:
            yield f"{done.format}: {done.rows} records, {done.path}"
            yield from _no_card(done.format, done.path, done.files)
    if failed:
        raise DataEngineError(f"{output}: without {', '.join(failed)}; the lines above say why")


def _no_card(format: str, output: Path, files: list[Path]) -> list[str]:
    card = (output.parent if FORMATS[format].suffix else output) / CARD
    return [] if card in files else [f"  {card} is not ours and stays; no data card was written"]
