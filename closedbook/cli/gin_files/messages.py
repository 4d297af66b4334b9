"""One short message for each mistake in a configuration."""

import inspect
import re
from collections.abc import Sequence

from gin import config as gin_config

from closedbook.cli.gin_files.numbers import Mistakes
from closedbook.errors import UserError, unknown_name

_ADDED_BY_GIN = "\n  In call to configurable "


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


def explained(error: Exception) -> list[str]:
    """A message for each mistake of which gin, or a constructor that it calls, raises an error."""
    if isinstance(error, Mistakes):
        return list(error.messages)
    if isinstance(error, UserError):
        return [str(error).partition(_ADDED_BY_GIN)[0]]
    return [_of_python(error)]


def _of_python(error: Exception) -> str:
    """A message for an error of Python's own kinds."""
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
    return text
