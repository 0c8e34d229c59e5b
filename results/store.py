"""The index over all runs: a SQLite file that holds nothing of its own and is made anew from the run documents.

One row a result, in the shape of `results.records.Row`: the columns one chooses by, and the whole row as JSON. Nothing
that is read from it is trusted: it was made by other rules (`_version`), or it is damaged (a checksum for each run and
its rows), and in both cases it is emptied and filled again. The tables have no indexes beside them, because a damaged
one would answer differently from its table.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import reduce
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import SQLAlchemyError

from results.errors import ResultsError
from results.judge.joined import joined
from results.judge.summary import rows as summarize
from results.records import Row, RunDocument

_TABLES = sa.MetaData()
_VERSION = sa.Table("version", _TABLES, sa.Column("version", sa.String(64)))
# `number` counts the runs in the order of recording, `stamp` says which state of the run's files was read.
_RUNS = sa.Table(
    "runs",
    _TABLES,
    sa.Column("run", sa.String(64)),
    sa.Column("number", sa.Integer),
    sa.Column("stamp", sa.Text),
    sa.Column("checksum", sa.BigInteger),
)
_RESULTS = sa.Table(
    "results",
    _TABLES,
    sa.Column("run", sa.String(64)),
    sa.Column("position", sa.Integer),
    sa.Column("case_id", sa.String(16)),
    sa.Column("device", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("backend", sa.Text),
    sa.Column("asked", sa.Text),
    sa.Column("row", sa.Text),
)
_log = logging.getLogger(__name__)


class DamagedIndex(ResultsError):
    """The index holds other than what was put there. Opening it again makes it anew."""


class _StaleIndex(DamagedIndex):
    """The index was made by another bench."""


class Store:
    """The index in one file, made when it is not there and anew when it is damaged. Several processes may use it."""

    def __init__(self, path: Path, *, patience_s: float = 30) -> None:
        """`patience_s`: how long a locked index is waited for. Raises ResultsError."""
        self._path, self._patience_s = path, patience_s
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ResultsError(f"the index {path} cannot be made: {exc.strerror}") from exc
        if path.exists() and not path.is_file():
            raise ResultsError(f"the index {path} is no file: remove it")
        self._engine = sa.create_engine(
            URL.create("sqlite", database=str(path)), connect_args={"timeout": patience_s, "isolation_level": None}
        )
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin)
        self._healed(self._check)

    def add(self, document: RunDocument, stamp: str = "") -> None:
        """Put a run into the index, in place of what was there of it; a new one is the latest. Raises ResultsError."""
        self._healed(lambda: self._replace(document, stamp))

    def update(self, stamps: Mapping[str, str], read: Callable[[str], RunDocument | None]) -> None:
        """Make the index that of these runs: each with the stamp of its files, in the order of recording.

        Only runs whose stamp is another than that in the index are read; None means that one cannot be. Raises
        ResultsError.
        """
        self._healed(lambda: self._update(stamps, read))

    def runs(self) -> list[str]:
        """Return the runs' names, the earliest recorded first."""
        with self._transaction() as connection:
            return list(connection.scalars(sa.select(_RUNS.c.run).order_by(_RUNS.c.number)))

    def rows(self, *, run: str | None = None, device: str | None = None, model: str | None = None) -> list[Row]:
        """Return result rows, the earliest run first, each run in its own order; `device` and `model` may hold `*`."""
        with self._transaction() as connection:
            query = _chosen(sa.select(_RESULTS.c.row), device, model)
            if run is not None:
                query = query.where(_RESULTS.c.run == run)
            return [Row.model_validate_json(row) for row in connection.scalars(query)]

    def latest(self, *, device: str | None = None, model: str | None = None) -> list[Row]:
        """Return for every case the row of the run that was recorded last, in the order of the runs.

        Of a case whose latency and accuracy were measured in different runs, one row is made (`judge.joined`).
        """
        found: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        with self._transaction() as connection:
            columns = sa.select(
                _RESULTS.c.case_id, _RESULTS.c.model, _RESULTS.c.backend, _RESULTS.c.asked, _RESULTS.c.row
            )
            for *case, asked, row in connection.execute(_chosen(columns, device, model)):
                before = found.pop(tuple(case), [])  # so that it takes the place of the later run
                kept = [one for one in before if "accuracy" in one[0] or "latency" not in asked]
                found[tuple(case)] = [*kept, (asked, row)]
            return [joined([Row.model_validate_json(row) for _, row in kept]) for kept in found.values()]

    @staticmethod
    def remove(path: Path) -> None:
        """Remove the index that lies there, if one does. Raises ResultsError."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            try:
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            except OSError as exc:
                raise ResultsError(f"{exc.filename} cannot be removed: {exc.strerror}; remove it by hand") from exc

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def _healed(self, work: Callable[[], None]) -> None:
        """Do the work; on a stale or damaged index once more, after making it anew."""
        try:
            work()
        except DamagedIndex:
            with self._alone():
                self._engine.dispose()
                try:  # another process may have made it anew meanwhile
                    self._check()
                    work()
                except DamagedIndex as exc:
                    if not isinstance(exc, _StaleIndex):
                        _log.warning("%s: it is made anew from the runs' documents", exc)
                    self._engine.dispose()
                    self.remove(self._path)
                    self._check()
                    work()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold a lock that only one process has, which makes the index anew."""
        path = self._path.with_name(f"{self._path.name}.lock")
        try:
            lock = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError as exc:
            raise ResultsError(f"{path} cannot be opened to make the index anew: {exc.strerror}") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _check(self) -> None:
        """Make the tables where there are none. Raises DamagedIndex."""
        wanted = _version()
        with self._transaction() as connection:
            if not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar():
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # of two that found it empty one makes the tables
                _TABLES.create_all(connection)
                if not connection.scalar(sa.select(sa.func.count()).select_from(_VERSION)):
                    connection.execute(sa.insert(_VERSION).values(version=wanted))
            if list(connection.scalars(sa.select(_VERSION.c.version))) != [wanted]:
                raise _StaleIndex
            said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if said != "ok":
                raise DamagedIndex(f"the index {self._path} is damaged ({said})")
            self._check_sums(connection)

    def _check_sums(self, connection: Connection) -> None:
        sums: dict[object, int] = {}
        for row in connection.execute(sa.select(_RESULTS).order_by(_RESULTS.c.position)):
            sums[row.run] = _sum(row, sums.get(row.run, 0))
        for run, _, stamp, checksum in connection.execute(sa.select(_RUNS)):
            if _sum((run, stamp), sums.pop(run, 0)) != checksum:
                raise DamagedIndex(f"the index {self._path} is damaged (a run's rows are not what was written)")
        if sums:
            raise DamagedIndex(f"the index {self._path} is damaged (rows belong to no run)")

    def _replace(self, document: RunDocument, stamp: str) -> None:
        run = document.header.run_id
        entries = [
            (run, position, row.case_id, row.device, row.model, row.backend, _asked(row), row.model_dump_json())
            for position, row in enumerate(summarize(document))
        ]
        checksum = _sum((run, stamp), reduce(lambda before, entry: _sum(entry, before), entries, 0))
        with self._transaction() as connection:
            connection.execute(sa.delete(_RESULTS).where(_RESULTS.c.run == run))
            number = connection.scalar(sa.select(_RUNS.c.number).where(_RUNS.c.run == run))
            connection.execute(sa.delete(_RUNS).where(_RUNS.c.run == run))
            if number is None:
                number = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(_RUNS.c.number), 0) + 1))
            connection.execute(sa.insert(_RUNS).values(run=run, number=number, stamp=stamp, checksum=checksum))
            if entries:
                connection.exec_driver_sql("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)", entries)

    def _update(self, stamps: Mapping[str, str], read: Callable[[str], RunDocument | None]) -> None:
        with self._transaction() as connection:
            known = {run: (number, stamp) for run, number, stamp, _ in connection.execute(sa.select(_RUNS))}
        readable = []
        for run, stamp in stamps.items():
            if run not in known or known[run][1] != stamp:
                document = read(run)
                if document is None:
                    continue
                self._replace(document, stamp)
            readable.append(run)
        numbers = {run: number for number, run in enumerate(readable, 1)}
        if numbers != {run: number for run, (number, _) in known.items()}:
            with self._transaction() as connection:
                for run in known.keys() - numbers.keys():
                    connection.execute(sa.delete(_RESULTS).where(_RESULTS.c.run == run))
                    connection.execute(sa.delete(_RUNS).where(_RUNS.c.run == run))
                for run, number in numbers.items():
                    connection.execute(sa.update(_RUNS).where(_RUNS.c.run == run).values(number=number))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """One state of the index, and one change of it. Raises ResultsError, DamagedIndex for what no disk explains."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error, ValueError, OverflowError, MemoryError) as exc:
            raise self._explained(exc) from exc

    def _explained(self, exc: Exception) -> ResultsError:
        error = getattr(exc, "orig", None) or exc
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return ResultsError(
                f"the index {self._path} is locked by another process, for {self._patience_s:g} s already: "
                "wait until that ends, then type this again"
            )
        writable = os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK)
        if code in _DISK or (code == sqlite3.SQLITE_READONLY and not writable):
            return ResultsError(
                f"the index {self._path} cannot be used: {said}. Make room there, or choose a place that can be "
                "written with BENCH_HOME"
            )
        return DamagedIndex(f"the index {self._path} is damaged ({said})")


# What SQLite says of a disk that is full, broken or another's.
_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.create_function("is_like", 2, fnmatchcase, deterministic=True)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _version() -> str:
    """A hash of all that rows and tables are made by: the sources of this room, and NumPy's random numbers."""
    digest = hashlib.sha256(np.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _asked(row: Row) -> str:
    return " ".join(row.asked) or "latency"


def _sum(values: Iterable[object], before: int) -> int:
    return crc32(repr(tuple(values)).encode("utf-8", "surrogatepass"), before)


def _chosen(query: sa.Select[Any], device: str | None, model: str | None) -> sa.Select[Any]:
    """The query over results and their runs in the order of recording, for devices and models of these names."""
    query = query.select_from(_RESULTS.join(_RUNS, _RUNS.c.run == _RESULTS.c.run))
    for column, wanted in ((_RESULTS.c.device, device), (_RESULTS.c.model, model)):
        if wanted is not None:
            query = query.where(sa.func.is_like(column, wanted))
    return query.order_by(_RUNS.c.number, _RESULTS.c.position)
