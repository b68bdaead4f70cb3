"""Build the lessons: `sources/lessons/NAME.py`, the source of truth, becomes `notebooks/NAME.ipynb`, executed.

Cell ids follow from the cells' text. Widget views and states are left out, because a reader without a kernel would see
an error in their place. Each notebook is written in one step, so that an interrupted build leaves the old one whole.
The README's table and picture and the Colab badges are made here too: `[tool.emo_teach]` in pyproject.toml says where
the lessons are published.
"""

import hashlib
import io
import re
import time
import tomllib
from pathlib import Path

from ..files import need, writable, write_whole

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ROOT / "notebooks"
TEXTS = Path(__file__).parent / "sources"  # lessons, solutions, assignments; an installed package is without them
SOURCES = TEXTS / "lessons"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
}
# The same lines open every lesson, folded; `slug` and `ref` come from pyproject.toml.
BOOTSTRAP = """\
# @title Setup: does nothing where emo_teach and its solver are installed
import importlib.util, os, pathlib, subprocess, sys
HOME = "{home}"  # where the lessons are published
def missing(name):  # a mere folder of that name has no origin
    return getattr(importlib.util.find_spec(name), "origin", None) is None
wanted = ["POT"] if missing("ot") else []
if missing("emo_teach"):  # it may lie around or beside this notebook, cloned or unzipped
    here = pathlib.Path.cwd()
    nearby = [here, *here.parents, *sorted(here.glob("*")), *sorted(here.glob("*/*"))]
    found = [str(folder) for folder in nearby if os.path.isfile(folder / "emo_teach" / "__init__.py")]
    if found:
        sys.path.insert(0, found[0])
        os.environ["PYTHONPATH"] = os.pathsep.join([found[0], *filter(None, [os.environ.get("PYTHONPATH")])])
        sys.modules.pop("emo_teach", None)
        print("emo_teach is used from", found[0])
    elif HOME:
        wanted.insert(0, HOME)
    else:
        raise ModuleNotFoundError("emo_teach is not installed and not near this notebook: run the first command of the \
README and reopen this lesson, or put the project's folder (cloned or unzipped) beside it and run this cell again")
if wanted:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", *wanted], check=True)"""
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # JupyterLab's word for it, and Colab's
SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")  # no slash: Colab could not tell such a branch from the path
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
TABLE = re.compile(r"(?<=<!-- table of lessons -->\n).*?(?=<!-- end of table -->)", re.DOTALL)


def need_clone():
    """ValueError where the package is installed without the repository around it."""
    if not SOURCES.is_dir():
        raise ValueError(f"this command needs a clone of the repository: there are no lesson sources in {SOURCES}")


def sources():
    """Paths of all lesson sources, in order; ValueError without a clone of the repository."""
    need_clone()
    return sorted(SOURCES.glob("*.py"))


def address():
    """Slug ("owner/name", empty while the lessons are not published) and ref that pyproject.toml gives."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["emo_teach"]
    return settings["slug"], settings["ref"]


def bootstrap_cell(published=None):
    """The text of the bootstrap cell for (slug, ref), by default those of pyproject.toml."""
    slug, ref = published or address()
    return BOOTSTRAP.format(home=f"git+https://github.com/{slug}@{ref}" if slug else "")


def badge(name, slug, ref):
    """The badge of one lesson in Markdown; "" while there is no slug."""
    link = f"https://colab.research.google.com/github/{slug}/blob/{ref}/notebooks/{name}.ipynb"
    return f"[![Open in Colab]({BADGE})]({link})" if slug else ""


def read_source(path, published=None):
    """The lesson's text as an unexecuted notebook with deterministic cell ids.

    `published` is (slug, ref), by default those of pyproject.toml. The ids are those of the text without a badge, so
    that they stay when the address changes.
    """
    import jupytext

    notebook, seen, published = jupytext.read(path, fmt="py:percent"), {}, published or address()
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        if "bootstrap" in cell.metadata.get("tags", ()):
            cell.source = bootstrap_cell(published)
            cell.metadata |= FOLDED
    if Path(path).parent == SOURCES and (mark := badge(Path(path).stem, *published)):
        title, end, rest = notebook.cells[0].source.partition("\n")
        notebook.cells[0].source = f"{title}\n\n{mark}{end}{rest}"
    notebook.metadata = METADATA
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def title(first_cell):
    """The Markdown of a lesson's title, without the sign of a heading."""
    return first_cell.source.partition("\n")[0].removeprefix("# ")


def readme(published):
    """README.md with its table of lessons made anew from the titles.

    The last column is `meets` in the metadata of a lesson's first cell, which no built lesson shows; `question` there
    stands in for the title. Raises ValueError where the README has no place for the table or a lesson has no `meets`.
    """
    import jupytext

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if len(TABLE.findall(text)) != 1:
        raise ValueError("README.md must have one table between <!-- table of lessons --> and <!-- end of table -->")
    rows = ["| lesson | question | you meet |", "| --- | --- | --- |"]
    for path in sources():
        first_cell, mark = path.read_text(encoding="utf-8").partition("\n# %%")[0], badge(path.stem, *published)
        first = jupytext.reads(first_cell, fmt="py:percent").cells[0]
        if "meets" not in first.metadata:
            raise ValueError(f'{path.name}: its first line must say what a reader meets: # %% [markdown] meets="..."')
        link = f"[{path.stem.partition('_')[0]}](notebooks/{path.stem}.ipynb)" + (f" {mark}" if mark else "")
        question = first.metadata.get("question", title(first).partition(" · ")[2])
        rows.append(f"| {link} | {question} | {first.metadata['meets']} |".replace("|  |", "| |"))
    return TABLE.sub(lambda _: "\n".join(rows) + "\n", text)


def execute(notebook, timeout=300):
    """Run all cells in a fresh kernel, each for at most `timeout` seconds; returns the notebook.

    Raises nbclient's CellExecutionError for a cell that fails, CellTimeoutError for one that takes too long.
    """
    from nbclient import NotebookClient

    place = {"metadata": {"path": str(LESSONS)}}
    return NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources=place).execute()


def strip(notebook):
    """Leave out what needs a kernel and join the pieces of a stream, which is cut by chance. Returns the notebook."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        kept = []
        for output in (one for one in cell.get("outputs", ()) if WIDGET_VIEW not in one.get("data", {})):
            if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
                kept[-1].text += output.text
            else:
                kept.append(output)
        if cell.cell_type == "code":
            cell.outputs = kept
    return notebook


def build(path):
    """Build one lesson; returns the seconds that its execution took. After an error the old notebook is left."""
    import nbformat

    begun = time.perf_counter()
    notebook = strip(execute(read_source(path)))
    seconds = time.perf_counter() - begun
    nbformat.validate(notebook)
    write_whole(LESSONS / f"{path.stem}.ipynb", nbformat.writes(notebook) + "\n")
    return seconds


def main(names):
    """Build the named lessons (all when none is named), print what each took, renew the README's table and picture."""
    known = {path.stem: path for path in sources()}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no lesson named {', '.join(unknown)}; there are {', '.join(known)}")
    need("jupytext", "nbclient", "nbformat")
    writable(LESSONS)
    for name in names or known:
        print(f"{name}: {build(known[name]):.1f} s", flush=True)
    _write({ROOT / "README.md": readme(address())})
    write_whole(TEXTS / "cost_matrix.png", picture())
    return 0


def picture():
    """The README's picture as bytes of PNG: the cost-matrix explorer before anyone moves a slider."""
    from ..explorers import lesson05_cost_matrix as explorer

    stream, data = io.BytesIO(), explorer.compute(**{control.name: control.value for control in explorer.CONTROLS})
    explorer.draw(data).figure.savefig(stream, dpi=120)
    return stream.getvalue()


def _write(texts):
    """Write each text (by path) that differs from its file; returns the paths written."""
    changed = [path for path, text in texts.items() if path.read_bytes() != text.encode()]
    for path in changed:
        write_whole(path, texts[path])
    return changed


def publish(slug, ref):
    """Write the address into pyproject.toml, lessons and README (an empty slug takes it out); returns what changed.

    No cell is executed. All texts are made before the first is written. Raises ValueError for an address that GitHub
    would not accept, and for a lesson or file that is not as expected.
    """
    if not isinstance(slug, str) or (slug and not SLUG.fullmatch(slug)):
        raise ValueError(f'repo = {slug!r} must be "owner/name" as in an address of GitHub (or "" for not published)')
    if slug.endswith((".git", "/.", "/..")):
        raise ValueError(f"repo = {slug!r} must end in the repository's name, without .git")
    if not isinstance(ref, str) or not REF.fullmatch(ref) or ".." in ref or ref.endswith((".", ".lock")):
        raise ValueError(f"ref = {ref!r} must name a branch, tag or commit, without a slash")
    need_clone()
    import nbformat

    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for key, value in (("slug", slug), ("ref", ref)):  # and its comments stay
        line = rf'(?m)(^\[tool\.emo_teach\]\n(?:(?!\[).*\n)*?{key} = )"[^"\n]*"'
        settings, count = re.subn(line, rf'\g<1>"{value}"', settings)
        if count != 1:
            raise ValueError(f'pyproject.toml must have one line {key} = "..." under [tool.emo_teach], it has {count}')
    texts = {ROOT / "README.md": readme((slug, ref)), ROOT / "pyproject.toml": settings}
    for path in sources():
        place = LESSONS / f"{path.stem}.ipynb"
        notebook, fresh = nbformat.read(place, as_version=4), read_source(path, (slug, ref)).cells
        for number, cell in enumerate(notebook.cells):
            if number == 0 or "bootstrap" in cell.metadata.get("tags", ()):
                if number >= len(fresh) or cell.id != fresh[number].id:
                    raise ValueError(f"{place.name} is older than its source: python -m emo_teach build {path.stem}")
                cell.source = fresh[number].source
        texts[place] = nbformat.writes(notebook) + "\n"
    return _write(texts)


def badges(repo, ref):
    """Publish the lessons at an address and print the files that changed; returns 0."""
    for path in publish(repo, ref):
        print(path.relative_to(ROOT))
    print(f"published at github.com/{repo}, {ref}" if repo else "no address: no badges")
    return 0
