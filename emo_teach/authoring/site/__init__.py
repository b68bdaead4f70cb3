"""The static edition: every lesson as one HTML page that needs no kernel, no network and no script."""

from .pages import LINE, build_site


def main(out):
    """Make the static edition in the folder `out` and say where it is; returns the exit status."""
    for path in build_site(out):
        print(path)
    print(LINE)
    return 0
