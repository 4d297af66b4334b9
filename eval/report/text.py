"""Makes hostile text harmless, once for each format that a report is written in.

Predictions may hold anything: markup, control and direction characters, lone surrogates, megabytes.
"""

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from closedbook.eval.analysis.summarized import Json

CELL = 300  # characters of a table's cell
PARAGRAPH = 3000  # characters of a text of ours, names in it and all

# What a browser or a terminal would obey rather than show: controls but tab and newline, marks
# that override or embed a direction (they reverse what follows), and halves of surrogate pairs.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# Inside a line; a line of ours never begins with foreign text. A bracket alone makes no link.
_MARKDOWN = re.compile(r"([\\`*_|~$]|\](?=[(\[:]))")
_HYPHENS = re.compile("-(?=-)")  # LaTeX makes a dash of two
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",  # with a mark before or after it another one: ?` is a Spanish one
    "–": "--",
    "−": "$-$",
    "…": r"\ldots{}",
    # In an optional argument, after `\\`, a bracket would be read as one.
    "[": "{[}",
    "]": "{]}",
}


def visible(text: object) -> str:
    r"""The text with what steers the display written out as an escape.

    >>> print(visible("right\u202eleft"), visible("a\x00b"))
    right\u202eleft a\x00b
    """

    def written(match: re.Match[str]) -> str:
        code = ord(match[0])
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"

    shown = str(text)
    # Nothing that Python prints as it stands steers the display; most texts are such.
    return shown if shown.isprintable() else _INVISIBLE.sub(written, shown)


def clip(text: str, limit: int) -> str:
    """The text's first `limit` characters, and how many were left out.

    >>> clip("Paris, France", 5)
    'Paris … (8 more characters)'
    """
    left_out = len(text) - limit
    return text if left_out <= 0 else f"{text[:limit]} … ({left_out:,} more characters)"


def inline(text: object, limit: int = CELL) -> str:
    """One line of visible text, clipped: what a table cell of a text format holds.

    >>> inline("two\\nlines")
    'two lines'
    """
    # The cut comes first, so that a megabyte costs no more than a line.
    return " ".join(visible(clip(str(text), limit)).split())


def markdown(text: object, limit: int = CELL) -> str:
    r"""A line of text that Markdown, and HTML inside Markdown, takes for plain text.

    >>> print(markdown("<b>*not bold*</b> | a_b"))
    &lt;b&gt;\*not bold\*&lt;/b&gt; \| a\_b
    """
    line = inline(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # GitHub makes links of bare addresses; a zero-width character would end up in what is copied.
    line = line.replace("://", "&#58;//").replace("www.", "www&#46;").replace("@", "&#64;")
    return _MARKDOWN.sub(r"\\\1", line.replace("&#", "\0")).replace("\0", "&#")


def latex(text: object, limit: int = CELL) -> str:
    r"""A line of text that LaTeX typesets as it stands, and never obeys.

    >>> print(latex(r"50% of \input{x} & more"))
    50\% of \textbackslash{}input\{x\} \& more
    """
    apart = _HYPHENS.sub("-\0", inline(text, limit))  # no text of ours holds a zero
    return "".join(_LATEX.get(letter, letter) for letter in apart).replace("\0", "{}")


def script_json(value: "Json") -> str:
    r"""JSON that may stand in an HTML script element: ASCII, and with no character of markup.

    >>> print(script_json(["</script>", "\u2028"]))
    ["\u003c/script\u003e","\u2028"]
    """
    encoded = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # These occur inside strings alone, where the escape means the same.
    return encoded.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
