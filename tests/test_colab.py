"""Lessons and a problem set under the versions that Colab has, in an environment that EMO_TEACH_COLAB_PYTHON names.

There is no checkout beside the kernel: what runs is what the bootstrap cell installs from a copy of the repository, as
a reader's Colab would from GitHub. Two things differ from Colab: the Python is this machine's, and torch is the build
without CUDA that the rest is tested with.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from emo_teach.authoring import build
from emo_teach.authoring.course import source
from tests.lessons import SOURCES, built, exempt, said, same_text, tags
from tests.test_setup import COLAB

pytestmark = pytest.mark.colab
PINS = COLAB | {"ipykernel": "6.17.1", "ipython": "7.34.0", "traitlets": "5.7.1"}
LESSONS = [name for name in SOURCES if name[:2] in ("00", "01", "02", "03", "04", "05", "06")]
PARTS = ("emo_teach", "data", "README.md", "LICENSE", "pyproject.toml")  # what an installation is made of
# Every kernel of Colab has this module. Nothing here may need it: what touches it fails.
STAND_IN = """\
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise RuntimeError(f"google.colab.{name} was used, which no other host has")
"""
INSTALLED = """\
import importlib.metadata as m, json
found = {d.name.lower(): [d.version, d.locate_file(d._path / "METADATA").stat().st_mtime_ns] for d in m.distributions()}
print(json.dumps(found))
"""
STUB = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?### END SOLUTION$", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS$", re.MULTILINE | re.DOTALL)


class Colab:
    """The environment: `installed()` says what is in it, `run(notebook)` executes one in an empty folder."""

    def __init__(self, python, place):
        self.python, self.place, self.home = python, place, place / "repository"
        self.home.mkdir()
        for name in PARTS:
            copy = shutil.copytree if (build.ROOT / name).is_dir() else shutil.copy
            copy(build.ROOT / name, self.home / name)
        self.bootstrap = build.BOOTSTRAP.format(home=self.home)

    def call(self, *arguments, cwd=None):
        """Run Python with arguments and return what it printed; a failure shows what it said."""
        place = cwd or self.place / "content"
        done = subprocess.run([self.python, *arguments], capture_output=True, text=True, cwd=place)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def installed(self):
        return json.loads(self.call("-c", INSTALLED))

    def run(self, notebook, allow_errors=False, bootstrap=None):
        """Execute a notebook, its bootstrap cell with this copy's address where no other is given."""
        for cell in notebook.cells:
            if "bootstrap" in tags(cell):
                cell.source = bootstrap or self.bootstrap
        resources = {"metadata": {"path": str(self.place / "content")}}
        options = {"timeout": 300, "kernel_name": "as-on-colab", "resources": resources, "allow_errors": allow_errors}
        return NotebookClient(notebook, **options).execute()


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """The environment without this package; its kernel is known to Jupyter as "as-on-colab"."""
    place, python = tmp_path_factory.mktemp("colab"), os.environ["EMO_TEACH_COLAB_PYTHON"]
    package, kernel = place / "stand-in" / "google" / "colab", place / "jupyter" / "kernels" / "as-on-colab"
    for folder in (package, kernel, place / "content"):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN, encoding="utf-8")
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    argv += ["--IPKernelApp.exec_lines=import google.colab"]
    spec = {"argv": argv, "display_name": "as on Colab", "language": "python"}
    spec["env"] = {"PYTHONPATH": str(package.parents[1])}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    here = Colab(python, place)
    here.call("-m", "pip", "uninstall", "-q", "-y", "emo_teach", "POT")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(place / "jupyter"))
        yield here


@pytest.fixture(scope="module")
def bootstrapped(colab):
    """The environment after a first cell ran in it once; what was there before and after, what its neighbour said."""
    before = colab.installed()
    check = "import sys, emo_teach, ot\nprint(emo_teach.__file__)\nprint('google.colab' in sys.modules)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (colab.bootstrap, check)])
    colab.run(notebook)
    colab.before, colab.after = before, colab.installed()
    colab.printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.outputs)
    return colab


def test_the_environment_has_colabs_versions(colab):
    found = colab.installed()
    assert {name: found[name][0] for name in PINS} == PINS
    assert "emo-teach" not in found and "emo_teach" not in found and "pot" not in found


def test_the_bootstrap_cell_adds_two_packages_and_touches_no_other(bootstrapped):
    before, after = bootstrapped.before, bootstrapped.after
    assert {name: after.get(name) for name in before} == before, "a version or a time of installation changed"
    assert {name.replace("_", "-") for name in set(after) - set(before)} == {"emo-teach", "pot"}


def test_what_it_installed_is_used_at_once(bootstrapped):
    path, stand_in = bootstrapped.printed.split()
    assert not (Path(path).parent / "authoring" / "sources").exists(), "the wheel leaves solutions out"
    assert "site-packages" in path and Path(bootstrapped.python).parents[1] in Path(path).parents
    assert stand_in == "True"


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_runs_and_says_the_same(name, bootstrapped):
    notebook = bootstrapped.run(build.read_source(SOURCES[name]))  # raises where a cell does
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        views = [output for output in cell.outputs if build.WIDGET_VIEW in output.get("data", {})]
        assert len(views) == (".explorer(" in cell.source), cell.source
        assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.outputs
    old = [cell for cell in built(name).cells if cell.cell_type == "code"]
    for cell, committed in zip(build.strip(notebook).cells and code, old, strict=True):
        if not exempt(cell) and "bootstrap" not in tags(cell):
            pairs = zip(map(said, cell.outputs), map(said, committed.outputs), strict=True)
            assert all(same_text(new, was) for new, was in pairs), cell.source


def errors(notebook):
    """(kind of cell, name of the error) of every error in an executed problem set."""
    found = []
    for cell in notebook.cells:
        kind = cell.metadata.get("nbgrader", {}).get("grade_id", "").rpartition("-")[2]
        found += [(kind, output.ename) for output in cell.get("outputs", ()) if output.output_type == "error"]
    return found


def test_a_problem_set_runs(bootstrapped):
    handed_out, solved = (source.read(source.sets()["ps1"]) for _ in range(2))
    for cell in handed_out.cells:  # without solutions and hidden tests
        stub = r"\1raise NotImplementedError" if cell.cell_type == "code" else ""
        cell.source = HIDDEN.sub("", STUB.sub(stub, cell.source))
    problems = sum("tests" in source.labels(cell) for cell in handed_out.cells)
    assert problems and "BEGIN" not in "".join(cell.source for cell in handed_out.cells)
    assert errors(bootstrapped.run(handed_out, allow_errors=True)) == [("tests", "NotImplementedError")] * problems
    assert errors(bootstrapped.run(solved, allow_errors=True)) == []


def test_the_explorers_tests_pass(bootstrapped):
    files = ("explorers", "explorers_transport", "explorers_language", "words")
    tests = [f"tests/test_{name}.py" for name in files]
    said = bootstrapped.call("-m", "pytest", "-p", "no:cacheprovider", *tests, cwd=build.ROOT)
    assert re.search(r"\d+ passed", said) or "[100%]" in said


def test_every_formula_is_verified_by_the_installed_package(bootstrapped):
    bootstrapped.call("-m", "emo_teach", "verify")


def test_a_clone_beside_the_notebook_is_used_where_there_is_no_address(bootstrapped):
    """This test comes last: it takes out what the others stand on."""
    bootstrapped.call("-m", "pip", "uninstall", "-q", "-y", "emo_teach", "POT")
    clone = shutil.copytree(bootstrapped.home, bootstrapped.place / "content" / "emo_teach")
    notebook = build.read_source(SOURCES["00_start_here"])
    where = "import emo_teach\nprint(emo_teach.__file__)\n!python -c 'import emo_teach; print(emo_teach.__file__)'"
    notebook.cells.append(nbformat.v4.new_code_cell(where))
    ran = bootstrapped.run(notebook, bootstrap=build.bootstrap_cell(("", "main")))
    printed = "".join(output.text for output in ran.cells[-1].outputs)
    assert printed.split() == [str(clone / "emo_teach" / "__init__.py")] * 2, "by processes of the notebook too"
    assert "pot" in bootstrapped.installed() and not {"emo-teach", "emo_teach"} & set(bootstrapped.installed())
