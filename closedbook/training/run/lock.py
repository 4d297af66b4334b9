"""The lock of a run's folder: in a run of several processes the first one holds it for all."""

import contextlib
import pathlib
from collections.abc import Iterator

from closedbook.errors import UserError
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
        UserError: Another run holds it; in all processes.
        OSError: The folder cannot be written, in the first one; a UserError in the others.
    """
    with contextlib.ExitStack() as stack:
        lock: AnyLock = NoLock()
        failure: UserError | OSError | None = None
        if is_first():
            try:
                lock = stack.enter_context(locked(folder, what, name=name))
            except (UserError, OSError) as error:
                failure = error
        refusal = text_of_first(str(failure) if failure else "")  # the others wait for it
        if failure is not None:
            raise failure
        if refusal:
            raise UserError(refusal)
        yield lock
