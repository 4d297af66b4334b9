"""One writer per folder: a lock by what every store can do, which no dead process keeps.

    with locked(model_dir, "MODEL_DIR") as lock:
        ...
        lock.confirm()  # before something is written that must not meet another's

The lock is a small file `<name>-<number>.json` in the folder: host, process, when it began, a token
of its own, and a heartbeat that a thread writes anew every 20 s. It lapses when its process is
gone, which only a process on the same machine can know, or 3 minutes after its last heartbeat.
Who takes over a lapsed lock makes the file of the next number. Stores need to make a file only if
there is none, to list, read, rewrite and remove: so that of several that want it, one gets it.
The clocks of machines that share a folder must agree to about a minute.
"""

import contextlib
import dataclasses
import datetime
import json
import logging
import os
import random
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from closedbook import this_machine
from closedbook.errors import UserError
from closedbook.lock_stores import Store, store_of

HEARTBEAT = 20.0  # seconds between two
LAPSE = 180.0  # seconds after the last one
_LENGTH = 1024  # bytes of a lock's file, which is rewritten where it is: it needs no room
_AT_MOST_EVERY = 1.0  # seconds between two rewrites: a bucket takes no more of one object
_ATTEMPTS = 8

_log = logging.getLogger(__name__)
_held: set["Lock"] = set()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Holder:
    """Who holds a lock."""

    token: str
    host: str
    machine: str  # where its process id counts
    process: int
    process_start: str
    since: float  # seconds since 1970, as the next
    heartbeat: float

    @classmethod
    def here(cls) -> "_Holder":
        now, process = time.time(), os.getpid()
        return cls(
            token=secrets.token_hex(8),
            host=socket.gethostname(),
            machine=this_machine.machine(),
            process=process,
            process_start=this_machine.start_of(process),
            since=now,
            heartbeat=now,
        )

    @classmethod
    def of(cls, text: str) -> "_Holder | None":
        """What a file says; None if it is no whole one."""
        try:
            found = json.loads(text)
            return cls(
                since=datetime.datetime.fromisoformat(found.pop("since")).timestamp(),
                heartbeat=datetime.datetime.fromisoformat(found.pop("heartbeat")).timestamp(),
                **found,
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def text(self) -> str:
        """The content of its file."""
        fields = dataclasses.asdict(self)
        for name in ("since", "heartbeat"):
            fields[name] = _utc(fields[name]).isoformat()
        return json.dumps(fields, indent=1).ljust(_LENGTH - 1) + "\n"

    @property
    def is_here(self) -> bool:
        return self.machine == this_machine.machine()

    def has_lapsed(self) -> bool:
        if self.is_here:
            return not this_machine.runs(self.process, self.process_start)
        return time.time() - self.heartbeat > LAPSE

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} since {_shown(self.since)}"


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _shown(seconds: float) -> str:
    return f"{_utc(seconds):%Y-%m-%d %H:%M:%S} UTC"


class Lock:
    """A lock that this process holds; `locked` makes it.

    Args:
        store: Of its file.
        name: Of its file, before the number.
        what: The folder, for people, for example "MODEL_DIR runs/nq".
        heartbeat: Seconds between two.

    Raises:
        UserError: Somebody else holds it.
    """

    def __init__(self, store: Store, name: str, what: str, *, heartbeat: float = HEARTBEAT) -> None:
        self._store, self._name, self._what = store, name, what
        self._numbered = re.compile(rf"{re.escape(name)}-(\d+)\.json")
        self._period = heartbeat
        self._writing = threading.Lock()
        self._lost = ""
        self._me = _Holder.here()
        began = time.monotonic()
        self._file = self._take()
        self._confirmed, self._written = began, time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._thread.start()
        _held.add(self)

    def check(self) -> None:
        """Costs nothing: looks whether the last heartbeat found the lock as it was.

        Raises:
            UserError: Another one has the folder now.
        """
        if self._lost:
            raise UserError(self._lost)

    def confirm(self) -> None:
        """Reads and rewrites the lock now.

        Raises:
            UserError: As `check`.
        """
        self._renew()
        self.check()

    def keep_folder(self) -> None:
        """Leaves the folder there at the end, even an empty one: threads may look into it."""
        self._store.keep()

    def release(self) -> None:
        """Gives it back; without effect where it is lost or given back already."""
        self._ended.set()
        if self in _held:
            _held.discard(self)
            with self._writing, contextlib.suppress(OSError):
                if not self._lost and self._mine():
                    self._store.remove(self._file)

    def _take(self) -> str:
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0.02, 0.2))
            found = self._others()
            self._refuse_if_held(found)
            file = f"{self._name}-{max(found, default=0) + 1}.json"
            if not self._store.create(file, self._me.text()):
                continue  # another one was faster
            if any(not _lapsed(each) for each in self._others(but=file).values()):
                # It came to the folder by another number, while this one looked: both step back.
                self._store.remove(file)
                continue
            for number in found:
                self._store.remove(f"{self._name}-{number}.json")
            if found:
                _log.warning(
                    "%s was left by %s, which does not write there any more: taken over",
                    self._what,
                    found[max(found)] or "a process that was killed while it began",
                )
            return file
        self._refuse_if_held(self._others())
        raise UserError(f"{self._what} is wanted by several processes at once; try again")

    def _others(self, *, but: str = "") -> dict[int, _Holder | None]:
        """Who stands in the lock's files, by number; None for what cannot be read."""
        found: dict[int, _Holder | None] = {}
        for name in self._store.names():
            numbered = self._numbered.fullmatch(name)
            if numbered is None or name == but:
                continue
            for _ in range(4):  # one that is being written is whole in a moment
                text = self._store.read(name)
                if text is None:
                    break
                found[int(numbered[1])] = holder = _Holder.of(text)
                if holder is not None:
                    break
                time.sleep(0.05)
        return found

    def _refuse_if_held(self, found: dict[int, _Holder | None]) -> None:
        for number, holder in sorted(found.items(), reverse=True):
            if holder is None or holder.has_lapsed():
                continue
            sign = max(round(time.time() - holder.heartbeat), 0)
            if holder.is_here:
                remedy = f"wait for it, or stop it (kill {holder.process})"
            else:
                file = self._store.where(f"{self._name}-{number}.json")
                remedy = (
                    "wait for it, or stop it; if it is dead, its claim ends at "
                    f"{_shown(holder.heartbeat + LAPSE)}, or at once when {file} is removed"
                )
            raise UserError(
                f"{self._what} is in use by {holder} (last sign of life {sign} s ago); {remedy}, "
                "or give another folder"
            )

    def _mine(self) -> bool:
        text = self._store.read(self._file)
        holder = _Holder.of(text) if text is not None else None
        return holder is not None and holder.token == self._me.token

    def _beat(self) -> None:
        while not self._ended.wait(self._period) and not self._lost:
            self._renew()

    def _renew(self) -> None:
        with self._writing:
            if self._lost or self._ended.is_set():
                return
            began = time.monotonic()  # others count from what is written, however long that takes
            try:
                if not self._mine():
                    self._lose("its lock is gone")
                    return
                if time.monotonic() - self._written > _AT_MOST_EVERY:
                    now = dataclasses.replace(self._me, heartbeat=time.time())
                    self._store.rewrite(self._file, now.text())
                    self._written = time.monotonic()
                self._confirmed = began
            except FileNotFoundError:
                self._lose("its lock is gone")
            except OSError as error:  # a network that does not answer may come back
                if time.monotonic() - self._confirmed > LAPSE:
                    self._lose(f"its lock could not be renewed ({error})")

    def _lose(self, why: str) -> None:
        with contextlib.suppress(OSError):
            other = next((each for each in self._others().values() if not _lapsed(each)), None)
            why = f"{other} has taken it over" if other else why
        self._lost = (
            f"{self._what} is not this run's any more: {why}; nothing more is written. Look for "
            "the other run, then give the same command again to go on from the last checkpoint"
        )


def _lapsed(holder: _Holder | None) -> bool:
    return holder is None or holder.has_lapsed()


@contextlib.contextmanager
def locked(
    folder: str | os.PathLike[str],
    what: str,
    *,
    name: str = "lock",
    beside: bool = False,
    heartbeat: float = HEARTBEAT,
) -> Iterator[Lock]:
    """Holds the lock of a folder while the `with` lasts.

    Args:
        folder: On a disk, made if missing, or in a bucket (gs://).
        what: Its name for people, for example "MODEL_DIR".
        name: Of the lock's file, where a folder has several locks.
        beside: Whether the file lies beside the folder, under a hidden name.
        heartbeat: Seconds between two.

    Raises:
        UserError: Somebody else holds it: says who, since when, and what to do.
    """
    if beside:
        head, last = os.path.split(os.path.abspath(folder))
        folder_of_lock, name = head, f".{last}.{name}"
    else:
        folder_of_lock = os.fspath(folder)
    lock = Lock(store_of(folder_of_lock), name, f"{what} {folder}", heartbeat=heartbeat)
    try:
        yield lock
    finally:
        lock.release()


def release_all() -> None:
    """Gives back all locks of this process, which is about to end without unwinding."""
    for lock in list(_held):
        lock.release()


class NoLock:
    """What a process has that leaves the lock to the first one of its run."""

    def check(self) -> None:
        """Does nothing."""

    def confirm(self) -> None:
        """Does nothing."""

    def keep_folder(self) -> None:
        """Does nothing."""
