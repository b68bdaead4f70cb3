"""Runs the jobs of a study in parallel and keeps a line of its table for each that is finished, so that it can be killed and go on."""

import contextlib
import csv
import io
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from ..files import write_whole


@dataclass(frozen=True)
class Stage:
    """A part of a study that must be whole before the next begins.

    `jobs(rows)` lists the jobs, dicts of plain values, given the rows of all earlier stages by table; `run(job, work)` does one, in a process of its
    own with one thread, and returns its rows, dicts with the keys `columns`; `key` are the columns that tell which jobs are done. `work` is a folder
    for files that later stages need. `table` is the name of the CSV file; the rows of a stage without columns are kept nowhere, and its jobs tell for
    themselves whether they are done.
    """

    name: str
    table: str
    columns: tuple
    key: tuple
    jobs: Callable
    run: Callable


def _plain(value):
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _csv(lines):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def read(path):
    """The whole lines of a table, numbers as floats; a last line that was cut off is left out.

    Returns a list of dicts. Raises OSError where the file cannot be read, ValueError for a line with too few or too
    many columns.
    """
    text = Path(path).read_text(encoding="utf-8")
    text = text[: text.rfind("\n") + 1]
    lines = list(csv.reader(io.StringIO(text)))
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(lines[0]):
            raise ValueError(f"{Path(path).name}, line {number}: {len(line)} columns, expected {len(lines[0])}")
    return [dict(zip(lines[0], map(_number, line), strict=True)) for line in lines[1:]]


class _Table:
    """A CSV file that grows by whole lines."""

    def __init__(self, path, columns):
        self.path, self.columns = Path(path), columns
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            text = self.path.read_bytes()
            head = text.split(b"\n", 1)[0].decode()
            if head != ",".join(columns):
                raise ValueError(f"{self.path} has other columns than this study: {head!r}. Move it away to begin anew")
            if not text.endswith(b"\n"):  # killed while a line was written
                with self.path.open("r+b") as file:
                    file.truncate(text.rfind(b"\n") + 1)
        else:
            self._append([columns])

    def _append(self, lines):
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(_csv(lines))
            file.flush()
            os.fsync(file.fileno())

    def add(self, rows):
        self._append(self._plain(rows))

    def _plain(self, rows):
        return [[_plain(row[column]) for column in self.columns] for row in rows]

    def replace(self, rows):
        """Keep these rows alone; the old file stays until the new one is whole."""
        write_whole(self.path, _csv([self.columns, *self._plain(rows)]))


def _key(stage, values):
    return tuple(_number(_plain(values[name])) for name in stage.key)


def _sorted_out(stage, jobs, rows):
    """Jobs that are not done, and the rows of those that are: `job["rows"]` says how many rows a job has (1 unless said)."""
    count = Counter(_key(stage, row) for row in rows)
    missing = [job for job in jobs if count[_key(stage, job)] != job.get("rows", 1)]
    again = {_key(stage, job) for job in missing}
    return missing, [row for row in rows if _key(stage, row) not in again]


def run(stages, folder, work, workers=None, only=None, out=sys.stderr):
    """Do all jobs that are not done, stage by stage, and write their rows as they come.

    Raises ValueError where a table has other columns, and what a job raises.
    """
    workers = workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    Path(work).mkdir(parents=True, exist_ok=True)
    found = {}
    for stage in stages:
        table = _Table(Path(folder) / f"{stage.table}.csv", stage.columns) if stage.columns else None
        rows = read(table.path) if table else []
        jobs, kept = _sorted_out(stage, [job for job in stage.jobs(found) if only is None or only(job)], rows)
        if len(kept) < len(rows):  # killed between two rows of one job
            table.replace(kept)
        _run_stage(stage, jobs, table, work, workers, out)
        if table:
            found[stage.table] = read(table.path)
    return found


def _run_stage(stage, jobs, table, work, workers, out):
    begun = time.monotonic()
    if not jobs:
        return
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        with _one_thread():
            futures = [pool.submit(stage.run, job, work) for job in jobs]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                rows = future.result()
                if table:
                    table.add(rows)
                left = (time.monotonic() - begun) / count * (len(jobs) - count)
                print(
                    f"\r{stage.name}: {count}/{len(jobs)} jobs, about {left / 60:.1f} min left  ",
                    end="",
                    file=out,
                    flush=True,
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    print(
        f"\r{stage.name}: {len(jobs)} jobs in {(time.monotonic() - begun) / 60:.1f} min" + " " * 20,
        file=out,
        flush=True,
    )


def _end_with_parent():
    """A process whose parent is killed would wait for ever for its next job."""

    def watch():
        connection.wait([parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _one_thread():
    """Processes that start in here read one thread each from the environment: more would fight over the cores."""
    old = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS") if old is None else os.environ.update(OMP_NUM_THREADS=old)
