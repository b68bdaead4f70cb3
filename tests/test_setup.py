"""What a stranger meets first: the README's commands, pinned versions, the bootstrap cell, files that stand alone."""

import json
import re
import subprocess
import sys
import tomllib
from unittest import mock

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from emo_teach import files
from emo_teach.__main__ import main
from emo_teach.authoring import build, data_files
from emo_teach.authoring.course import source

ROOT = build.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Colab's versions of what the package needs, from its published package list of 19 August 2026; POT is not among them.
COLAB = {"numpy": "2.1.3", "scipy": "1.16.3", "matplotlib": "3.10.0", "ipywidgets": "7.7.1", "safetensors": "0.8.0"}
COLAB |= {"transformers": "5.15.0"}  # torch is 2.11 there, below the range: no build of it fits here, so it is not run


def ranges():
    """All requirements in pyproject.toml, by lower-case name."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    return {requirement.name.lower(): requirement for requirement in map(Requirement, lines)}


def pins():
    """Name and version of every pin in requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("==") for line in lines if "==" in line]


def test_readme_has_one_line_for_each_start():
    commands = {name: re.search(rf"<!-- {name} -->\n```\n(.+)\n```", README)[1] for name in ("lessons", "uv", "tests")}
    lab = "jupyter lab --LabApp.app_settings_dir=notebooks/.lab notebooks/00_start_here.ipynb"
    setup = "python3 -m venv .venv && .venv/bin/python -m pip install -q -r requirements.txt && .venv/bin/python -m "
    uv = 'uv run --no-project --python ">=3.11" --with-requirements requirements.txt '
    assert commands == {"lessons": setup + lab, "uv": uv + lab, "tests": setup + "pytest"}
    for name in ("lessons", "tests"):
        windows = commands[name].replace("python3 -m venv", "py -m venv").replace("venv/bin", "venv/Scripts")
        assert f"\n{windows.replace('/', chr(92))}\n" in README
    assert (ROOT / "notebooks" / ".lab" / "overrides.json").is_file()


def test_readme_examples_run():
    examples = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    assert len(examples) == 2
    for code in examples:
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


@pytest.mark.parametrize(("name", "version"), [*pins(), *COLAB.items()])
def test_pins_and_colab_s_versions_lie_in_the_ranges(name, version):
    assert ranges()[name].specifier.contains(Version(version))


def test_users_packages_are_pinned():
    users = {"jupyterlab", "torch", "numpy", "matplotlib", "pot", "ipywidgets", "transformers"}
    assert users <= {name for name, _ in pins()}


HOME = "git+https://github.com/owner/name@main"
SAY = """
import importlib.util, json
spec = importlib.util.find_spec("emo_teach")
found = [spec.origin] if spec else []
print(json.dumps([*found, *asked]))
"""


def run_bootstrap(home, folder, **env):
    """Run a bootstrap cell in `folder` by a Python that knows no package but those on PYTHONPATH; its process.

    The last line that it prints lists where emo_teach is then found, if anywhere, and what pip was asked to install.
    """
    begin = "import subprocess\nasked = []\nsubprocess.run = lambda command, check: asked.extend(command[1:])\n"
    command = [sys.executable, "-S", "-c", begin + build.bootstrap_cell(("", "")).replace('HOME = ""', home) + SAY]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def bootstrapped(home, folder, **env):
    done = run_bootstrap(f'HOME = "{home}"', folder, **env)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def package(folder):
    """The path of an `emo_teach/__init__.py` made in `folder`."""
    (folder / "emo_teach").mkdir(parents=True)
    (folder / "emo_teach" / "__init__.py").touch()
    return str(folder / "emo_teach" / "__init__.py")


PIP = ["-m", "pip", "install", "-q", "--no-deps"]


def test_the_bootstrap_cell_does_nothing_where_both_are_installed(tmp_path):
    origin = package(tmp_path / "site")
    (tmp_path / "site" / "ot.py").touch()
    package(tmp_path / "clone")
    assert bootstrapped(HOME, tmp_path / "clone" / "emo_teach", PYTHONPATH=str(tmp_path / "site")) == [origin]


def test_the_bootstrap_cell_installs_from_the_address(tmp_path):
    assert f'HOME = "{HOME}"' in build.bootstrap_cell(("owner/name", "main"))
    (tmp_path / "emo_teach").mkdir()  # a folder of that name is no package
    assert bootstrapped(HOME, tmp_path) == [None, *PIP, HOME, "POT"]


@pytest.mark.parametrize("home", ["", HOME])
@pytest.mark.parametrize(
    ("root", "here"),
    [
        ("emo_teach", "emo_teach/notebooks"),  # a clone, the lesson where it belongs
        ("work/emo_teach", "work/emo_teach/notebooks/mine/deep"),
        ("content/emo_teach", "content"),  # a clone beside the lesson, as on Colab: a folder of the package's own name
        ("content/emo_teach-main", "content"),  # an archive unpacked beside it,
        ("content/emo_teach-main/emo_teach-main", "content"),  # or into a folder of its own
        ("student", "student"),  # the edition for students
        ("a b/ü", "a b"),
    ],
)
def test_the_bootstrap_cell_finds_the_project_near_the_notebook(tmp_path, root, here, home):
    origin = package(tmp_path / root)
    (tmp_path / here).mkdir(parents=True, exist_ok=True)
    assert bootstrapped(home, tmp_path / here) == [origin, *PIP, "POT"]


def test_the_bootstrap_cell_prefers_the_project_around_the_notebook_and_mends_an_early_import(tmp_path):
    around = package(tmp_path / "emo_teach")
    package(tmp_path / "emo_teach" / "notebooks" / "old")
    assert bootstrapped("", tmp_path / "emo_teach" / "notebooks")[0] == around
    early = "import emo_teach\nHOME = ''"  # finds the mere folder
    done = run_bootstrap(early, tmp_path)
    assert json.loads(done.stdout.splitlines()[-1])[0] == around, done.stderr


def test_the_bootstrap_cell_says_what_to_do_where_nothing_is_found(tmp_path):
    done = run_bootstrap('HOME = ""', tmp_path)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ModuleNotFoundError: emo_teach is not installed")
    assert "README" in last and "beside" in last and "run this cell again" in last


def test_the_bootstrap_cell_is_folded_in_lessons_and_problem_sets():
    notebooks = [*map(build.read_source, build.sources()), *map(source.read, source.sets().values())]
    for notebook in notebooks:
        (cell,) = [cell for cell in notebook.cells if "bootstrap" in cell.metadata.get("tags", ())]
        assert cell.metadata["jupyter"] == {"source_hidden": True} and cell.metadata["cellView"] == "form"
        assert cell.source.startswith("# @title ")


def test_readme_s_table_of_lessons_is_up_to_date():
    assert build.readme(build.address()) == README, "python -m emo_teach build makes it anew"


def test_no_badge_before_the_address_is_known():
    if not PROJECT["tool"]["emo_teach"]["slug"]:
        texts = [README, *(path.read_text(encoding="utf-8") for path in build.sources())]
        assert not any("colab.research" in text or "badge" in text.lower() for text in texts)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a copy without git's list of files")
def test_files_stand_on_their_own():
    machine = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w")
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        path = ROOT / name
        if path.suffix not in (".png", ".safetensors", ".ipynb") and path.exists() and name != "tests/test_setup.py":
            text = path.read_text(encoding="utf-8")
            assert not machine.search(text), (name, machine.search(text))
            assert not re.search(r"files\.pythonhosted|registry\.npmjs|deb\.debian|pypi\.org/simple", text), name


def test_build_makes_the_notebook_and_renews_table_and_picture(tmp_path, monkeypatch):
    for name, place in (("ROOT", tmp_path), ("LESSONS", tmp_path), ("TEXTS", tmp_path), ("SOURCES", tmp_path / "src")):
        monkeypatch.setattr(build, name, place)
    build.SOURCES.mkdir()
    for name, text in {
        "src/99_why.py": '# %% [markdown] meets="a cell"\n# # 99 · Why?\n\n# %%\nprint(1, flush=True)\nprint(2)',
        "README.md": "<!-- table of lessons -->\n<!-- end of table -->\n",
        "pyproject.toml": '[tool.emo_teach]\nslug = ""\nref = "main"\n',
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["build", "99_why"]) == 0
    cells = json.loads((tmp_path / "99_why.ipynb").read_text(encoding="utf-8"))["cells"]
    assert cells[0]["metadata"] == {} and [one["text"] for one in cells[1]["outputs"]] == [["1\n", "2\n"]]
    assert (tmp_path / "cost_matrix.png").read_bytes() == build.picture()
    table = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "\n| [99](notebooks/99_why.ipynb) | Why? | a cell |\n" in table


def test_a_build_whose_cell_fails_leaves_the_old_notebook(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "LESSONS", tmp_path)
    source, notebook = tmp_path / "lesson.py", tmp_path / "lesson.ipynb"
    source.write_text("# %%\nprint('new')\n# %%\n1 / 0\n", encoding="utf-8")
    notebook.write_text("the old one", encoding="utf-8")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        build.build(source)
    assert notebook.read_text(encoding="utf-8") == "the old one"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_an_interrupted_write_leaves_the_old_notebook(tmp_path, monkeypatch, stop):
    notebook = tmp_path / "lesson.ipynb"
    notebook.write_text("the old one", encoding="utf-8")
    monkeypatch.setattr(files.os, "replace", mock.Mock(side_effect=stop))
    with pytest.raises(stop):
        files.write_whole(notebook, "a new one")
    assert notebook.read_text(encoding="utf-8") == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["lesson.ipynb"]


COMMANDS = ["verify", "build", "course", "badges", "site", "words", "tiny", "study", "bench", "finetune"]


def test_the_command_line_names_its_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {name} ", text, re.MULTILINE) for name in COMMANDS)
    assert main(["build", "99_nothing"]) == 2 and "99_nothing" in capsys.readouterr().err


def test_without_a_clone_a_command_says_so(tmp_path, monkeypatch, capsys):
    """As in an installed package: there are no sources around it."""
    monkeypatch.setattr(build, "SOURCES", tmp_path / "lessons")
    for command in (["build"], ["site", "--out", str(tmp_path / "site")], ["badges", "--repo", "o/n"]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "this command needs a clone of the repository" in error and error.count("\n") == 1
    with pytest.raises(ValueError, match="needs a clone"):
        source.sets()


def test_words_and_tiny_pass_their_options_on(monkeypatch, capsys):
    monkeypatch.setattr(data_files, "build_words", lambda gguf, out, *lists: {f"{gguf} in {out}": len(lists)})
    monkeypatch.setattr(data_files, "make_tiny", lambda out: print(f"made {out}"))
    assert main(["words", "--gguf", "weights", "--out", "there"]) == 0 == main(["tiny", "--out", "here"])
    assert capsys.readouterr().out == "weights in there: 2 bytes\nmade here\nhere\n"
