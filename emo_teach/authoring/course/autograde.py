"""Grade one submission with nbgrader: mend, run, grade, write feedback. `worker` starts this in a process of its own.

Everything of nbgrader's that this touches (its folders, and its gradebook, which is a copy of the course's) lies in the
submission's scratch folder.
"""

import json
import re
import sys
import time
from pathlib import Path

from ...files import write_whole
from . import release, submissions
from .limits import Limits

STUDENT = "student"  # nbgrader matches names by glob and regular expression: a real one could hold anything
NO_MEMORY = ("can't allocate memory", "Cannot allocate memory", "failed to map segment")


class Session:
    """One run of a notebook: its limits, the status of the first one that it hit, and notes on what happened."""

    def __init__(self, limits):
        self.limits, self.ends = limits, time.monotonic() + limits.timeout
        self.status, self.notes = "", []
        self.place, self.written, self.answered = 0, 0, False  # cell that runs, its output so far, answers seen

    def seconds(self, _cell):
        """Seconds that the next cell may take."""
        return max(1, min(self.limits.timeout * self.limits.cell_share, self.ends - time.monotonic()))

    def note(self, note, status=""):
        """Add a note once, and set the status, unless an earlier limit did."""
        self.status = self.status or status
        if note not in self.notes:
            self.notes.append(note)

    def fail(self, cell):
        """Give a cell that was not run an error, so that it earns no points."""
        from nbformat.v4 import new_output

        if cell.cell_type == "code":
            trace = [f"NotRun: {self.status}"]
            cell.outputs = [new_output("error", ename="NotRun", evalue=self.status, traceback=trace)]

    def wanted(self, message):
        """Whether an output that the kernel sends is kept: False beyond the limit of the cell."""
        if message["msg_type"] not in ("stream", "display_data", "execute_result"):
            return True
        self.written += len(str(message["content"]))
        picture = "image/png" in message["content"].get("data", {})
        most = self.limits.pictures if picture else self.limits.text
        if self.written > most:
            self.note(f"cell {self.place + 1} wrote more than {most} characters: the rest was left out")
        return self.written <= most

    def examine(self, cell):
        """Look at a cell that was run: which limit did it hit, and did a cell that was handed out fail?"""
        number, flags = self.place + 1, cell.metadata.get("nbgrader", {})
        self.answered = self.answered or bool(flags.get("solution"))
        handed_out = flags.get("locked") and not flags.get("grade") and not self.answered
        for output in (one for one in cell.get("outputs", ()) if one.output_type == "error"):
            if output.ename == "CellTimeoutError":
                self.note(f"cell {number} was stopped: it took too long", "time limit")
            if output.ename.endswith("MemoryError") or any(words in output.evalue for words in NO_MEMORY):
                self.note(f"cell {number} asked for more memory than there is", "memory limit")
            if handed_out:
                error = f"{output.ename}: {output.evalue[:200]}"
                self.note(f"cell {number}, which was handed out, raised {error}", "setup failed")
        if flags.get("grade") and not flags.get("solution"):  # nbgrader takes the value of an expression for points
            cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]


def _run_step(session):
    """nbgrader's step that executes a notebook, within the limits of a session."""
    from nbclient.exceptions import DeadKernelError
    from nbgrader.preprocessors import Execute

    class Run(Execute):
        def preprocess(self, nb, resources):
            self.skip_cells_with_tag, self.timeout_func = "", session.seconds
            try:
                return super().preprocess(nb, resources)
            except DeadKernelError:
                where = f"the kernel died in cell {session.place + 1}: nothing after it was run"
                session.note(where, "kernel died")
                for cell in nb.cells[session.place :]:
                    session.fail(cell)
                return nb, resources

        def preprocess_cell(self, cell, resources, index):
            session.place, session.written = index, 0
            if time.monotonic() >= session.ends:
                session.note("the time for the whole notebook was used up", "time limit")
                session.fail(cell)
                return cell, resources
            cell, resources = super().preprocess_cell(cell, resources, index)
            session.examine(cell)
            return cell, resources

        def process_message(self, msg, cell, cell_index):
            return super().process_message(msg, cell, cell_index) if session.wanted(msg) else None

    return Run


def _hide_step():
    """nbgrader's step that takes hidden tests out of feedback, and their lines out of the errors of test cells."""
    from nbgrader.preprocessors import ClearHiddenTests

    class Hide(ClearHiddenTests):
        def preprocess_cell(self, cell, resources, index):
            flags = cell.metadata.get("nbgrader", {})
            if not flags.get("grade") or flags.get("solution"):
                return cell, resources  # a student's own text may hold anything, the markers of hidden tests too
            for output in cell.get("outputs", ()):
                if output.output_type == "error":
                    output.traceback = trimmed(output.traceback, cell.execution_count)
            return super().preprocess_cell(cell, resources, index)

    return Hide


def trimmed(traceback, count):
    """A traceback without the frames of the cell that was run as number `count`."""
    return [frame for frame in traceback if f"Cell In[{count}]" not in re.sub(r"\x1b\[[0-9;]*m", "", frame)]


def _config(root, name, session):
    """nbgrader's settings: what it does to a submission, in order."""
    from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
    from nbgrader import preprocessors as steps
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root, config.CourseDirectory.assignment_id = str(root), name
    config.CourseDirectory.student_id = STUDENT
    config.Autograde.sanitize_preprocessors = [steps.OverwriteKernelspec, steps.OverwriteCells, steps.CheckCellMetadata]
    grading = [steps.IgnorePattern, steps.LimitOutput, steps.SaveAutoGrades, steps.CheckCellMetadata]
    config.Autograde.autograde_preprocessors = [_run_step(session), *grading]
    # nbgrader takes anything on stderr, a warning of numpy's too, for a failed test
    config.IgnorePattern.enabled, config.IgnorePattern.pattern = True, ".*"
    config.GenerateFeedback.preprocessors = [steps.GetGrades, _hide_step(), CSSHTMLHeaderPreprocessor]
    return config, CourseDirectory(config=config)


def grade_one(job):
    """Grade one submission; returns its result and leaves `feedback.html` in the scratch folder.

    Raises submissions.Refused for what is no notebook of this set, ValueError where nbgrader fails.
    """
    from nbgrader.converters import Autograde, GenerateFeedback

    root, name = Path(job["root"]), job["set"]
    given = json.loads(Path(job["release"]).read_text(encoding="utf-8"))
    notebook, notes = submissions.mend(submissions.parse(Path(job["notebook"]).read_bytes()), given)
    place = root / "submitted" / STUDENT / name
    place.mkdir(parents=True)
    (place / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    session = Session(Limits(**job["limits"]))
    config, course = _config(root, name, session)
    release.run_converter(Autograde(coursedir=course, config=config))
    problems = _grades(course, name, job) if session.status != "setup failed" else []
    release.run_converter(GenerateFeedback(coursedir=course, config=config))
    (root / "feedback" / STUDENT / name / f"{name}.html").rename(root / "feedback.html")
    return {"problems": problems, "status": session.status or "graded", "note": "; ".join(notes + session.notes)}


def _grades(course, name, job):
    """The scores in the gradebook, problem by problem, with those given by hand put in."""
    from nbgrader.api import Gradebook

    problems = []
    with Gradebook(course.db_url) as book:
        grades = {grade.name: grade for grade in book.find_submission_notebook(name, name, STUDENT).grades}
        for identity, about in job["problems"].items():
            grade = grades[identity]
            if about["manual"] and about["problem"] in job["manual"]:  # also where a proof left as handed out got 0
                points, comment = job["manual"][about["problem"]]
                grade.manual_score, grade.needs_manual_grade = points, False
                book.find_comment(identity, name, name, STUDENT).manual_comment = comment
            book.db.commit()
            score = grade.auto_score if grade.manual_score is None else grade.manual_score
            problems.append({"problem": about["problem"], "score": score, "max": about["points"]})
    return problems


def main(path):
    """Grade the job in a JSON file and leave `result.json` beside it; returns 0."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        result = grade_one(job)
    except submissions.Refused as err:
        result = {"status": err.status, "note": err.note, "problems": []}
    except (ValueError, MemoryError) as err:
        result = {"status": "failed", "note": f"{type(err).__name__}: {str(err)[:300]}", "problems": []}
    write_whole(Path(job["root"]) / "result.json", json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
