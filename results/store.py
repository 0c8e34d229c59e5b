"""The index over all runs: a SQLite file that can be rebuilt from the run documents at any time.

One row a result, in the shape of `results.records.Row`: the columns one filters by, and the whole row as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Float, Integer, String, Text, create_engine, delete, event, select
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from results.errors import ResultsError
from results.judge.summary import rows as summarize
from results.records import Row, RunDocument


class Base(DeclarativeBase):
    """Base of the tables."""


class RunEntry(Base):
    """One run."""

    __tablename__ = "runs"
    run: Mapped[str] = mapped_column(String(64), primary_key=True)
    started_at: Mapped[str] = mapped_column(String(40), index=True)
    finished: Mapped[bool]
    profile: Mapped[str] = mapped_column(String(64))


class ResultEntry(Base):
    """One result row of a run."""

    __tablename__ = "results"
    run: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    case_id: Mapped[str] = mapped_column(String(16), index=True)
    device: Mapped[str] = mapped_column(Text, index=True)
    model: Mapped[str] = mapped_column(Text, index=True)
    backend: Mapped[str] = mapped_column(Text)
    precision: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(String(16))
    median_ms: Mapped[float | None] = mapped_column(Float)
    row: Mapped[str] = mapped_column(Text)


# Raised with every change of the tables; an index of another version is dropped and made again.
INDEX_VERSION = 3


class Store:
    """The index in one SQLite file, made when it is not there. Two processes may use it at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _use_wal)
        with self._errors(), self._engine.begin() as connection:
            _create_tables(connection)

    def add(self, document: RunDocument) -> None:
        """Put a run into the index, in place of what was there of it. Raises ResultsError."""
        with self._errors(), Session(self._engine) as session, session.begin():
            _replace(session, document)

    def rebuild(self, documents: Iterable[RunDocument]) -> int:
        """Empty the index and fill it again, all in one transaction. Returns the number of runs."""
        count = 0
        with self._errors(), Session(self._engine) as session, session.begin():
            session.execute(delete(ResultEntry))
            session.execute(delete(RunEntry))
            for document in documents:
                _replace(session, document)
                count += 1
        return count

    def runs(self) -> list[str]:
        """Return the runs' names, the oldest first."""
        with self._errors(), Session(self._engine) as session:
            return list(session.scalars(select(RunEntry.run).order_by(RunEntry.started_at, RunEntry.run)))

    def finished_runs(self) -> set[str]:
        """Return the names of the runs that are in the index as finished."""
        with self._errors(), Session(self._engine) as session:
            return set(session.scalars(select(RunEntry.run).where(RunEntry.finished)))

    def rows(self, *, run: str | None = None, device: str | None = None, model: str | None = None) -> list[Row]:
        """Return result rows, the oldest run first, each run in its own order; `device` and `model` may hold `*`."""
        query = select(ResultEntry.row).join(RunEntry, RunEntry.run == ResultEntry.run)
        if run is not None:
            query = query.where(ResultEntry.run == run)
        if device is not None:
            query = query.where(ResultEntry.device.op("GLOB")(device))
        if model is not None:
            query = query.where(ResultEntry.model.op("GLOB")(model))
        query = query.order_by(RunEntry.started_at, RunEntry.run, ResultEntry.position)
        with self._errors(), Session(self._engine) as session:
            return [Row.model_validate_json(row) for row in session.scalars(query)]

    def latest(self, *, device: str | None = None, model: str | None = None) -> list[Row]:
        """Return for every case its newest row, in the order of the runs."""
        newest: dict[tuple[str, str, str], Row] = {}
        for row in self.rows(device=device, model=model):
            key = (row.case_id, row.model, row.backend)
            newest.pop(key, None)
            newest[key] = row
        return list(newest.values())

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as exc:
            said = str(getattr(exc, "orig", None) or exc).splitlines()[0]
            remedy = "It holds nothing of its own: delete it, then type: bench results reindex"
            if "full" in said or "I/O" in said or "readonly" in said:
                remedy = "Make room there, or choose a place that can be written with BENCH_HOME"
            raise ResultsError(f"the index {self._path} cannot be used: {said}. {remedy}") from exc


def _use_wal(connection: object, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]


def _create_tables(connection: Connection) -> None:
    version = connection.exec_driver_sql("PRAGMA user_version").scalar()
    if version not in (0, INDEX_VERSION):
        Base.metadata.drop_all(connection)
    Base.metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {INDEX_VERSION}")


def _replace(session: Session, document: RunDocument) -> None:
    header = document.header
    session.execute(delete(ResultEntry).where(ResultEntry.run == header.run_id))
    session.execute(delete(RunEntry).where(RunEntry.run == header.run_id))
    session.add(
        RunEntry(
            run=header.run_id,
            started_at=header.started_at,
            finished=document.finished_at is not None,
            profile=header.profile.name,
        )
    )
    session.add_all(_entries(summarize(document)))
    session.flush()


def _entries(rows: Sequence[Row]) -> Iterator[ResultEntry]:
    for position, row in enumerate(rows):
        yield ResultEntry(
            run=row.run,
            position=position,
            case_id=row.case_id,
            device=row.device,
            model=row.model,
            backend=row.backend,
            precision=row.precision,
            verdict=row.verdict.value,
            median_ms=row.median_ms,
            row=row.model_dump_json(),
        )
