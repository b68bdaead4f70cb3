"""What a reader moves: one file per explorer, named by its lesson, each in three layers.

`compute(**settings) -> data` and `draw(data) -> Picture` are pure and tested without a browser; `explorer(**settings)` ties them to
core ipywidgets (7.7 and 8); `panel()` is the static row of small multiples that readers without a kernel see. `widget` holds what they share.
"""
