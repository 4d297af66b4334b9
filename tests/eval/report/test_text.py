"""Hostile text is harmless in every format, and costs no time."""

import json
import re
import time

import pytest

from closedbook.eval.report import text

_HOSTILE = "</script><!-- \u2028 \u202e & \\ * _ ` [a](b) | $x$ ~ {} % # ^ \ud800\x00\n\n# x"


@pytest.mark.parametrize("value", [_HOSTILE, ["<", {"a>": "&"}], "\ud800", "é\u2029"])
def test_script_json_has_no_markup_and_reads_as_the_value(value):
    encoded = text.script_json(value)
    assert not set("<>&\u2028\u2029") & set(encoded)
    assert encoded.isascii()
    assert json.loads(encoded) == value


def test_script_json_refuses_what_json_has_no_word_for():
    with pytest.raises(ValueError, match="JSON compliant"):
        text.script_json([float("nan")])


def test_controls_and_directions_are_written_out():
    assert text.visible("a\u202eb\x1b[0m\ud800") == r"a\u202eb\x1b[0m\ud800"
    assert text.visible("tab\tline\nعربي 👍🏽 日本") == "tab\tline\nعربي 👍🏽 日本"


def test_markdown_stays_in_its_cell():
    line = text.markdown(_HOSTILE)
    assert "\n" not in line
    assert "<" not in line
    assert not re.search(r"(?<!\\)[|`*_$~]", line)
    assert r"[a\](b)" in line  # no link
    assert text.markdown("www.a.b http://c user@d") == "www&#46;a.b http&#58;//c user&#64;d"
    assert text.markdown("&amp;") == "&amp;amp;"


def test_latex_leaves_no_command_of_the_text():
    line = text.latex(_HOSTILE + r"\input{/etc/passwd} \\ ~")
    allowed = r"\\(textbackslash|text\w+|ldots)\{\}|\\[{}$&#%_]"
    assert "\\" not in re.sub(allowed, "", line)
    assert not re.search(r"(?<!\\)[$&#%_]", line)
    assert "{[}a{]}" in line


@pytest.mark.parametrize("render", [text.inline, text.markdown, text.latex])
def test_a_megabyte_costs_no_more_than_a_line(render):
    start = time.perf_counter()
    line = render("<\\|\n" * 500_000)
    assert time.perf_counter() - start < 0.5
    assert "more characters" in line
    assert len(line) < 20_000
