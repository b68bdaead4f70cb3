"""Tools for the people who write and teach this course; nothing else in the package imports them."""
