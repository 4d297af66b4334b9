"""SeqIO tasks of closed-book question answering, and of pretraining for it.

After `import closedbook.tasks` SeqIO knows them all: at once where SeqIO is loaded, else the
moment it is. Importing this package needs no TensorFlow itself.
"""

if __name__ == "tasks":
    raise ImportError("import closedbook.tasks, not tasks: the folder is linked into the package")

import contextlib
import importlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from closedbook.on_import import around_import, on_demand

if TYPE_CHECKING:
    from closedbook.tasks.mixtures import mixture
    from closedbook.tasks.own_files import qa_from_files
    from closedbook.tasks.own_texts import language_model_from_files
    from closedbook.tasks.spans import sentence_files
    from closedbook.tasks.spans.own_sentences import span_corruption_from_files, ssm_from_files


@contextlib.contextmanager
def _register_after() -> Iterator[None]:
    yield
    importlib.import_module("closedbook.tasks.registry")  # registers all tasks when it is imported


if sys.modules.get("seqio") is None:
    around_import("seqio", _register_after)
else:
    with _register_after():
        pass


def __getattr__(name: str) -> Any:
    # The packaged models lie in this package, and who asks one needs nothing of all this.
    return on_demand(
        __name__,
        name,
        {
            "language_model_from_files": "own_texts",
            "mixture": "mixtures",
            "qa_from_files": "own_files",
            "sentence_files": "spans",
            "span_corruption_from_files": "spans.own_sentences",
            "ssm_from_files": "spans.own_sentences",
        },
    )


__all__ = [
    "language_model_from_files",
    "mixture",
    "qa_from_files",
    "sentence_files",
    "span_corruption_from_files",
    "ssm_from_files",
]
