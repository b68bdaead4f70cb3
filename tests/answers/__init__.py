"""Right and wrong answers to the exercises of the lessons and to the problem sets."""


def in_place(answer, argument=0):
    """A right answer that also changes one of its arguments."""

    def spoiler(*arguments, **options):
        value = answer(*arguments, **options)
        arguments[argument][...] += 1
        return value

    return spoiler
