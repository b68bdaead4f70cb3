"""Build the lessons: `notebooks/src/NAME.py` (text, the source of truth) becomes `notebooks/NAME.ipynb`, executed, with its outputs.

Cell ids follow from the cells' text, widget views and states are left out (readers without a kernel would see an error in their place), and each
notebook is written in one step, so that an interrupted build leaves the old one whole.
"""

import hashlib
import time
import tomllib
from pathlib import Path

from ..files import write_whole

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ROOT / "notebooks"
SOURCES = LESSONS / "src"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
}
# The same few lines open every lesson; `slug` and `ref` come from pyproject.toml.
BOOTSTRAP = """\
# Nothing happens here where emo_teach is installed; elsewhere (Colab) this cell installs it and its solver.
import importlib.util, subprocess, sys
HOME = "{home}"
if importlib.util.find_spec("emo_teach") is None:
    if not HOME:
        raise ModuleNotFoundError("emo_teach is not installed: run the first command of the README, then reopen this lesson")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", HOME, "POT"], check=True)"""


def address():
    """Slug and ref under which pyproject.toml says that the lessons are published (an empty slug means: not published yet).

    Raises KeyError when pyproject.toml lacks slug or ref.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["emo_teach"]
    return settings["slug"], settings["ref"]


def bootstrap_cell(slug=None, ref=None):
    """The text of the bootstrap cell for a slug and ref, by default those of pyproject.toml."""
    if slug is None:
        slug, ref = address()
    return BOOTSTRAP.format(home=f"git+https://github.com/{slug}@{ref}" if slug else "")


def sources():
    """Paths of all lesson sources, in order."""
    return sorted(SOURCES.glob("*.py"))


def read_source(path):
    """The lesson's text as an unexecuted notebook with deterministic cell ids.

    Raises FileNotFoundError for a path without a file.
    """
    import jupytext

    from . import badges

    notebook = jupytext.read(path, fmt="py:percent")
    seen = {}
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        if "bootstrap" in cell.metadata.get("tags", ()):
            cell.source = bootstrap_cell()
    if Path(path).parent == SOURCES:  # ids are those of the text without a badge: they stay when the address changes
        notebook.cells[0].source = badges.with_badge(
            notebook.cells[0].source, badges.badge(Path(path).stem, *address())
        )
    notebook.metadata = METADATA
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(notebook, timeout=300):
    """Run all cells in a fresh kernel, in the notebooks' folder; an error in a cell is raised. Returns the notebook.

    Units: `timeout` in seconds, per cell. Raises nbclient's CellExecutionError for a cell that fails, CellTimeoutError
    for one that takes too long.
    """
    from nbclient import NotebookClient

    NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(LESSONS)}}
    ).execute()
    return notebook


def strip(notebook):
    """Leave out what cannot be shown without a kernel or would change from run to run. Returns the notebook."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined([o for o in cell.outputs if WIDGET_VIEW not in o.get("data", {})])
    return notebook


def _joined(outputs):
    """Neighbouring pieces of one stream as one output: how they were cut is chance."""
    kept = []
    for output in outputs:
        if (
            output.output_type == "stream"
            and kept
            and kept[-1].output_type == "stream"
            and kept[-1].name == output.name
        ):
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def build(path):
    """Build one lesson from its source; returns the seconds that its execution took.

    Raises as `read_source` and `execute`; the old notebook is then left.
    """
    import nbformat

    begun = time.perf_counter()
    notebook = strip(execute(read_source(path)))
    seconds = time.perf_counter() - begun
    nbformat.validate(notebook)
    write_whole(LESSONS / f"{path.stem}.ipynb", nbformat.writes(notebook) + "\n")
    return seconds


def main(names):
    """Build the named lessons (all when none is named) and print what each took; returns the exit status.

    Returns 0, or 2 for an unknown name.
    """
    known = {path.stem: path for path in sources()}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no lesson named {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    for name in names or known:
        print(f"{name}: {build(known[name]):.1f} s", flush=True)
    return 0
