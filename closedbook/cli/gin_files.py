"""Gin files and bindings to a run's arguments, with one clear message for each mistake."""

import io
import os
import pathlib
import re
from collections.abc import Sequence, Set
from typing import Any, TextIO

import gin
from gin import config as gin_config

from closedbook.cli.configurables import MODES, TASK_MAKERS, register
from closedbook.errors import UserError, unknown_name

PACKAGED = pathlib.Path(__file__).resolve().parent.parent / "gin"
_MISTAKES = (
    ValueError,
    TypeError,
    RuntimeError,
    SyntaxError,
    OSError,
    AttributeError,
    KeyError,
    ImportError,
)
_ADDED_BY_GIN = "\n  In call to configurable "
# T5X's own file names, so that `include "t5x/configs/runs/finetune.gin"` finds ours.
_UPSTREAM = (
    ("t5x/configs/runs/", "runs/"),
    ("t5x/examples/t5/t5_1_0/", "models/t5_"),
    ("t5x/examples/t5/t5_1_1/", "models/t5_1_1_"),
)
# T5X's files import the modules whose names they bind; ours are registered already.
_IMPORT = re.compile(
    r"^\s*(from __gin__ import dynamic_registration|import __main__ as \w+"
    r"|(import|from) (t5x|seqio|flaxformer)\b.*)\s*$"
)

_TOTAL, _RELATIVE = "TRAIN_STEPS", "TRAIN_STEPS_RELATIVE"
_STEPS = re.compile(rf"^({_TOTAL}|{_RELATIVE})\s*=", re.MULTILINE)
_OWN_STEPS: set[str] = set()  # which of the two the files of the user set

# Macros of T5X that change nothing here: evaluation examples always come from the token cache.
_UNUSED = {"EVALUATOR_USE_MEMORY_CACHE"}


def resolve(
    mode: str,
    files: Sequence[str],
    bindings: Sequence[str],
    search_paths: Sequence[str] = (),
) -> dict[str, Any]:
    """The arguments of a mode's function, after all files and bindings.

    Args:
        mode: "train", "eval" or "infer".
        files: Gin files; each is looked up in the working directory, in `search_paths`, then
            among the packaged ones.
        bindings: Like "TRAIN_STEPS = 100"; they win over the files.
        search_paths: Folders to look in.

    Raises:
        UserError: A file is missing, or a binding is malformed, misspelt or absent.
    """
    gin.clear_config()
    _OWN_STEPS.clear()
    names = register()
    search = ["", *search_paths, str(PACKAGED)]
    # gin adds to these lists and never takes away; they are set anew for each command.
    gin_config._LOCATION_PREFIXES[:] = search
    gin_config._FILE_READERS[:] = [(_open, lambda path: _file(path) is not None)]
    try:
        if mode == "train" and files:
            gin.parse_config(f"MODEL_DIR = {f'runs/{pathlib.Path(files[0]).stem}'!r}")
        for file in files:
            if all(_file(os.path.join(folder, file)) is None for folder in search):
                raise _missing_file(file, search)
            gin.parse_config_file(file)
        for binding in bindings:
            _parse_binding(binding)
        _settle_steps({binding.partition("=")[0].strip() for binding in bindings})
        _check_macros(bindings)
        _check_scopes(bindings)
        for maker in TASK_MAKERS:
            gin.get_configurable(f"tasks.{maker}")()
        return gin.get_bindings(MODES[mode], resolve_references=True)
    except UserError as error:
        # What is raised inside a configurable gets lines of gin's own at its end.
        raise UserError(str(error).partition(_ADDED_BY_GIN)[0]) from error
    except _MISTAKES as error:
        raise _explained(error, names) from error


def config_text() -> str:
    """The whole configuration as a gin file, for `config.gin`."""
    return gin.config_str(max_line_length=100)


def _file(path: str) -> str | None:
    """The file for a path, or the packaged one for a path of upstream's, or None."""
    if os.path.isfile(path):
        return path
    for theirs, ours in _UPSTREAM:
        if path.startswith(theirs):
            packaged = PACKAGED / (ours + path.removeprefix(theirs))
            if packaged.is_file():
                return str(packaged)
    return None


def _open(path: str) -> TextIO:
    found = _file(path)
    assert found is not None
    try:
        text = pathlib.Path(found).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{found} is not UTF-8 text: {error}") from error
    if PACKAGED.resolve() not in pathlib.Path(found).resolve().parents:
        _OWN_STEPS.update(_STEPS.findall(text))
    # Dropped lines are left empty, so that line numbers in messages stay right.
    lines = ["" if _IMPORT.match(line) else line for line in text.splitlines()]
    file = io.StringIO("\n".join(lines) + "\n")
    file.name = found
    return file


def _parse_binding(binding: str) -> None:
    name, sign, value = binding.partition("=")
    if not sign or not name.strip() or not value.strip():
        raise UserError(
            f"malformed binding {binding!r}; write NAME=VALUE, for example "
            "--gin.TRAIN_STEPS=1000 or --gin.MODEL_DIR=\"'/dir'\""
        )
    try:
        gin.parse_config(binding)
    except SyntaxError as error:
        raise UserError(
            f"malformed value in binding {binding!r}; strings need quotes inside the shell's: "
            f"--gin.{name.strip()}=\"'{value.strip()}'\""
        ) from error


def _settle_steps(bound: Set[str]) -> None:
    """Lets TRAIN_STEPS count where the user gives it over a TRAIN_STEPS_RELATIVE of a file.

    Else the relative number counts where both are there, as in T5X.

    Args:
        bound: What the command line binds.

    Raises:
        UserError: It binds both.
    """
    given = {
        name: values.get("value")
        for name in (_TOTAL, _RELATIVE)
        if (values := gin_config._CONFIG.get((name, "gin.macro"))) is not None
    }
    if None in (given.get(_TOTAL), given.get(_RELATIVE)):
        return
    if bound >= {_TOTAL, _RELATIVE}:
        raise UserError(
            f"--gin.{_TOTAL}={given[_TOTAL]} and --gin.{_RELATIVE}={given[_RELATIVE]} are both "
            f"given, and one counts; leave one out: {_TOTAL} counts the steps of the checkpoint "
            f"that the run starts from, {_RELATIVE} does not"
        )
    files = _TOTAL in _OWN_STEPS and _RELATIVE not in _OWN_STEPS | bound
    if _TOTAL in bound or files:
        gin.parse_config(f"{_RELATIVE} = None")


def _macros() -> tuple[set[str], set[str]]:
    """Names of the macros that are given, and of those that are used."""
    given = {scope for scope, selector in gin_config._CONFIG if selector == "gin.macro"}
    references = gin_config.iterate_references(
        gin_config._CONFIG, to=gin.get_configurable(gin_config.macro)
    )
    return given, {reference.scopes[-1] for reference in references}


def _check_macros(bindings: Sequence[str]) -> None:
    given, used = _macros()
    for name in sorted(used - given):
        raise UserError(f"macro {name} is used but has no value; give one with --gin.{name}=VALUE")
    for binding in bindings:
        name = binding.partition("=")[0].strip()
        if re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and name not in used | _UNUSED:
            raise unknown_name("macro", name, used)


def _check_scopes(bindings: Sequence[str]) -> None:
    """Refuses a binding without a scope where scoped ones of its parameter win over it."""
    for binding in bindings:
        target = binding.partition("=")[0].strip()
        selector, _, parameter = target.rpartition(".")
        if not selector or "/" in target:
            continue
        full = gin_config._REGISTRY.get_match(selector)
        scoped = [
            scope
            for (scope, name), values in gin_config._CONFIG.items()
            if scope and full is not None and name == full.selector and parameter in values
        ]
        if scoped:
            forms = ", ".join(f"{scope}/{target}" for scope in sorted(scoped))
            raise UserError(
                f"binding {target} would change nothing, as it is bound for each use; bind {forms}"
            )


def _missing_file(file: str, search: Sequence[str]) -> UserError:
    here = sorted(
        str(path.relative_to(PACKAGED)) for path in PACKAGED.rglob("*.gin") if path.is_file()
    )
    looked = ", ".join(folder or "the working directory" for folder in search[:-1])
    error = unknown_name("gin file", file, here)
    return UserError(f"{error} (looked in {looked} and among the packaged files)")


def _explained(error: Exception, names: Sequence[str]) -> UserError:
    """One short message for what gin raises, with the nearest valid name."""
    text = " ".join(str(error).split())
    place = re.search(r"In file \"(.*?)\", line (\d+)", text) or re.search(
        r"[Ii]n \"?(\S+\.gin)\"?[^0-9]* line (\d+)", text
    )
    where = f" ({place.group(1)}, line {place.group(2)})" if place else ""
    unknown = re.search(r"No configurable matching (?:reference )?'?@?([\w./]+)", text)
    if unknown:
        return UserError(f"{unknown_name('configurable', unknown.group(1), names)}{where}")
    parameter = re.search(
        r"Configurable '?([\w./]+)'? doesn't have a parameter named '(\w+)'", text
    )
    if parameter:
        return UserError(
            f"{parameter.group(1)} has no parameter {parameter.group(2)!r}{where}; "
            f"{_parameters(parameter.group(1))}"
        )
    required = re.search(
        r"Required bindings for `([\w./]+)` not provided in config: (\[.*?\])", text
    )
    if required:
        return UserError(
            f"{required.group(1)} needs {required.group(2)}; give it in a gin file or with "
            f"--gin.{required.group(1)}.NAME=VALUE"
        )
    missing = re.search(
        r"([\w.]+)\(\) missing \d+ required [\w-]+ arguments?: (.*?)(?: No values| In call|$)", text
    )
    if missing:
        return UserError(f"{missing.group(1)} needs {missing.group(2)}; bind it in a gin file")
    return UserError(f"{text}{where if where and where not in text else ''}")


def _parameters(selector: str) -> str:
    import inspect

    wrapper = gin_config._REGISTRY.get_match(selector).wrapped
    return f"it has {', '.join(inspect.signature(wrapper).parameters)}"
