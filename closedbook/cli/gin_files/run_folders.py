"""MODEL_DIR where none is given: a folder that tells runs apart."""

import ast
import contextlib
import pathlib
import re
from collections.abc import Sequence

_TASK = "MIXTURE_OR_TASK_NAME"


def default(files: Sequence[str], bindings: Sequence[str]) -> str:
    """The folder below `runs/` that is named after what a command asks for.

    Its name is that of the gin files, without those that only say how runs go (`runs/`), after the
    task if the command line names one.

    Args:
        files: Gin files, as they were given.
        bindings: Of the command line, NAME=VALUE.

    >>> default(["nq_tiny.gin"], ["TRAIN_STEPS=10"])
    'runs/nq_tiny'
    >>> default(["models/tiny.gin", "runs/finetune.gin"], ["MIXTURE_OR_TASK_NAME='my_quiz'"])
    'runs/my_quiz-tiny'
    >>> default(["t5x/examples/t5/t5_1_1/small.gin", "t5x/configs/runs/finetune.gin"], [])
    'runs/t5_1_1_small'
    >>> default(["nq_11b.gin", "protocols/nq_test.gin"], [])
    'runs/nq_11b-nq_test'
    """
    paths = [pathlib.PurePath(file) for file in files]
    telling = [path for path in paths if path.parent.name != "runs"] or paths
    tasks = [_text(value) for name, _, value in map(_split, bindings) if name == _TASK]
    names = [*filter(None, tasks[-1:]), *map(_name, telling)]
    return "runs/" + re.sub(r"[^\w.-]+", "_", "-".join(dict.fromkeys(names)))


def _split(binding: str) -> tuple[str, str, str]:
    name, sign, value = binding.partition("=")
    return name.strip(), sign, value.strip()


def _text(value: str) -> str:
    """A binding's text, or "" for what is none."""
    with contextlib.suppress(ValueError, SyntaxError):
        found = ast.literal_eval(value)
        return found if isinstance(found, str) else ""
    return ""


def _name(path: pathlib.PurePath) -> str:
    """A file's name; files of T5X's are called alike in several folders."""
    return f"{path.parent.name}_{path.stem}" if path.parts[0] == "t5x" else path.stem
