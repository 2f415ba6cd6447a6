"""The verbs of files, records, reviews and reports: import, export, merge, trace, compare, bundle."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from dataengine_lib.cli_steps import print_lines, print_warnings
from dataengine_lib.cli_terminal import OpenReport, complete_run_folder, completed_from, open_report_page


def _formats() -> list[str]:
    from dataengine_lib.exports.export import FORMATS
    from dataengine_lib.exports.label_studio import LABEL_STUDIO

    return [*FORMATS, LABEL_STUDIO, "all"]


def _text_formats() -> tuple[str, ...]:
    from dataengine_lib.training.texts import TextFormat

    return get_args(TextFormat)


def _paths() -> tuple[str, ...]:
    from dataengine_lib.exports.records import Paths

    return get_args(Paths)


def _splits() -> tuple[str, ...]:
    return ("holdout", "diagnose", "all")


def add_file_verbs(app: typer.Typer) -> None:
    """Add these verbs to the command line."""
    app.command("import-embeddings")(_import_embeddings)
    app.command("export")(_export)
    app.command("merge-reviews")(_merge_reviews)
    app.command("import-label-studio")(_import_label_studio)
    app.command("trace")(_trace)
    app.command("compare")(_compare)
    app.command("bundle")(_bundle)


def _import_embeddings(
    source: Annotated[Path, typer.Argument(metavar="COCO_IMAGES.PTH")],
    output: Annotated[Path, typer.Option("--output", metavar="STORE")],
    encoder: Annotated[str, typer.Option("--encoder", help="what made the vectors")] = "clip:ViT-B/32",
) -> None:
    """Read MLLM-DataEngine's coco_images.pth into an embedding store; code inside the file is not run."""
    from dataengine_lib.embeddings.import_pth import import_embeddings

    typer.echo(f"{output}: {len(import_embeddings(source, output, encoder).ids)} images")


def _export(
    format: Annotated[str, typer.Argument(metavar="FORMAT|all", autocompletion=completed_from(_formats))],
    input: Annotated[Path, typer.Option("--input", metavar="TRAIN.json")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="PATH", help="a file; a folder for minigpt4, hf, label-studio and all"
        ),
    ],
    image_root: Annotated[Path, typer.Option("--image-root", metavar="DIR", help="where image paths start")],
    name: Annotated[
        str, typer.Option("--name", help="the data set's name in a trainer's list")
    ] = "dataengine",
    text_format: Annotated[
        Any,
        typer.Option(
            "--text-format",
            help="Q-A, QM-A, QM-AE, mmbench, answer or letter",
            autocompletion=completed_from(_text_formats),
        ),
    ] = "QM-A",
    paths: Annotated[
        Any,
        typer.Option(
            "--paths",
            metavar="absolute|relative|bare",
            help="image paths: relative to the export's folder, bare under DIR [default: as the trainer expects]",
            autocompletion=completed_from(_paths),
        ),
    ] = None,
    shuffle_options: Annotated[
        bool, typer.Option("--shuffle-options", help="chats: options in a new order in each copy")
    ] = False,
    copies: Annotated[int, typer.Option("--copies", metavar="N", help="chats: each question N times")] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="draws the orders of options")] = 0,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="CHECKOUT", help="minigpt4: show what this checkout of it lacks"),
    ] = None,
    train_config: Annotated[
        str, typer.Option("--train-config", metavar="NAME", help="with --into: the config of the training")
    ] = "",
    apply: Annotated[bool, typer.Option("--apply", help="with --into: change the checkout as shown")] = False,
    max_bad_share: Annotated[
        float,
        typer.Option("--max-bad-share", help="stop when a larger share of the records cannot be exported"),
    ] = 0.05,
) -> None:
    """Write training data in a trainer's format, with a data card: aokvqa, llava, minigpt4, llamafactory, swift, trl,
    dataengine-v2, hf, or all of them. label-studio writes tasks for a review with their images, and the labelling config.
    """
    from dataengine_lib.core.bad_rows import BadRows
    from dataengine_lib.exports.export import WANTED, export_lines
    from dataengine_lib.exports.label_studio import LABEL_STUDIO, label_studio_lines
    from dataengine_lib.exports.minigpt4.checkout import Wiring, check_wiring, wire_lines
    from dataengine_lib.exports.records import ExportOptions

    wiring = Wiring(into, train_config, apply)
    check_wiring(format, name, wiring)
    left_out = BadRows(input, max_bad_share, wanted=WANTED, remedy="check image_root", keep=20)
    options = ExportOptions(
        name, text_format, paths, left_out=left_out, shuffle_options=shuffle_options, copies=copies, seed=seed,
        checkout=into,
    )  # fmt: skip
    if format == LABEL_STUDIO:
        print_lines(label_studio_lines(input, output, image_root, options))
    else:
        print_lines(export_lines(format, input, output, image_root, options))
    print_lines(wire_lines(output, name, wiring))
    print_warnings([*options.warnings, *left_out.warnings()])


def _merge_reviews(
    first: Annotated[Path, typer.Argument(metavar="REVIEW.json")],
    second: Annotated[Path, typer.Argument(metavar="OTHER.json")],
    output: Annotated[Path, typer.Option("--output", metavar="MERGED.json")],
) -> None:
    """Merge two people's review files of step 4, and show how well they agree (Cohen's kappa).

    Records that they decide differently are listed and stay undecided.
    """
    from dataengine_lib.curation.reviews.merge import merge_lines

    print_lines(merge_lines(first, second, output))


def _import_label_studio(
    source: Annotated[Path, typer.Argument(metavar="EXPORT.json", help="what Label Studio exports as JSON")],
    output: Annotated[Path, typer.Option("--output", metavar="REVIEW.json", help="review file of step 4")],
) -> None:
    """Read decisions made in Label Studio, about tasks of export label-studio, into a review file of step 4.

    Decisions about other records stay in it.
    """
    from dataengine_lib.curation.reviews.label_studio import import_lines

    print_lines(import_lines(source, output))


def _trace(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="record id, query id or request key, or the first letters of one; or a question_id",
        ),
    ],
    run_dir: Annotated[
        Path,
        typer.Option(
            "--run",
            metavar="DIR",
            help="folder of the record's round or run",
            autocompletion=complete_run_folder,
        ),
    ] = Path("."),
) -> None:
    """Show where a training record comes from: reply, teacher, prompt, bad cases; or what became of a question."""
    from dataengine_lib.runs.trace import trace_lines

    print_lines(trace_lines(name, run_dir))


def _compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_DIR RUN_DIR ...",
            help="folders of runs, the first to compare with",
            autocompletion=complete_run_folder,
        ),
    ],
    split: Annotated[
        Any,
        typer.Option("--split", metavar="all|diagnose|holdout", autocompletion=completed_from(_splits)),
    ] = "holdout",
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.json", help="figures; the page lies beside them")
    ] = Path("reports/compared.json"),
    open_report: OpenReport = False,
) -> None:
    """Compare the last evaluations of runs on the questions that they share, and show how the runs differ."""
    from dataengine_lib.core.text import nearest_name
    from dataengine_lib.errors import ParameterError
    from dataengine_lib.runs.compared.compare_runs import compare_runs, compared_sentences
    from dataengine_lib.runs.compared.page import write_comparison

    if split not in _splits():
        raise ParameterError(f"--split: {split!r} is none; did you mean {nearest_name(split, _splits())}?")
    compared = compare_runs(runs, split=split)
    page = write_comparison(compared, output)
    print_lines([*compared_sentences(compared), f"report: {page}"])
    print_warnings(compared.warnings)
    if open_report:
        open_report_page(page)


def _bundle(
    run_dir: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR",
            help="folder of a run or study, such as reports/demo",
            autocompletion=complete_run_folder,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="a .zip, or an .html with all pages [default: RUN_DIR.zip]"
        ),
    ] = None,
    data: Annotated[
        bool, typer.Option("--data/--no-data", help="a zip has the data files that pages name")
    ] = True,
    pdf: Annotated[
        Path | None,
        typer.Option("--pdf", metavar="DIR", help="also print each page into DIR, by Chromium or Chrome"),
    ] = None,
    max_mb: Annotated[
        float | None,
        typer.Option("--max-mb", metavar="N", min=0, help="reduce pictures and galleries to at most N MB"),
    ] = None,
) -> None:
    """Write a report as one file to send: its pages and their data, links whole, without paths of this machine."""
    from dataengine_lib.runs.bundles.bundle import bundle
    from dataengine_lib.runs.bundles.pdf import print_pages

    made = bundle(run_dir, output or Path(f"{run_dir.resolve()}.zip"), data=data, max_mb=max_mb)
    size = made.output.stat().st_size / 1e6
    typer.echo(f"{made.output}: {len(made.pages)} pages, {len(made.files) or 'no'} data files, {size:.1f} MB")
    if made.picture_side:
        cut = f", galleries their first {made.cards} cards" if made.cards else ""
        typer.echo(
            f"pictures have at most {made.picture_side} pixels{cut}, so that it fits into {max_mb:g} MB"
        )
    print_lines(f"left out: {name} ({why})" for name, why in made.left_out.items())
    if pdf:
        print_lines(str(path) for path in print_pages(run_dir, made.pages, pdf))
