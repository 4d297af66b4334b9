"""Report directories: written whole under another name, then renamed, so never half of one."""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from closedbook import whole_files
from closedbook.errors import UserError
from closedbook.eval.analysis.comparison.results import Comparison
from closedbook.eval.analysis.results import Analysis
from closedbook.eval.analysis.summarized import Json, plain

_MARK = "summary.json"  # what makes a folder one of ours
_FIGURES = ("errors", "protocols", "calibration", "risk_coverage", "systems")
_OURS = {
    _MARK,
    *("examples.jsonl", "candidates.jsonl", "report.html", "report.md", "report.tex"),
    *(f"figures/{name}.{ending}" for name in _FIGURES for ending in ("svg", "pdf")),
}


def check_target(out: str | os.PathLike[str], *, force: bool) -> None:
    """Refuses a folder that must not be written, before any work is done.

    Args:
        out: The folder to make; missing parents are made too.
        force: Whether a report that is there may be replaced. Other folders never are, and files
            of others in a report are kept.

    Raises:
        UserError: It exists and is no report, is one and force is not given, or is the working
            directory or around it.
    """
    out = pathlib.Path(out)
    if not os.path.lexists(out):
        around = next(each for each in out.absolute().parents if os.path.lexists(each))
        if not around.is_dir():
            raise UserError(f"{out} cannot be made: {around} is no folder; give another --out")
        return
    if out.resolve() in (here := pathlib.Path.cwd(), *here.parents):
        # It would be replaced, and the caller's shell would be left in a folder that is gone.
        raise UserError(f"{out} is or holds the working directory; give a folder inside it")
    if not out.is_dir() or out.is_symlink():
        raise UserError(f"{out} exists and is no folder; give another --out")
    if not any(out.iterdir()):
        return
    if not (out / _MARK).is_file():
        raise UserError(
            f"{out} holds files and no {_MARK}, so it is no report of ours and stays as it is; "
            "give another --out"
        )
    if not force:
        raise UserError(
            f"{out} holds a report already; give another --out, or --force to replace it"
        )


def write_analysis(
    analysis: Analysis, out: str | os.PathLike[str], *, force: bool = False
) -> pathlib.Path:
    """Writes summary.json, examples.jsonl, candidates.jsonl, the reports and their figures.

    Args:
        analysis: From `closedbook.eval.analysis.analyze`.
        out: The folder to make.
        force: Whether to replace a report that is there.

    Returns:
        The folder.

    Raises:
        UserError: The folder must not be written (see `check_target`), or the disk refuses.
    """
    from closedbook.eval.report.figures import render_figures
    from closedbook.eval.report.html import render_html
    from closedbook.eval.report.latex import render_latex
    from closedbook.eval.report.markdown import render_markdown

    with replacing(pathlib.Path(out), force=force) as folder:
        write_json(folder / _MARK, analysis.to_json())
        write_lines(folder / "examples.jsonl", (row.as_dict() for row in analysis.examples))
        write_lines(folder / "candidates.jsonl", map(plain, analysis.candidates))
        write_text(folder / "report.html", render_html(analysis))
        write_text(folder / "report.md", render_markdown(analysis))
        write_text(folder / "report.tex", render_latex(analysis))
        write_files(folder / "figures", render_figures(analysis))
    return pathlib.Path(out)


def write_comparison(
    comparison: Comparison, out: str | os.PathLike[str], *, force: bool = False
) -> pathlib.Path:
    """Writes a comparison as `write_analysis` does an analysis; arguments and errors as there."""
    from closedbook.eval.report.figures import render_comparison_figures
    from closedbook.eval.report.html import render_comparison_html
    from closedbook.eval.report.latex import render_comparison_latex
    from closedbook.eval.report.markdown import render_comparison_markdown

    with replacing(pathlib.Path(out), force=force) as folder:
        write_json(folder / _MARK, comparison.to_json())
        write_lines(folder / "examples.jsonl", map(plain, comparison.examples))
        write_text(folder / "report.html", render_comparison_html(comparison))
        write_text(folder / "report.md", render_comparison_markdown(comparison))
        write_text(folder / "report.tex", render_comparison_latex(comparison))
        write_files(folder / "figures", render_comparison_figures(comparison))
    return pathlib.Path(out)


@contextlib.contextmanager
def replacing(
    out: pathlib.Path, *, force: bool, ours: AbstractSet[str] = frozenset(_OURS)
) -> Iterator[pathlib.Path]:
    """A folder that takes the place of `out` once it is written in full, and else is gone.

    Args:
        out: The folder to make.
        force: Whether one that holds results already may be replaced.
        ours: Paths of the files that are written anew; others' files in the folder are kept.

    Raises:
        UserError: The folder must not be written (see `check_target`), or the disk refuses.
    """
    check_target(out, force=force)
    try:
        with whole_files.folder(out, replace=True) as new:
            yield new
            check_target(out, force=force)  # another run may have finished there meanwhile
            if out.exists():
                _keep_others(out, new, ours)
    except OSError as error:
        raise UserError(
            f"cannot write the report {out}: {error.strerror or error}; free the disk or choose "
            "another folder"
        ) from error


def _keep_others(former: pathlib.Path, new: pathlib.Path, ours: AbstractSet[str]) -> None:
    """Copies what others have put into a report, such as notes and labels, to the new one."""
    for path in sorted(former.rglob("*")):
        place = path.relative_to(former)
        if path.is_dir() and not path.is_symlink():
            (new / place).mkdir(exist_ok=True)
        elif place.as_posix() not in ours:
            shutil.copy2(path, new / place, follow_symlinks=False)


def write_json(path: pathlib.Path, value: Mapping[str, Json]) -> None:
    """One value as a readable file."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def write_lines(path: pathlib.Path, rows: Iterable[object]) -> None:
    """JSON lines, one a row."""
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(encode(row) + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """A text file in UTF-8 with our line ends."""
    path.write_text(text, encoding="utf-8", newline="\n")


def write_files(folder: pathlib.Path, files: Mapping[str, bytes]) -> None:
    """A new folder of files by their names."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
