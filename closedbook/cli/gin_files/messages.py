"""One short message for each mistake in a configuration."""

import inspect
import re
from collections.abc import Sequence

from gin import config as gin_config

from closedbook.cli.gin_files.numbers import Mistakes
from closedbook.errors import UserError, unknown_name

_ADDED_BY_GIN = "\n  In call to configurable "
_CALLED = re.compile(r"'[\w.]+' \(<(?:function|class) '?([\w.]+)")  # in what gin adds


def together(mistakes: Sequence[str]) -> UserError:
    """One error for all mistakes."""
    if len(mistakes) == 1:
        return UserError(mistakes[0])
    rows = "".join(f"\n- {each}" for each in mistakes)
    return UserError(f"{len(mistakes)} mistakes in the configuration:{rows}")


def unknown(kind: str, name: str, names: Sequence[str]) -> UserError:
    """For a name that is not registered."""
    return unknown_name(kind, name, names)


def no_parameter(selector: str, parameter: str, place: str) -> str:
    """For a parameter that a configurable has not."""
    wrapper = gin_config._REGISTRY.get_match(selector).wrapped
    parameters = ", ".join(inspect.signature(wrapper).parameters)
    return f"{selector} has no parameter {parameter!r}{place}; it has {parameters}"


def malformed_binding(name: str, value: str) -> str:
    """For a binding of the command line whose value gin cannot read; it says why.

    Args:
        name: Left of the equals sign.
        value: Right of it.
    """
    binding = f"malformed value in binding {f'{name}={value}'!r}"
    if value.lower() in ("true", "false", "none"):
        return f"{binding}; write {value.capitalize()}"
    if value.lower() in ("nan", "inf", "-inf", "null"):
        return f"{binding}; it needs a finite number, or None for none"
    if re.match(r"[-+]?[\d.]", value):
        return f"{binding}; a number has no unit and no commas: {name}=10000, or 1e4"
    if any(value.count(quote) % 2 for quote in "\"'"):
        return f"{binding}; a quotation mark is not closed{_in_quotes(name, value)}"
    if any(value.count(left) != value.count(right) for left, right in ("()", "[]", "{}")):
        return f"{binding}; a bracket is not closed"
    if re.match(r"[\w.]+\(", value):
        return (
            f"{binding}; gin calls no functions of Python: give a number, a text in quotes, True, "
            "False, None, a list or a dict of those, %MACRO, or @name() of what is registered"
        )
    if re.fullmatch(r"[^\"'(){}\[\],]+", value):
        return f"{binding}; strings need quotes inside the shell's:{_in_quotes(name, value)[1:]}"
    return (
        f"{binding}; give a number, a text in quotes, True, False, None, a list or a dict of "
        "those, %MACRO or @name()"
    )


def _in_quotes(name: str, value: str) -> str:
    plain = value.strip("\"' ")
    return f": --gin.{name}=\"'{plain}'\"" if not set(plain) & set("\"'") else ""


def malformed_line(line: str, place: str) -> str:
    """For a line of a file that gin cannot read.

    Args:
        line: Its text; it may be binary.
        place: File and number, in brackets.
    """
    shown = line.strip()[:80]
    hint = "NAME = VALUE with texts in quotes, include 'FILE.gin', import MODULE, or # a remark"
    return f"malformed value or line {shown!r}{place}; a line of a gin file is {hint}"


def explained(error: Exception) -> list[str]:
    """A message for each mistake of which gin, or a constructor that it calls, raises an error."""
    if isinstance(error, Mistakes):
        return list(error.messages)
    if isinstance(error, UserError):
        return [str(error).partition(_ADDED_BY_GIN)[0]]
    return [_of_python(error)]


def _of_python(error: Exception) -> str:
    """A message for an error of Python's own kinds."""
    told, _, added = str(error).partition(_ADDED_BY_GIN)
    text = " ".join(str(error).split())
    required = re.search(
        r"Required bindings for `([\w./]+)` not provided in config: (\[.*?\])", text
    )
    if required:
        return (
            f"{required.group(1)} needs {required.group(2)}; give it in a gin file or with "
            f"--gin.{required.group(1)}.NAME=VALUE"
        )
    missing = re.search(
        r"([\w.]+)\(\) missing \d+ required [\w-]+ arguments?: (.*?)(?: No values| In call|$)", text
    )
    if missing:
        return f"{missing.group(1)} needs {missing.group(2)}; bind it in a gin file"
    called = _CALLED.match(added)
    told = " ".join(told.split())
    return f"{called.group(1)}: {told}" if called else told
