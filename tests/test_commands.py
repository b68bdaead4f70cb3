"""What every command says, in one line and with status 2, where something it needs is not there; and how it ends."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emo_teach import __main__ as command_line
from emo_teach import files
from emo_teach.authoring import build
from emo_teach.authoring.course import grade, release
from tests.test_setup import COMMANDS

FINETUNE = ["finetune", "--model", "tiny", "--text", "world", "--objective", "ce", "--steps", "1", "--out"]
NEEDS = [  # a command, a package without which it cannot run, and the extra that brings this package
    (["verify", "--label", "A2", "--lesson", "01"], "mpmath", "test"),
    (["build"], "nbclient", "author"),
    (["badges", "--repo", "o/n"], "nbformat", "author"),
    (["words", "--gguf", "x", "--out", "OUT"], "gguf", "author"),
    (["site", "--out", "OUT"], "math_core", "site"),
    (["site", "--out", "OUT"], "bs4", "site"),
    (["course", "build", "--out", "OUT"], "nbgrader", "course"),
    (["course", "grade", ".", "--out", "OUT"], "nbgrader", "course"),
    (["tiny", "--out", "OUT"], "accelerate", "torch"),
    (["study", "scratch", "--out", "OUT", "--work", "OUT"], "torch", "torch"),
    (["bench"], "torch", "torch"),
    (FINETUNE + ["OUT"], "transformers", "torch"),
]
WRITES = [  # a command that writes below OUT
    ["site", "--out", "OUT/site"],
    ["course", "build", "--out", "OUT"],
    ["course", "build", "--out", "OUT/deep/course"],
    ["tiny", "--out", "OUT"],
    ["study", "scratch", "--out", "OUT", "--work", "."],
    ["study", "scratch", "--out", ".", "--work", "OUT/work"],
    ["bench", "--only", "emd", "--csv", "OUT/e.csv"],
    ["bench", "--only", "emd", "--plot", "OUT/e.svg"],
    FINETUNE + ["OUT/run"],
]


def one_line(capsys, arguments, status=2):
    """Run a command in this process; it must end with the status and one line on the error stream, returned."""
    assert command_line.main(arguments) == status
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and printed.err.startswith(f"python -m emo_teach {arguments[0]}: "), printed.err
    return printed.err


def test_every_command_is_tried():
    assert {arguments[0] for arguments, *_ in NEEDS} == set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "package", "extra"), NEEDS, ids=lambda value: value if isinstance(value, str) else value[0]
)
def test_a_missing_package_is_named_with_the_extra_of_this_folder(
    arguments, package, extra, tmp_path, monkeypatch, capsys
):
    for name in [name for name in sys.modules if name.startswith("emo_teach.finetune")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    line = one_line(capsys, [part.replace("OUT", str(tmp_path / "out")) for part in arguments])
    assert f"this needs {package}, which is not installed" in line and f'pip install ".[{extra}]"' in line
    assert not list(tmp_path.iterdir()), "something was written before"


@pytest.mark.parametrize("arguments", WRITES, ids=" ".join)
def test_a_place_that_cannot_be_written_is_named_before_the_work_begins(arguments, tmp_path, monkeypatch, capsys):
    """A folder below a plain file: there nobody can write, not even root."""
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    monkeypatch.setattr(release, "need", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    line = one_line(
        capsys, [part.replace("OUT", "file") if "/" in part else part.replace("OUT", "file/out") for part in arguments]
    )
    assert "file" in line and "tmp" not in line.replace(str(tmp_path), ""), "no name of a temporary file"
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "kept"


def test_a_refusal_of_the_system_names_what_was_asked_for(tmp_path, monkeypatch, capsys):
    def refuse(*_, dir, **__):
        raise PermissionError(13, "Permission denied", f"{dir}/.secret.x1")

    for name in ("mkstemp", "mkdtemp", "TemporaryFile"):
        monkeypatch.setattr(files.tempfile, name, refuse)
    for module in (release, grade):
        monkeypatch.setattr(module, "need", lambda *_: None)
    for arguments, place in (
        (["build", "00_start_here"], build.LESSONS),
        (["badges", "--repo", "o/n"], build.ROOT / "README.md"),
        (["site", "--out", str(tmp_path / "site")], tmp_path / "site"),
        (["tiny", "--out", str(tmp_path / "tiny")], tmp_path / "tiny"),
    ):
        line = one_line(capsys, arguments)
        assert line.endswith(f"cannot read or write {place}: Permission denied\n")
    assert not list(tmp_path.iterdir())


def speaks(monkeypatch, function):
    """Make `badges` call this function."""
    declare, _, extra = command_line.COMMANDS["badges"]
    monkeypatch.setitem(command_line.COMMANDS, "badges", (declare, lambda _: function(), extra))
    return ["badges", "--repo", ""]


def throw(error):
    raise error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("two\nlines"), 2, "two lines"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), 2, "read or write a.csv: No such file"),
        (ModuleNotFoundError("No module named 'x'", name="x"), 2, "this needs x, which is not installed"),
    ],
)
def test_what_goes_wrong_is_one_line(error, status, words, monkeypatch, capsys):
    assert words in one_line(capsys, speaks(monkeypatch, lambda: throw(error)), status)


def test_a_fault_of_the_package_itself_is_not_hidden(monkeypatch):
    with pytest.raises(ModuleNotFoundError):
        command_line.main(speaks(monkeypatch, lambda: throw(ModuleNotFoundError(name="emo_teach.nonsense"))))


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", b"\\u03c4 \\u5468"), ("cp1252", b"\\u03c4 \\u5468"), ("utf-8", "τ 周".encode())]
)
def test_what_the_output_cannot_encode_is_escaped(encoding, shown, monkeypatch):
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    assert command_line.main(speaks(monkeypatch, lambda: print("τ 周") or 0)) == 0
    assert command_line.main(speaks(monkeypatch, lambda: throw(ValueError("τ 周")))) == 2
    assert streams["stdout"].buffer.getvalue().strip() == shown
    streams["stderr"].flush()
    assert streams["stderr"].buffer.getvalue().strip().endswith(shown)


def command(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "emo_teach", *arguments], stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["verify", "--label", "A5"], 1)])
def test_a_reader_that_leaves_makes_no_noise(arguments, status):
    reading, writing = os.pipe()
    os.close(reading)
    process = command(*arguments, stdout=writing)
    os.close(writing)
    assert process.communicate(timeout=120)[1] == b"" and process.returncode == status


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_the_output_is_one_line():
    with open("/dev/full", "wb") as full:
        process = command("verify", "--label", "A5", stdout=full)
        error = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 2 and error.count("\n") == 1 and "No space left" in error
