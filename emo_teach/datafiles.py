"""The one place that knows where the files of `data/` are."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _data_folder():
    """Return the folder of data files: inside an installed package, or beside the package in a clone."""
    for folder in (_PACKAGE / "data", _PACKAGE.parent / "data"):
        if (folder / "word_list.txt").is_file():
            return folder
    raise ValueError("no data folder: neither emo_teach/data/ nor data/ beside emo_teach/ holds word_list.txt")


def data_path(name):
    """Return the path of one data file, wherever this copy of emo_teach keeps them.

    A wheel ships the files as `emo_teach/data/`; a clone or an editable install has them in the top-level `data/`.
    Formula: none. Shape: `name` is the file's path inside `data/`, with `/` between folders. Returns a `pathlib.Path`. Units: none.
    Raises ValueError when there is no such file; the message lists the files there are.
    Source: data/README.md says what each file holds.

    >>> data_path("words.csv").name
    'words.csv'
    """
    folder = _data_folder()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if not isinstance(name, str) or name not in files:
        raise ValueError(f"no data file {name!r}; data/ has {', '.join(sorted(files))}")
    return files[name]
