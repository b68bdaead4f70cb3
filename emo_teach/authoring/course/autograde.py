"""One submission through nbgrader: mended, run, graded, written up. Runs in a process of its own, started by `worker`.

Everything of nbgrader's that this touches (its gradebook, a copy of the course's; its folders) lies in the submission's scratch folder.
"""

import json
import re
import sys
import time
from pathlib import Path

from ...files import write_whole
from . import release, repair

STUDENT = "student"  # nbgrader matches names by glob and regular expression: a real one could hold anything
SHARE = 4  # a cell may take this part of the submission's time
MOST_OUTPUT, MOST_PICTURES = 200_000, 5_000_000  # characters of text, and of pictures, that are kept of a cell's output
NO_MEMORY = ("can't allocate memory", "Cannot allocate memory", "failed to map segment")


def grade_one(job):
    """Grade one submission; returns its result, a dictionary of plain values, with the feedback as a file `feedback.html` in the scratch folder.

    Units: `timeout` in seconds. Raises repair.Refused for what is no notebook of this set, ValueError where nbgrader
    fails.
    """
    root, name = Path(job["root"]), job["set"]
    given = json.loads(Path(job["release"]).read_text(encoding="utf-8"))
    notebook, notes = repair.mend(repair.parse(Path(job["notebook"]).read_bytes()), given)
    place = root / "submitted" / STUDENT / name
    place.mkdir(parents=True)
    (place / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    run = _run_class()
    run.ends, run.share = time.monotonic() + job["timeout"], job["timeout"] / SHARE
    config, course = _config(root, name, run)
    from nbgrader.converters import Autograde, GenerateFeedback

    release.run_converter(Autograde(coursedir=course, config=config))
    result = _grades(course, name, job) if run.status != "setup failed" else {"problems": []}
    release.run_converter(GenerateFeedback(coursedir=course, config=config))
    (root / "feedback" / STUDENT / name / f"{name}.html").rename(root / "feedback.html")
    return result | {"status": run.status or "graded", "note": "; ".join(notes + run.notes)}


def _config(root, name, run):
    """nbgrader's settings: what Autograde does to a submission, in order."""
    from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
    from nbgrader import preprocessors as steps
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root, config.CourseDirectory.assignment_id, config.CourseDirectory.student_id = (
        str(root),
        name,
        STUDENT,
    )
    config.Autograde.sanitize_preprocessors = [steps.OverwriteKernelspec, steps.OverwriteCells, steps.CheckCellMetadata]
    config.Autograde.autograde_preprocessors = [
        run,
        steps.IgnorePattern,
        steps.LimitOutput,
        steps.SaveAutoGrades,
        steps.CheckCellMetadata,
    ]
    # nbgrader takes anything on stderr, a warning of numpy's too, for a failed test
    config.IgnorePattern.enabled, config.IgnorePattern.pattern = True, ".*"
    config.GenerateFeedback.preprocessors = [steps.GetGrades, _hide_class(), CSSHTMLHeaderPreprocessor]
    return config, CourseDirectory(config=config)


def _run_class():
    """nbgrader's Execute with one purse of time for all cells, a limit to output, and an end that loses nothing when the kernel dies."""
    from nbclient.exceptions import DeadKernelError
    from nbgrader.preprocessors import Execute

    class Run(Execute):
        status, notes, at, written, answered = "", [], 0, 0, False

        def preprocess(self, nb, resources):
            self.skip_cells_with_tag, self.timeout_func = "", lambda cell: max(1, min(self.share, self.left()))
            try:
                return super().preprocess(nb, resources)
            except DeadKernelError:
                self.stop("kernel died", f"the kernel died in cell {self.at + 1}: nothing after it was run")
                for cell in nb.cells[self.at :]:
                    self.fail(cell)
                return nb, resources

        def left(self):
            return type(self).ends - time.monotonic()

        def stop(self, status, note):
            type(self).status = type(self).status or status
            if note not in self.notes:
                self.notes.append(note)

        def fail(self, cell):
            if cell.cell_type == "code":
                from nbformat.v4 import new_output

                cell.outputs = [
                    new_output("error", ename="NotRun", evalue=self.status, traceback=[f"NotRun: {self.status}"])
                ]

        def preprocess_cell(self, cell, resources, index):
            self.at, self.written = index, 0
            if self.left() <= 0:
                self.stop("time limit", "the time for the whole notebook was used up")
                self.fail(cell)
                return cell, resources
            cell, resources = super().preprocess_cell(cell, resources, index)
            flags = cell.metadata.get("nbgrader", {})
            self.answered = self.answered or bool(flags.get("solution"))
            for output in cell.get("outputs", ()):
                self.look(output, index)
                if (
                    output.output_type == "error"
                    and flags.get("locked")
                    and not flags.get("grade")
                    and not self.answered
                ):
                    self.stop(
                        "setup failed",
                        f"cell {index + 1}, which was handed out, raised {output.ename}: {output.evalue[:200]}",
                    )
            if flags.get("grade") and not flags.get("solution"):  # nbgrader takes the value of an expression for points
                cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
            return cell, resources

        def look(self, output, index):
            """Say which limit a cell ran into."""
            if output.output_type == "error":
                if output.ename == "CellTimeoutError":
                    self.stop("time limit", f"cell {index + 1} was stopped: it took too long")
                if output.ename.endswith("MemoryError") or any(words in output.evalue for words in NO_MEMORY):
                    self.stop("memory limit", f"cell {index + 1} asked for more memory than there is")

        def process_message(self, msg, cell, cell_index):
            if msg["msg_type"] in ("stream", "display_data", "execute_result"):
                self.written += len(str(msg["content"]))
                most = MOST_PICTURES if "image/png" in msg["content"].get("data", {}) else MOST_OUTPUT
                if self.written > most:
                    note = f"cell {cell_index + 1} wrote more than {most} characters: the rest was left out"
                    if note not in self.notes:
                        self.notes.append(note)
                    return None
            return super().process_message(msg, cell, cell_index)

    return Run


def _hide_class():
    """Feedback goes to students: hidden tests are taken out, and of an error in a test cell what is not the test's own code is left."""
    from nbgrader.preprocessors import ClearHiddenTests

    class Hide(ClearHiddenTests):
        def preprocess_cell(self, cell, resources, index):
            flags = cell.metadata.get("nbgrader", {})
            if not flags.get("grade") or flags.get("solution"):
                return cell, resources  # a student's own text may say what it likes, the markers of hidden tests too
            for output in cell.get("outputs", ()):
                if output.output_type == "error":
                    output.traceback = trimmed(output.traceback, cell.execution_count)
            return super().preprocess_cell(cell, resources, index)

    return Hide


def trimmed(traceback, count):
    """A traceback without the frames of the cell that was run as number `count`."""
    return [frame for frame in traceback if f"Cell In[{count}]" not in re.sub(r"\x1b\[[0-9;]*m", "", frame)]


def _grades(course, name, job):
    """The scores in the gradebook, problem by problem, with those given by hand put in."""
    from nbgrader.api import Gradebook

    problems = []
    with Gradebook(course.db_url) as book:
        grades = {grade.name: grade for grade in book.find_submission_notebook(name, name, STUDENT).grades}
        for identity, about in job["problems"].items():
            grade = grades[identity]
            if (
                about["manual"] and about["problem"] in job["manual"]
            ):  # also where nbgrader gave 0 for a cell that was left as handed out
                points, comment = job["manual"][about["problem"]]
                grade.manual_score, grade.needs_manual_grade = points, False
                book.find_comment(identity, name, name, STUDENT).manual_comment = comment
            book.db.commit()
            score = grade.auto_score if grade.manual_score is None else grade.manual_score
            problems.append({"problem": about["problem"], "score": score, "max": about["points"]})
    return {"problems": problems}


def main(path):
    """Grade the job in a JSON file and leave `result.json` beside it.

    Raises what nbgrader raises beside ValueError.
    """
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        result = grade_one(job)
    except repair.Refused as err:
        result = {"status": err.status, "note": err.note, "problems": []}
    except (ValueError, MemoryError) as err:
        result = {"status": "failed", "note": f"{type(err).__name__}: {str(err)[:300]}", "problems": []}
    write_whole(Path(job["root"]) / "result.json", json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
