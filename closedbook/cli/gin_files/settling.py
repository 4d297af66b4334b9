"""What is decided once all files and bindings are read: steps, macros, scopes."""

import difflib
import logging
import re
from collections.abc import Sequence

import gin
from gin import config as gin_config

from closedbook.cli.gin_files.reading import Reader
from closedbook.cli.gin_files.without_effect import MACROS
from closedbook.errors import unknown_name

_log = logging.getLogger(__name__)
_TOTAL, _RELATIVE = "TRAIN_STEPS", "TRAIN_STEPS_RELATIVE"
_INITIAL = "INITIAL_CHECKPOINT_PATH"


def settle(mode: str, reader: Reader, bindings: Sequence[str]) -> None:
    """Settles what files and bindings leave open; the reader is told of mistakes.

    Args:
        mode: "train", "eval" or "infer".
        reader: What has been read.
        bindings: Those of the command line.
    """
    _steps(reader, {_target(binding) for binding in bindings})
    _macros(mode, reader, bindings)
    _scopes(reader, bindings)


def _target(binding: str) -> str:
    return binding.partition("=")[0].strip()


def _steps(reader: Reader, bound: set[str]) -> None:
    """Decides which of TRAIN_STEPS and TRAIN_STEPS_RELATIVE counts where both have a value.

    The relative number, as in T5X, unless it is a file's and the user gives TRAIN_STEPS over it.
    Where only the relative number is given, the other one needs no value.
    """
    total, relative = (
        gin_config._CONFIG.get((name, "gin.macro"), {}).get("value") for name in (_TOTAL, _RELATIVE)
    )
    if not relative:
        return
    if total is None:
        gin.parse_config(f"{_TOTAL} = None")
        return
    own = reader.own_macros
    if _RELATIVE not in bound and (_TOTAL in bound or (_TOTAL in own and _RELATIVE not in own)):
        gin.parse_config(f"{_RELATIVE} = None")
    elif _TOTAL in bound | own:
        reader.without_effect.setdefault(_TOTAL, f"{_RELATIVE} = {relative} counts, as in T5X")


def _macros(mode: str, reader: Reader, bindings: Sequence[str]) -> None:
    given = {scope for scope, selector in gin_config._CONFIG if selector == "gin.macro"}
    references = gin_config.iterate_references(
        gin_config._CONFIG, to=gin.get_configurable(gin_config.macro)
    )
    used = {reference.scopes[-1] for reference in references}
    reader.mistakes += [
        f"macro {name} is used but has no value; give one with --gin.{name}=VALUE"
        for name in sorted(used - given)
    ]
    for binding in bindings:
        name = _target(binding)
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or name in used:
            continue
        if name == _INITIAL and mode == "train":
            # T5X says nothing of it; but nobody who names a checkpoint wants random parameters.
            reader.without_effect[name] = "none of the files starts from it"
            _log.warning(
                "%s is given, and none of the files starts from it: parameters are random at the "
                "start; runs/finetune.gin with a model's file starts from it",
                _INITIAL,
            )
        elif name in MACROS | reader.referred_macros:
            reader.without_effect.setdefault(name, "no binding that counts refers to it")
        else:
            reader.mistakes.append(str(unknown_name("macro", name, used)))
    for name in sorted(reader.own_macros - used - reader.referred_macros):
        if near := difflib.get_close_matches(name, used - reader.own_macros, n=1, cutoff=0.8):
            reader.without_effect[name] = f"nothing that is read uses it; is it to be {near[0]}?"


def _scopes(reader: Reader, bindings: Sequence[str]) -> None:
    """Refuses a binding without a scope where scoped ones of its parameter win over it."""
    for binding in bindings:
        target = _target(binding)
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
            reader.mistakes.append(
                f"binding {target} would change nothing, as it is bound for each use; bind {forms}"
            )
