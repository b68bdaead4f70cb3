"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path, content):
    """Write a file so that readers, and whoever comes after a crash, find the old one or the new one, never a part.

    Formula: none. Shape: a path, and a string (written as UTF-8) or bytes; returns None. Units: none.
    Raises OSError when the folder cannot be written; the old file is then left. Source: POSIX rename, which is done or not done.
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
