"""What a reader moves: one file per explorer, named by its lesson (`lessonNN_name`).

A new explorer needs: `CONTROLS`, a tuple of `widget.Slider` and `widget.Choice`; `compute(**settings) -> data` and
`draw(data) -> Picture`, both pure, with the picture's `alt`, a sentence of at most 150 characters, and its `numbers`, a
table; `explorer = widget.explorer(compute, draw, CONTROLS)`, the widget for ipywidgets 7.7 and 8, and a function `idle`
where a control has no effect under some settings; `panel()`, a static row of small multiples with its alt text and
numbers for readers without a kernel; and its name in `EXPLORERS` of tests/test_explorers.py, whose tests then hold for
it. A move of a slider should take `compute` and the redraw about 50 ms, never above 100.
"""
