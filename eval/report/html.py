"""The report as one HTML file that needs no network: figures, tables and all examples.

The table of examples is DataTables, from the bundle that itables ships. Jinja2 escapes all text of
the page; the examples travel as JSON and enter the page as text nodes; and the content security
policy lets the page run its own script alone and fetch nothing, should the escaping ever fail.
"""

import base64
import functools
import hashlib
import importlib.util
import pathlib
import re
import urllib.parse
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from closedbook.eval.analysis.comparison.results import ComparedSlice, Comparison
from closedbook.eval.analysis.results import Analysis, Example
from closedbook.eval.analysis.slices import SliceScore
from closedbook.eval.analysis.summarized import Json
from closedbook.eval.report import charts, examples, figures, measures, numbers, story, text

if TYPE_CHECKING:
    import jinja2
    import markupsafe

REVIEWED = 100
"""Candidates that the page lists above the table of examples."""

_Slice = TypeVar("_Slice", SliceScore, ComparedSlice)
_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_EXPORTS = re.compile(r"export\{([^{}]*)\};?")
_FIGURES = {  # alternative texts; the numbers stand in a table beside each figure
    "errors": "Bar chart of the kinds of wrong answers; the table beside it has the numbers.",
    "calibration": "Accuracy over confidence; the table below has the numbers.",
    "risk_coverage": "Risk over coverage; the table below has the summary.",
}


def render_html(analysis: Analysis) -> str:
    """The report on one predictions file.

    Returns:
        A whole HTML document, with scripts, styles and figures inside.
    """
    drawn = figures.specs(analysis, charts.PAGE)
    rows, looks = analysis.examples, story.looks(analysis)
    chosen = examples.choose(
        [row.verdict for row in rows],
        [examples.size(row) for row in rows],
        _led_to(analysis, looks),
    )
    labels = {row.id: row.label for row in rows if row.label is not None}
    return page(
        _TEMPLATES / "report.html",
        script=_TEMPLATES / "report.js",
        data=examples.table_data(
            [rows[place] for place in chosen.places], labels, analysis.meta.corrections
        ),
        a=analysis,
        slices=_grouped(analysis.slices),
        measures=measures,
        story=story,
        looks=looks,
        shown=len(chosen.places),
        left_out=chosen.left_out,
        reviewed=REVIEWED,
        figures={name: figure(drawn[name], _FIGURES[name]) for name in _FIGURES if name in drawn},
    )


def _led_to(analysis: Analysis, looks: Sequence[tuple[str, Sequence[Example]]]) -> list[int]:
    """Places of the rows that the page names, those to look at first before the others."""
    ids = [row.id for _, rows in looks for row in rows]
    ids += [row.id for row in analysis.candidates[:REVIEWED]]
    ids += [key for line in analysis.disagreements for why in line.why for key in why.ids]
    ids += [key for line in analysis.audit for key in line.ids]
    wanted = dict.fromkeys(ids)
    places = {row.id: place for place, row in enumerate(analysis.examples) if row.id in wanted}
    return [places[key] for key in wanted if key in places]


def render_comparison_html(comparison: Comparison) -> str:
    """The comparison of several systems.

    Returns:
        A whole HTML document, as `render_html` gives.
    """
    rows = comparison.examples
    chosen = examples.choose(
        [examples.solved(row) for row in rows], [examples.compared_size(row) for row in rows]
    )
    return page(
        _TEMPLATES / "comparison.html",
        script=_TEMPLATES / "comparison.js",
        data=examples.comparison_data(comparison, chosen.places),
        c=comparison,
        slices=_grouped(comparison.slices),
        shown=len(chosen.places),
        left_out=chosen.left_out,
        matrix=_agreement(comparison),
        measures=measures,
    )


def page(template: pathlib.Path, *, script: pathlib.Path, data: Json, **context: object) -> str:
    """A page in the house style, of this room's templates or of another's.

    Args:
        template: It extends "base.html".
        script: Runs after "table.js" and fills the table of examples.
        data: What the script reads.
        context: What the template reads; all text is escaped.

    Returns:
        A whole HTML document, with scripts, styles and figures inside.
    """
    code = _datatables_script() + _template("table.js") + script.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    markup = _environment(template.parent).get_template(template.name)
    return markup.render(
        **context,
        script=_markup(code),
        script_hash=f"sha256-{digest}",
        style=_markup(_datatables_file("css") + _template("report.css")),
        data=_markup(text.script_json(data)),
    )


def address(key: object) -> str:
    """Where a page shows the row of an id."""
    return f"#row={urllib.parse.quote(examples.shown(str(key)), safe='')}"


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@functools.cache
def _environment(folder: pathlib.Path) -> "jinja2.Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # All text of a report passes here, also what a template prints without a filter.
        finalize=lambda value: text.visible(value) if type(value) is str else value,
    )
    environment.filters.update(
        percent=numbers.percent,
        mean=numbers.mean,
        interval=numbers.interval,
        count=numbers.count,
        counted=numbers.counted,
        nouns=numbers.nouns,
        decimal=numbers.decimal,
        p_value=numbers.p_value,
        line=text.inline,
        shown=examples.shown,
    )
    environment.globals["address"] = address
    return environment


def _markup(trusted: str) -> "markupsafe.Markup":
    """Text that the template must not escape: ours, or made harmless already."""
    import markupsafe

    return markupsafe.Markup(trusted)


def figure(spec: charts.Spec, alternative: str) -> "markupsafe.Markup":
    """A figure as markup for a page, with a text for those who do not see it."""
    drawn = charts.svg(spec)
    # Scales with the page; the viewBox keeps the shape.
    drawn = re.sub(r' width="[\d.]+" height="[\d.]+"', "", drawn, count=1)
    import markupsafe

    label = markupsafe.escape(alternative)
    return _markup(drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))


def _grouped(slices: Sequence[_Slice]) -> dict[str, list[_Slice]]:
    groups: dict[str, list[_Slice]] = {}
    for row in slices:
        groups.setdefault(row.slice, []).append(row)
    return groups


def _agreement(comparison: Comparison) -> list[list[str]]:
    """The matrix of systems: above the diagonal the share alike, below it kappa."""
    names = [row.name for row in comparison.systems]
    size = len(names)
    matrix = [[numbers.MISSING] * size for _ in names]
    for pair in comparison.agreement:
        first, second = sorted(names.index(name) for name in pair.systems)
        matrix[first][second] = numbers.percent(pair.agreement)
        matrix[second][first] = numbers.decimal(pair.kappa, 2)
    return matrix


@functools.cache
def _datatables_file(ending: str) -> str:
    # Found, not imported: itables would import pandas.
    found = importlib.util.find_spec("itables")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the report needs itables; pip install itables")
    folder = pathlib.Path(found.submodule_search_locations[0])
    content = (folder / "html" / f"dt_bundle.{ending}").read_text(encoding="utf-8")
    # An end tag inside the bundle would end the element that holds it.
    return content.replace("</script", r"<\/script").replace("</style", r"<\/style")


@functools.cache
def _datatables_script() -> str:
    """The bundle, a module, with its exports as constants for the script that follows it."""
    source = _datatables_file("js")
    [names] = _EXPORTS.findall(source)
    pairs = (pair.split(" as ") for pair in names.split(","))
    exported = {public: private for private, public in pairs}
    constants = f"const DataTable={exported['default']};\n"
    return _EXPORTS.sub("", source) + "\n" + constants
