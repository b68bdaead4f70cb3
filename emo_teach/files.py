"""Where the data files are, and files and folders that are written whole or not at all."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def write_whole(path, content):
    """Write a file so that readers, and whoever comes after a crash, find the old one or the new one, never a part.

    Raises OSError when the folder cannot be written; the old file is then left.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # a rename must not overtake the contents
        os.chmod(name, 0o644)  # temporary files are their owner's alone
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def refuse_foreign(folder, marker, made_by):
    """Raise ValueError unless a folder is missing, empty, or holds a JSON file `marker` that says it was made by `made_by`.

    Raises ValueError.
    """
    folder = Path(folder)
    if not os.path.lexists(folder) or (folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())):
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if (
            json.loads((folder / marker).read_text(encoding="utf-8")).get("made_by") == made_by
            and not folder.is_symlink()
        ):
            return
    raise ValueError(f"{folder} was not made by {made_by}: name a new folder, or move that one away")


@contextlib.contextmanager
def whole_folder(out, marker, made_by):
    """A new folder to fill, which takes the place of `out` at the end; when the filling fails, `out` stays as it was.

    Raises as `refuse_foreign`, OSError when the folder cannot be written.
    """
    refuse_foreign(out, marker, made_by)
    out = Path(out)
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


def _data_folder():
    """Return the folder of data files: inside an installed package, or beside the package in a clone."""
    for folder in (_PACKAGE / "data", _PACKAGE.parent / "data"):
        if (folder / "word_list.txt").is_file():
            return folder
    raise ValueError("no data folder: neither emo_teach/data/ nor data/ beside emo_teach/ holds word_list.txt")


def data_path(name):
    """Return the path of one data file, wherever this copy of emo_teach keeps them.

    A wheel ships the files as `emo_teach/data/`; a clone or an editable install has them in the top-level `data/`.
    Returns a `pathlib.Path`. Raises ValueError when there is no such file; the message lists the files there are.

    >>> data_path("words.csv").name
    'words.csv'
    """
    folder = _data_folder()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if not isinstance(name, str) or name not in files:
        raise ValueError(f"no data file {name!r}; data/ has {', '.join(sorted(files))}")
    return files[name]
