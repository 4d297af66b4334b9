"""Gin files and bindings to a run's arguments, with one clear message for all mistakes."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import gin
from gin import config as gin_config

from closedbook.cli.gin_files import messages, numbers, parts, run_folders, settling, upstream
from closedbook.cli.gin_files.constructors import MODES, TASK_MAKERS, register
from closedbook.cli.gin_files.packaged import PACKAGED, described_files, packaged_files
from closedbook.cli.gin_files.reading import Reader
from closedbook.errors import UserError
from closedbook.training.settings import DatasetConfig

__all__ = [
    "PACKAGED",
    "config_text",
    "described_files",
    "packaged_files",
    "resolve",
    "start",
    "task_modules",
]

_CHECKPOINT = "CHECKPOINT_PATH"
# Of the data, for evaluation and inference: those of a run's config.gin where that is read too.
_DATA = """
    MIXTURE_OR_TASK_MODULE = None
    DATA_DIR = None
    USE_CACHED_TASKS = False
    TASK_FEATURE_LENGTHS = None
"""
# What a mode has where no file says otherwise. T5X's model files ask for a rate of dropout, which
# evaluation and inference do not use.
_DEFAULTS = {
    "train": """
        train_script.train.trainer = @trainer.Trainer()
        train_script.train.inference_evaluator = @seqio.Evaluator()
        train_script.train.partitioner = @partitioning.PjitPartitioner()
    """,
    "eval": f"""
        {_DATA}
        DROPOUT_RATE = 0.0
        eval_script.evaluate.inference_evaluator = @seqio.Evaluator()
        eval_script.evaluate.partitioner = @partitioning.PjitPartitioner()
    """,
    "infer": f"""
        {_DATA}
        DROPOUT_RATE = 0.0
        infer_script.infer.inference_evaluator = @seqio.Evaluator()
        infer_script.infer.partitioner = @partitioning.PjitPartitioner()
    """,
}
_DEFAULTS["precompile"] = _DEFAULTS["train"]
_RUNS = {
    "train": "runs/finetune.gin, t5x/configs/runs/finetune.gin",
    "precompile": "t5x/configs/runs/precompile.gin",
    "eval": "runs/eval.gin, t5x/configs/runs/eval.gin",
    "infer": "runs/infer.gin, t5x/configs/runs/infer.gin",
}
# Objects that T5X needs too: None would be the default here and nothing there.
_DEFAULT_NAMES = {
    "trainer": "@trainer.Trainer()",
    "partitioner": "@partitioning.PjitPartitioner()",
    "inference_evaluator": "@seqio.Evaluator()",
}
_READERS: list[Reader] = []  # that of the configuration that gin holds


def resolve(
    mode: str,
    files: Sequence[str],
    bindings: Sequence[str],
    search_paths: Sequence[str] = (),
    *,
    imports_allowed: bool = True,
) -> dict[str, Any]:
    """The arguments of a mode's function, after all files and bindings.

    Args:
        mode: "train", "eval", "infer" or "precompile"; the last takes the files of "train" as
            well, and gives the arguments of its function then.
        files: Gin files; each is looked up in the working directory, in `search_paths`, then
            among the packaged ones.
        bindings: Like "TRAIN_STEPS = 100"; they win over the files.
        search_paths: Folders to look in.
        imports_allowed: Whether files and bindings may name modules that are imported, which runs
            their code.

    Raises:
        UserError: A file is missing, or bindings are malformed, misspelt or absent; it tells all
            of them.
    """
    gin.clear_config()
    reader = Reader(register(), search_paths, imports_allowed=imports_allowed)
    _READERS[:] = [reader]
    gin.parse_config([line.strip() for line in _DEFAULTS[mode].splitlines()])
    if mode in ("train", "precompile") and files:
        gin.parse_config(f"MODEL_DIR = {run_folders.default(files, bindings)!r}")
    for file in files:
        reader.file(file)
    for binding in bindings:
        reader.binding(binding)
    reader.finish()
    if mode == "precompile" and not gin.get_bindings(MODES[mode], resolve_references=False):
        mode = "train"
    if not reader.mistakes:
        settling.settle(mode, reader, bindings)
    if _CHECKPOINT in reader.without_effect and mode in ("eval", "infer"):
        reader.mistakes.append(
            f"{_CHECKPOINT} is given, but the last file that says which checkpoint is read does "
            f"not use it; name the file for {mode} after the run's: "
            f"--gin_file=runs/X/config.gin --gin_file=runs/{mode}.gin"
        )
    if reader.mistakes:
        # What is read stays as it is, so that wrong values are told beside wrong names.
        bound = gin.get_bindings(MODES[mode], resolve_references=False)
        found = parts.mistakes(bound).items()
        wrong = [message for message, error in found if isinstance(error, UserError)]
        raise messages.together(list(dict.fromkeys([*reader.mistakes, *wrong])))
    arguments = _arguments(mode)
    if not imports_allowed:
        _refuse_task_modules(arguments)
    return arguments


def task_modules(arguments: Mapping[str, Any]) -> list[str]:
    """Modules of tasks that a run imports before its data is looked up: by gin's `import`, and
    by MIXTURE_OR_TASK_MODULE.

    Args:
        arguments: Of a mode's function, as `resolve` gives them.
    """
    configs = (each for each in arguments.values() if isinstance(each, DatasetConfig))
    bound = [config.module for config in configs if config.module]
    return list(dict.fromkeys([*bound, *(name for each in _READERS for name in each.modules)]))


def _refuse_task_modules(arguments: Mapping[str, Any]) -> None:
    """Refuses modules that are not closedbook's, which `Reader` has done for `import`."""
    foreign = [each for each in task_modules(arguments) if each.partition(".")[0] != "closedbook"]
    if foreign:
        told = (upstream.refused_import(f"MIXTURE_OR_TASK_MODULE = {each!r}") for each in foreign)
        raise messages.together(list(told))


def start() -> None:
    """What is due before a run of the configuration begins, and not in a dry run.

    Raises:
        UserError: A module that a file imports cannot be imported.
    """
    for reader in _READERS:
        reader.import_modules()


def log_without_effect() -> None:
    """Lists once what the files and bindings say without effect."""
    for reader in _READERS:
        reader.log_without_effect()


def config_text() -> str:
    """The whole configuration as a gin file, for `config.gin`.

    Modules of tasks need not be there, so gin, which would import them, is not told of them.
    """
    imports = sorted({line for reader in _READERS for line in reader.imports})
    return "\n".join([*imports, *([""] if imports else []), gin.config_str(max_line_length=100)])


def _arguments(mode: str) -> dict[str, Any]:
    """The arguments of a mode's function; each is made apart, so that all mistakes are told."""
    mistakes: list[str] = []
    try:
        for maker in TASK_MAKERS:
            gin.get_configurable(f"tasks.{maker}")()
    except parts.MISTAKES as error:
        mistakes += messages.explained(error)
    arguments: dict[str, Any] = {}
    bound = gin.get_bindings(MODES[mode], resolve_references=False)
    function = gin_config._REGISTRY.get_match(MODES[mode]).wrapped
    if missing := numbers.missing(function, bound):
        mistakes.append(
            f"{MODES[mode]} has no {', '.join(missing)}; name a run file "
            f"({_RUNS[mode]}) and a model file too"
        )
    for name, value in bound.items():
        try:
            arguments[name] = copy.deepcopy(value)  # which calls what it refers to
        except parts.MISTAKES:
            # One faulty part hides those beside it, so that each is made for itself.
            mistakes += parts.mistakes({name: value})
        if value is None and name in _DEFAULT_NAMES:
            mistakes.append(
                f"{MODES[mode]}.{name} is None; leave the binding out, or bind "
                f"{_DEFAULT_NAMES[name]}"
            )
    try:
        arguments = numbers.checked(function, arguments, MODES[mode])
    except UserError as error:
        mistakes += messages.explained(error)
    if mistakes:
        raise messages.together(list(dict.fromkeys(mistakes)))
    return arguments
