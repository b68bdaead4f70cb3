"""Where the data files are; and all renaming of files and folders, so that each is written whole or not at all."""

import contextlib
import importlib.util
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def need(*packages):
    """Raise ModuleNotFoundError for the first package that is not installed; none is imported."""
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def writable(folder):
    """Raise OSError unless files can be made in a folder, or, where it is missing, the folder itself.

    Nothing is made: what takes long asks this first.
    """
    folder = Path(folder).absolute()
    near = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    with _named(folder):
        tempfile.TemporaryFile(dir=near).close()


@contextlib.contextmanager
def _named(path):
    """An OSError inside speaks of `path`, not of the temporary file beside it."""
    try:
        yield
    except OSError as err:
        raise OSError(err.errno, err.strerror, str(path)) from None


def write_whole(path, content):
    """Write a file so that everyone, even after a crash, finds the old file or the new one, never a part of one.

    Raises OSError when the folder cannot be written; the old file then stays.
    """
    path = Path(path)
    with _named(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with _named(path), os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # a rename must not overtake the contents
        os.chmod(name, 0o644)  # temporary files are their owner's alone
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def refuse_foreign(folder, marker, made_by):
    """Raise ValueError unless a folder is missing, empty, or its JSON file `marker` says that `made_by` made it."""
    folder = Path(folder)
    if not os.path.lexists(folder) or (folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())):
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        made = json.loads((folder / marker).read_text(encoding="utf-8"))
        if made.get("made_by") == made_by and not folder.is_symlink():
            return
    raise ValueError(f"{folder} was not made by {made_by}: name a new folder, or move that one away")


@contextlib.contextmanager
def whole_folder(out, marker, made_by):
    """A new folder to fill, which takes the place of `out` at the end; if filling it fails, `out` stays as it was.

    Raises ValueError as `refuse_foreign`, and OSError when the folder cannot be written.
    """
    refuse_foreign(out, marker, made_by)
    out = Path(out)
    with _named(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        made, old = beside / "new", beside / "old"
        made.mkdir()
        yield made
        if os.path.lexists(out):
            os.rename(out, old)
        try:
            os.rename(made, out)
        except OSError:
            if os.path.lexists(old):
                os.rename(old, out)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def alone(*folders, work="run"):
    """Keep everyone else who calls this out of some folders; ValueError when `work` of another is on in one of them.

    The lock is the system's, on the folder itself: it leaves no file behind and ends with its process, even a killed
    one. Over a network it may hold on this machine only. Where the system has no such locks, a warning says so.
    """
    with contextlib.ExitStack() as held:
        for folder in {Path(folder).resolve(): folder for folder in folders}.values():
            try:
                import fcntl  # not on Windows

                handle = os.open(folder, os.O_RDONLY)
                held.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"{folder} is in use by another {work}: wait for its end") from None
            except (ImportError, OSError):
                warnings.warn(f"{folder} cannot be locked here: start no second {work} in it", stacklevel=3)
        yield


def move_files(source, out, last):
    """Move the files of a folder into another, each in one step; names that begin with `last` follow the others.

    All of them are on the disk before the first is moved: a rename must not overtake the contents.
    """
    sync(source)
    for path in sorted(Path(source).iterdir(), key=lambda path: path.name.startswith(last)):
        os.replace(path, Path(out) / path.name)


def sync(folder):
    """Wait until a folder and everything in it are on the disk."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        for path in (*Path(folder).rglob("*"), folder):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def data_path(name):
    """Return the path of one data file: in `emo_teach/data/` of a wheel, in the top-level `data/` of a clone.

    Raises ValueError when there is no data folder, or no such file in it; the message then lists the files there are.

    >>> data_path("words.csv").name
    'words.csv'
    """
    folders = [place / "data" for place in (_PACKAGE, _PACKAGE.parent) if (place / "data/word_list.txt").is_file()]
    if not folders:
        raise ValueError("no data folder: neither emo_teach/data/ nor data/ beside emo_teach/ holds word_list.txt")
    folder = folders[0]
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if not isinstance(name, str) or name not in files:
        raise ValueError(f"no data file {name!r}; data/ has {', '.join(sorted(files))}")
    return files[name]
