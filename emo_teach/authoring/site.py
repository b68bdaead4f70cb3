"""The static edition: every lesson as one HTML page that needs no kernel, no network and no script.

nbconvert turns the cells of the built notebooks into HTML, formulas become MathML, and each page gets its frame.
"""

import html
import json
import re
from pathlib import Path

from ..files import need, whole_folder
from . import build, mathml

MARKER, MADE_BY = "site.json", "emo_teach site"
LINE = "Text: CC BY 4.0. Code: BSD 3-Clause. This edition needs no network; its sliders need the notebooks."
SLIDER = "A slider stands here in the notebook. It needs a running kernel: open the lesson in JupyterLab or Colab."
WIDE = 44  # characters of fixed width that a telephone shows in a line
FORMULA = re.compile(r"\$([^$]+)\$")
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · emo_teach</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<a class="skip" href="#content">Skip to the text</a>
<header><nav aria-label="All lessons">{menu}</nav></header>
<main id="content" tabindex="-1">
{body}
</main>
<footer><nav aria-label="Neighbouring lessons">{neighbours}</nav><p>{line}</p></footer>
</body>
</html>
"""


def main(out):
    """Make the static edition in the folder `out` and say where it is; returns the exit status."""
    print(*build_site(out), LINE, sep="\n")
    return 0


def build_site(out, names=None):
    """Make the static edition of the named lessons (all when None) in the folder `out`; returns the paths of its pages.

    Raises ValueError for a folder that is neither empty nor an earlier edition and for TeX that cannot be shown,
    ModuleNotFoundError where a package of the extra `site` is missing, FileNotFoundError for a lesson not built yet.
    """
    build.need_clone()
    need("nbconvert", "math_core", "ziamath", "fontTools", "bs4")
    import nbformat

    names = [path.stem for path in build.sources() if names is None or path.stem in names]
    notebooks = {name: nbformat.read(build.LESSONS / f"{name}.ipynb", as_version=4) for name in names}
    titles = {name: build.title(notebook.cells[0]) for name, notebook in notebooks.items()}
    with whole_folder(out, MARKER, MADE_BY) as folder:
        (folder / "style.css").write_bytes(Path(__file__).with_name("style.css").read_bytes())
        pages = {"index": _page("index", titles, _contents(notebooks, titles))}
        pages |= {name: _page(name, titles, _lesson(notebook)) for name, notebook in notebooks.items()}
        for name, text in pages.items():
            (folder / f"{name}.html").write_text(text, encoding="utf-8")
        (folder / "math.woff").write_bytes(mathml.font(mathml.characters(pages.values())))
        (folder / MARKER).write_text(json.dumps({"made_by": MADE_BY}) + "\n", encoding="utf-8")
    return [Path(out) / f"{name}.html" for name in pages]


def _page(here, titles, body):
    """A whole page: its body with a menu of all pages, named briefly, and links to the neighbouring ones."""
    full = {"index": "Contents"} | {name: html.escape(title.replace("*", "")) for name, title in titles.items()}
    menu, order, neighbours = [], list(full), []
    for name, title in full.items():
        current = ' aria-current="page"' if name == here else ""
        hint, short = (f' title="{title}"', name.partition("_")[0].capitalize()) if name in titles else ("", title)
        menu.append(f'<a href="{name}.html"{hint}{current}>{short}</a>')
    for step, word, rel in ((-1, "Previous", "prev"), (1, "Next", "next")):
        if 0 <= (place := order.index(here) + step) < len(order):
            other = order[place]
            neighbours.append(f'<a rel="{rel}" href="{other}.html">{word}: {full[other]}</a>')
    links = {"menu": "\n".join(menu), "neighbours": "\n".join(neighbours)}
    return PAGE.format(title=full[here], body=body, line=LINE, **links)


def _markdown(text):
    """Markdown as HTML, with formulas as MathML and no picture from elsewhere."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body):
            return mathml.block(body)

        def latex_environment(self, name, body):
            return mathml.block(f"\\begin{{{name}}}{body}\\end{{{name}}}")

        def inline_math(self, body):
            return mathml.inline(body)

        def image(self, text, url, title=None):
            return html.escape(text) if re.match(r"https?:", url) else super().image(text, url, title)

    renderer = Renderer(escape=False, exclude_anchor_links=False, anchor_link_text="")
    page, formula = MarkdownWithMath(renderer=renderer).render(text), r"\(?<math>(?:(?!</math>).)*</math>[,.;:!?)]+"
    return re.sub(formula, r'<span class="kept">\g<0></span>', page)  # no line begins with a comma


def _lesson(notebook):
    """The cells of one lesson as HTML without the bootstrap cell, which does nothing for a reader."""
    import nbformat
    from nbconvert import HTMLExporter

    kept = nbformat.from_dict(notebook)
    kept.cells = [cell for cell in kept.cells if "bootstrap" not in cell.metadata.get("tags", ())]
    options = {"exclude_input_prompt": True, "exclude_output_prompt": True, "filters": {"markdown2html": _markdown}}
    return _finish(HTMLExporter(template_name="basic", **options).from_notebook_node(kept)[0])


def _finish(text):
    """Make links lead to pages, formulas in printed tables MathML, what may be too wide scroll by keyboard, and sliders
    say what they need."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(text, "html.parser")
    for link in soup.select("a[href]"):
        link["href"] = re.sub(r"^(\w+)\.ipynb(?=#|$)", r"\1.html", link["href"])
    for anchor in soup.select("a.anchor-link"):
        anchor.decompose()
    for words in soup.find_all(string=FORMULA):
        if words.find_parent("td") and not words.find_parent("code"):
            parts = enumerate(FORMULA.split(words))  # text and TeX take turns
            cell = "".join(mathml.inline(part) if k % 2 else html.escape(part) for k, part in parts)
            words.replace_with(BeautifulSoup(cell, "html.parser"))
    for element in soup.select("pre"):
        if max(map(len, element.get_text().splitlines() or [""])) > WIDE:
            element["tabindex"] = "0"
    for head in soup.select("thead th"):
        head["scope"] = "col"
    for table in soup.select("table"):
        table.wrap(soup.new_tag("div", attrs={"class": "wide", "tabindex": "0"}))
    for cell in soup.select(".code_cell"):
        if ".explorer(" in cell.get_text():
            note = soup.new_tag("p", attrs={"class": "note"})
            note.string = SLIDER
            cell.append(note)
    return str(soup)


def _contents(notebooks, titles):
    """The first page: the question, the map out of lesson 00, and for each lesson what a reader will be able to do."""
    first = next(iter(notebooks.values()))
    whole = "\n\n".join(cell.source for cell in first.cells if cell.cell_type == "markdown")
    chart = re.search(r"^## The map$.*?(?=^## )", whole, re.MULTILINE | re.DOTALL)
    if chart is None:
        raise ValueError("the first lesson has no section `## The map`, from which the contents are made")
    parts = ["# Optimal-transport losses for language models", chart[0], "## The lessons"]
    for name, notebook in notebooks.items():
        parts.append(f"### [{titles[name]}]({name}.ipynb)")
        parts += [p for p in notebook.cells[0].source.split("\n\n")[1:] if p.startswith(("**You will", "**Needs"))]
    return _finish(_markdown("\n\n".join(parts)))
