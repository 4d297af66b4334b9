"""LaTeX tables: their shape where no TeX is, and what pdfTeX says of them where it is."""

import dataclasses
import re
import shutil
import subprocess

import pytest

from closedbook.eval.analysis.comparison import compare
from closedbook.eval.predictions import Prediction
from closedbook.eval.report import latex, text

HOSTILE = [
    r"a&b%c$d#e_f{g}h~i^j\k",
    r"\input{/etc/passwd}\write18{ls}\end{tabular}",
    r"\\[5pt] ^^M ^^5c % }} {",
    "?` !` -- --- <<>> \"quoted\" 'it' […]",
    "{" * 50,
    "\u202eturned\x00\n\n\\par",
    "Zoë Øre ½ – — − ’",
]
ESCAPED = re.compile(r"\\(?:text[a-z]+|ldots)\{\}|\\[{}$&#%_]|\{[][]?\}|\$-\$")


@pytest.fixture(params=[*HOSTILE, None], ids=[*map(str, range(len(HOSTILE))), "plain"])
def rendered(request, analysis):
    """Both documents, made with a hostile name."""
    return _rendered(analysis, request.param)


def _rendered(analysis, name):
    if name is None:
        return [latex.render_latex(analysis)]
    one = dataclasses.replace(analysis, meta=dataclasses.replace(analysis.meta, source=name))
    rows = [Prediction(question=str(n), answers=("a",), prediction="ab"[n % 2]) for n in range(9)]
    two = compare({name: rows, f"{name} 2": rows[1:], "": rows[2:]}, resamples=100)
    return [latex.render_latex(one), latex.render_comparison_latex(two)]


def test_rows_fill_the_columns_and_all_that_is_opened_is_closed(rendered):
    for document in rendered:
        tables = re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", document, re.S)
        assert len(tables) == 2
        for table in tables:
            columns = len(re.search(r"\{tabular\}\{([lr]+)\}", table)[1])
            for line in table.splitlines():
                if line.endswith(r"\\"):
                    spanned = sum(int(n) - 1 for n in re.findall(r"multicolumn\{(\d)\}", line))
                    assert len(re.findall(r"(?<!\\)&", line)) + 1 + spanned == columns, line
        depth = 0
        for sign in re.findall(r"(?<!\\)[{}]", document):
            depth += 1 if sign == "{" else -1
            assert depth >= 0
        assert depth == 0
        opened = re.findall(r"\\(begin|end)\{(\w+)\}", document)
        assert opened == [*[("begin", "table"), ("begin", "tabular")],
                          *[("end", "tabular"), ("end", "table")]] * 2  # fmt: skip
        # A percent sign that is not escaped would hide the rest of its line.
        assert [line for line in document.splitlines() if re.search(r"(?<!\\)%", line)] == [
            document.splitlines()[0]
        ]


def test_scores_are_percent_with_intervals_and_a_dash_where_there_is_none(analysis):
    expected = r"nq\_open & 35.0 & {[}33.0, 37.0{]} & -- &  \\"
    assert expected in latex.render_latex(analysis).splitlines()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_character_of_a_text_is_obeyed(hostile):
    plain = hostile.replace("–", "")  # a dash of the text becomes LaTeX's own: two hyphens
    left = ESCAPED.sub(" ", text.latex(plain))
    assert not re.search(r"[\\{}$&#%_^~`<>|\[\]]|--", left), left


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_pdftex_compiles_them(analysis, tmp_path):
    source = tmp_path / "paper.tex"
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", source.name]
    for name in (*HOSTILE, None):
        source.write_text(
            "\\documentclass{article}\\usepackage{booktabs}\\begin{document}"
            f"{''.join(_rendered(analysis, name))}\\end{{document}}",
            encoding="utf-8",
        )
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, errors="replace"
        )
        assert done.returncode == 0, (name, done.stdout[-2000:])
