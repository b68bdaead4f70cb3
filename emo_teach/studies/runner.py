"""Runs the jobs of a study in parallel; each finished job is kept at once, so that a study can be killed and go on."""

import contextlib
import csv
import io
import math
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from ..files import alone, writable, write_whole


@dataclass(frozen=True)
class Stage:
    """A part of a study that must be whole before the next begins; `name` is also that of its CSV file.

    `jobs(rows)` lists the jobs, dicts of plain values, given the rows of all earlier stages by name; `run(job, work)`
    does one in a process of its own with one thread and returns its rows, dicts with the keys `columns`. The columns
    `key` identify a job in the table. `work` is a folder for files that later stages need. A stage without columns has
    no table; its jobs must return at once if their output exists.
    """

    name: str
    key: tuple
    values: tuple
    jobs: Callable
    run: Callable

    @property
    def columns(self):
        """Names of the table's columns."""
        return (*self.key, *self.values)


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
    """The whole lines of a table as a list of dicts, numbers as floats; a last line that was cut off is left out."""
    text = Path(path).read_text(encoding="utf-8")
    head, *lines = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
    for number, line in enumerate(lines, start=2):
        if len(line) != len(head):
            raise ValueError(f"{Path(path).name}, line {number}: {len(line)} columns, expected {len(head)}")
    return [dict(zip(head, map(_number, line), strict=True)) for line in lines]


class _Table:
    """The CSV file of a stage, written anew for each finished job; the old file stays until the new one is whole.

    A file from an earlier version may lack columns: they are added behind its own, NaN where nothing was computed.
    """

    def __init__(self, path, stage):
        self.path, self.stage, self.columns = Path(path), stage, list(stage.columns)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.write([])
        kept = self.path.read_text(encoding="utf-8").split("\n", 1)[0].split(",")
        unknown = [name for name in kept if name not in stage.columns]
        if unknown or not set(stage.key) <= set(kept):
            fault = f"columns that are not this study's: {', '.join(unknown or kept)}"
            raise ValueError(f"{self.path} has {fault}. Move it away to begin anew")
        self.columns = list(dict.fromkeys((*kept, *stage.columns)))

    def rows(self):
        """All rows, NaN where the file has no such column."""
        return [dict.fromkeys(self.columns, math.nan) | row for row in read(self.path)]

    def add(self, rows):
        """Write the rows of one more job. Raises ValueError for a key without a column, or a column without a value."""
        for row in rows:
            wrong = ", ".join(sorted(set(row) ^ set(self.stage.columns)))
            if wrong:
                raise ValueError(f"rows of {self.stage.name!r} and columns of its table differ in {wrong}")
        self.write(self.rows() + rows)

    def write(self, rows):
        """Make these the rows of the table."""
        cells = ([_plain(row[column]) for column in self.columns] for row in rows)
        write_whole(self.path, _csv([self.columns, *cells]))


def _key(stage, values):
    return tuple(_number(_plain(values[name])) for name in stage.key)


def unfinished(stage, jobs, rows):
    """The jobs that are not done, and the rows without those of such jobs; a job has `job["rows"]` rows (default 1)."""
    count = Counter(_key(stage, row) for row in rows)
    missing = [job for job in jobs if count[_key(stage, job)] != job.get("rows", 1)]
    again = {_key(stage, job) for job in missing}
    return missing, [row for row in rows if _key(stage, row) not in again]


def run(stages, folder, work, workers=None, out=sys.stderr):
    """Do all jobs that are not done, stage by stage, and write their rows as they come.

    Returns the rows of all tables by name. Raises ValueError for a table of another study, when another process works
    in one of the folders, and what a job raises.
    """
    workers = workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    for place in (folder, work):
        writable(place)
        Path(place).mkdir(parents=True, exist_ok=True)
    with alone(folder, work):  # both would write the tables and the models that they share
        return _run(stages, folder, work, workers, out)


def _run(stages, folder, work, workers, out):
    found = {}
    for stage in stages:
        table = _Table(Path(folder) / f"{stage.name}.csv", stage) if stage.columns else None
        rows = table.rows() if table else []
        jobs, kept = unfinished(stage, stage.jobs(found), rows)
        if len(kept) < len(rows):  # a job has too few or too many rows: it is done again
            table.write(kept)
        if jobs:
            _run_stage(stage, jobs, table, work, min(workers, len(jobs)), out)
        found[stage.name] = table.rows() if table else []
    return found


def _run_stage(stage, jobs, table, work, workers, out):
    begun = time.monotonic()

    def report(text, end):
        print(f"\r{stage.name}: {text}", end=end, file=out, flush=True)

    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
        with _one_thread():
            futures = [pool.submit(stage.run, job, work) for job in jobs]
        try:
            for count, future in enumerate(as_completed(futures), start=1):
                rows = future.result()
                if table:
                    table.add(rows)
                left = (time.monotonic() - begun) / count * (len(jobs) - count)
                report(f"{count}/{len(jobs)} jobs, about {left / 60:.1f} min left  ", end="")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report(f"{len(jobs)} jobs in {(time.monotonic() - begun) / 60:.1f} min" + " " * 20, end="\n")


def _end_with_parent():
    """End this process when its parent dies: it would wait for its next job for ever."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback: the parent says that it was interrupted

    def watch():
        connection.wait([parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _one_thread():
    """Let processes that start inside use one thread each: more would compete for the cores."""
    old = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS") if old is None else os.environ.update(OMP_NUM_THREADS=old)
