"""Where the lessons are published: one command writes owner, name and ref into pyproject.toml and into everything that follows from them.

That is a Colab badge below the title of each lesson, the address in each bootstrap cell, and a badge for each lesson in README's table. Nothing
is executed: a notebook keeps its outputs and, outside the two cells, every byte.
"""

import json
import re

from ..files import write_whole
from . import build

IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
LABEL = "Open in Colab"
SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
REF = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
)  # no slash: Colab could not tell where such a branch ends and the path begins
BADGE = re.compile(rf"\[!\[{LABEL}\]\({re.escape(IMAGE)}\)\]\([^)\s]*\)")
TABLE = re.compile(r"(<!-- table of lessons -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)
ROW = re.compile(r"^(\| \[[^]]+\]\(notebooks/(\w+)\.ipynb\))", re.MULTILINE)


def check_address(slug, ref):
    """Raise ValueError unless `slug` is empty or "owner/name" as GitHub writes it, and `ref` is a branch, tag or commit without a slash.

    Raises ValueError naming the argument.
    """
    if not isinstance(slug, str) or (slug and not SLUG.fullmatch(slug)):
        raise ValueError(f'repo = {slug!r} must be "owner/name" as in an address of GitHub (or "" for not published)')
    if slug.endswith((".git", "/.", "/..")):
        raise ValueError(f"repo = {slug!r} must end in the repository's name, without .git")
    if not isinstance(ref, str) or not REF.fullmatch(ref) or ".." in ref or ref.endswith((".", ".lock")):
        raise ValueError(f"ref = {ref!r} must name a branch, tag or commit, without a slash")


def badge(name, slug, ref):
    """The badge of one lesson in Markdown; "" while there is no slug."""
    return (
        f"[![{LABEL}]({IMAGE})](https://colab.research.google.com/github/{slug}/blob/{ref}/notebooks/{name}.ipynb)"
        if slug
        else ""
    )


def with_badge(text, mark):
    """A lesson's first cell with the badge `mark` below its title in place of any earlier one; with no badge where `mark` is "".

    >>> with_badge("# Why?\\n\\nText", "[b]")
    '# Why?\\n\\n[b]\\n\\nText'
    """
    text = re.sub(rf"\n\n{BADGE.pattern}", "", text)
    title, end, rest = text.partition("\n")
    return f"{title}\n\n{mark}{end}{rest}" if mark else text


def rewrite(slug, ref):
    """Write the address everywhere: pyproject.toml, README.md and all lessons; returns the paths that changed.

    All texts are made before the first is written, each file is written whole, and when one cannot be written those before it are put back.
    Raises ValueError as `check_address` and for a file that is not as expected, OSError for one that cannot be
    written.
    """
    check_address(slug, ref)
    wanted = {
        build.ROOT / "README.md": lambda text: _readme(text, slug, ref),
        build.ROOT / "pyproject.toml": lambda text: _settings(text, slug, ref),
    }
    wanted |= {
        build.LESSONS / f"{path.stem}.ipynb": lambda text, name=path.stem: _lesson(name, text, slug, ref)
        for path in build.sources()
    }
    old = {path: _read(path) for path in wanted}
    new = {path: change(old[path]) for path, change in wanted.items()}
    changed = [path for path in wanted if new[path] != old[path]]
    done = []
    try:
        for path in changed:
            write_whole(path, new[path])
            done.append(path)
    except BaseException:
        for path in done:
            write_whole(path, old[path])
        raise
    return changed


def _read(path):
    try:
        return path.read_bytes().decode()  # read_text would change line ends
    except FileNotFoundError:
        raise ValueError(f"there is no {path.name}: run this from the project's own folder") from None


def _settings(text, slug, ref):
    """pyproject.toml with `slug` and `ref` of [tool.emo_teach] set, and its comments kept."""
    for key, value in (("slug", slug), ("ref", ref)):
        text, count = re.subn(
            rf'(?m)(^\[tool\.emo_teach\]\n(?:(?!\[).*\n)*?{key} = )"[^"\n]*"', rf'\g<1>"{value}"', text
        )
        if count != 1:
            raise ValueError(f'pyproject.toml must have one line {key} = "..." under [tool.emo_teach], it has {count}')
    return text


def _readme(text, slug, ref):
    """README.md with a badge behind each lesson's link in its table."""
    if len(TABLE.findall(text)) != 1:
        raise ValueError("README.md must have one table between <!-- table of lessons --> and <!-- end of table -->")

    def row(found):
        return f"{found[1]} {mark}" if (mark := badge(found[2], slug, ref)) else found[1]

    return TABLE.sub(lambda found: found[1] + ROW.sub(row, re.sub(rf" {BADGE.pattern}", "", found[2])) + found[3], text)


def _lesson(name, text, slug, ref):
    """A built lesson's JSON with the first cell's badge and the bootstrap cell's address set."""
    notebook = json.loads(text)
    if _written(notebook) != text:
        raise ValueError(f"{name}.ipynb is not as `python -m emo_teach build {name}` writes it: build it first")
    first = notebook["cells"][0]
    first["source"] = with_badge("".join(first["source"]), badge(name, slug, ref)).splitlines(keepends=True)
    for cell in notebook["cells"]:
        if "bootstrap" in cell["metadata"].get("tags", ()):
            cell["source"] = build.bootstrap_cell(slug, ref).splitlines(keepends=True)
    return _written(notebook)


def _written(notebook):
    """A notebook as nbformat writes it, with the order of its keys kept."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, separators=(",", ": ")) + "\n"


def main(slug, ref):
    """Rewrite every badge and say what changed; returns the exit status."""
    changed = rewrite(slug, ref)
    for path in changed:
        print(path.relative_to(build.ROOT))
    print(
        f"{len(changed)} files changed, published at {f'github.com/{slug}, {ref}' if slug else 'no address: no badges'}"
    )
    return 0
