"""Opening store files: one schema, append-only, one writer, every failure a `StoreError`."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from codesign.errors import StoreError

if TYPE_CHECKING:
    from typing_extensions import Self

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x56544143  # "VTAC"
_TABLES = ("unit", "run", "evaluation", "result")

_SCHEMA = """
CREATE TABLE unit (
  key TEXT PRIMARY KEY, workload TEXT NOT NULL, config TEXT NOT NULL, config_name TEXT NOT NULL,
  schedule TEXT, simulator TEXT NOT NULL, cycles INTEGER, counters TEXT,
  infeasible TEXT, message TEXT,
  CHECK ((cycles IS NULL) <> (infeasible IS NULL))
);
CREATE TABLE run (key TEXT PRIMARY KEY, problem TEXT NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE evaluation (
  run TEXT NOT NULL, position INTEGER NOT NULL, network TEXT NOT NULL, config TEXT NOT NULL,
  level TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, position)
);
CREATE TABLE result (run TEXT PRIMARY KEY, body TEXT NOT NULL);
"""

_held: set[tuple[int, int]] = set()


class Database:
    """An open store file; `TraceStore` and `RunStore` are views on one.

    A writer holds an advisory lock on the file until `close`, so that a second writer gets a
    `StoreError` at once; readers are not blocked. Rows can be added, never changed or removed
    (triggers refuse). A transaction that fails leaves the file as it was.
    """

    def __init__(self, path: str | Path, readonly: bool = False) -> None:
        self.path = Path(path)
        self.readonly = readonly
        self._lock: int | None = None
        self._inode: tuple[int, int] | None = None
        if readonly and not self.path.is_file():
            raise StoreError(f"store {self.path} does not exist; give the path of a store file")
        if self.path.is_dir():
            raise StoreError(f"store {self.path} is a directory; give the path of a file")
        if not self.path.parent.is_dir():
            raise StoreError(
                f"store {self.path}: folder {self.path.parent} does not exist; make it"
            )
        if not readonly:
            self._acquire()
        try:
            with self.errors("open"):
                # A reader that may write rolls back what a killed writer left half done.
                mode = ("rw" if os.access(path, os.W_OK) else "ro") if readonly else "rwc"
                uri = f"{self.path.absolute().as_uri()}?mode={mode}"
                self.connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0)
                self.connection.execute(f"PRAGMA query_only={int(readonly)}")
                self._check_or_create()
        except BaseException:
            self.close()
            raise

    def _acquire(self) -> None:
        if self.path.exists():
            stat = self.path.stat()
            if (stat.st_dev, stat.st_ino) in _held:
                raise self._locked()
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"cannot write store {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise self._locked() from error
        stat = os.fstat(handle)
        self._lock, self._inode = handle, (stat.st_dev, stat.st_ino)
        _held.add(self._inode)

    def _locked(self) -> StoreError:
        return StoreError(
            f"store {self.path} is locked by another writer; wait for it to end, stop it, or use "
            f"another store file"
        )

    def _check_or_create(self) -> None:
        (application,) = self.connection.execute("PRAGMA application_id").fetchone()
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        (objects,) = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not objects and not application and not self.readonly:
            self._create()
            return
        if application != _APPLICATION_ID:
            raise StoreError(
                f"{self.path} is a database, but not a codesign store (application id "
                f"{application:#x}, expected {_APPLICATION_ID:#x}); give another path"
            )
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"store {self.path} has schema version {version}, this codesign reads "
                f"{SCHEMA_VERSION}; use the version that wrote it, or a new file"
            )

    def _create(self) -> None:
        triggers = "".join(
            f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;\n"
            for table in _TABLES
            for verb in ("update", "delete")
        )
        self.connection.executescript(
            f"BEGIN IMMEDIATE;{_SCHEMA}{triggers}PRAGMA application_id={_APPLICATION_ID};"
            f"PRAGMA user_version={SCHEMA_VERSION};COMMIT;"
        )

    @contextmanager
    def errors(self, what: str) -> Generator[None]:
        """Turn SQLite's errors into a `StoreError` that names the file and the fix."""
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            if "locked" in text or "busy" in text:
                raise self._locked() from error
            if "full" in text or "disk I/O" in text:
                fix = "free some disk space and run the same command again; what was stored is kept"
            elif "not a database" in text or "malformed" in text:
                fix = "the file is corrupt or not a codesign store; restore it or use a new file"
            elif "readonly" in text or "unable to open" in text:
                fix = "check the path and its permissions"
            else:
                fix = "use a new store file if this stays"
            raise StoreError(f"cannot {what} store {self.path}: {text}; {fix}") from error

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """All or nothing: commit at the end of the block, roll back on any exception."""
        if self.readonly:
            raise StoreError(f"store {self.path} was opened for reading; open it for writing")
        with self.errors("write"):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file and give the writer's lock back; closing twice is fine."""
        connection = getattr(self, "connection", None)
        if connection is not None:
            connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._inode is not None:
            _held.discard(self._inode)
            self._inode = None


class DatabaseView(AbstractContextManager["DatabaseView"]):
    """Some tables of a `Database`, opened and closed with it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: str | Path, readonly: bool = False) -> Self:
        """Made where it is missing; StoreError for a foreign, corrupt or locked file."""
        return cls(Database(path, readonly))

    def __enter__(self) -> Self:
        return self

    @property
    def path(self) -> Path:
        return self._database.path

    def close(self) -> None:
        self._database.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
