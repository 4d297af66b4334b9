"""SeqIO tasks of closed-book question answering, and of pretraining for it.

After `import closedbook.tasks` SeqIO knows them all: at once where SeqIO is loaded, else the
moment it is. Importing this package needs no TensorFlow itself.
"""

if __name__ == "tasks":
    raise ImportError("import closedbook.tasks, not tasks: the folder is linked into the package")

import importlib

from closedbook.tasks._on_seqio import when_seqio_is_imported
from closedbook.tasks.mixtures import mixture
from closedbook.tasks.own_files import qa_from_files
from closedbook.tasks.spans import sentence_files
from closedbook.tasks.spans.own_sentences import span_corruption_from_files, ssm_from_files


def _register() -> None:
    importlib.import_module("closedbook.tasks.registry")  # registers all tasks when it is imported


when_seqio_is_imported(_register)

__all__ = [
    "mixture",
    "qa_from_files",
    "sentence_files",
    "span_corruption_from_files",
    "ssm_from_files",
]
