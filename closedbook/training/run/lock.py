"""The lock of a run's folder: in a run of several processes the first one holds it for all."""

import contextlib
import pathlib
from collections.abc import Iterator

from closedbook.buckets import client, is_bucket
from closedbook.errors import UserError
from closedbook.file_faults import file_fault
from closedbook.folder_locks import Lock, NoLock, locked
from closedbook.parallel.processes import is_first, text_of_first

AnyLock = Lock | NoLock


@contextlib.contextmanager
def only_writer(folder: pathlib.Path, what: str, *, name: str = "lock") -> Iterator[AnyLock]:
    """Holds the lock of a folder while the `with` lasts; every process must come here.

    Args:
        folder: Of the run, or of its output.
        what: Its name for people, for example "MODEL_DIR".
        name: Of the lock's file.

    Raises:
        UserError: Another run holds it, or the folder cannot be written to; in all processes.
    """
    with contextlib.ExitStack() as stack:
        lock: AnyLock = NoLock()
        refusal = ""
        if is_first():
            try:
                lock = stack.enter_context(locked(folder, what, name=name))
            except UserError as error:
                refusal = str(error)
            except OSError as error:  # all processes are to hear of it, and none to wait
                fault = file_fault(error)
                refusal = f"{what} {folder} cannot be locked: {fault.message if fault else error}"
        if refusal := text_of_first(refusal):
            raise UserError(refusal)
        if is_bucket(folder):
            stack.enter_context(client.patiently())
        yield lock
