"""All limits of the autograder: what one submission may use, and how many run at once."""

import os
from dataclasses import dataclass, field

MINIMUM = {"timeout": 5, "memory": 512, "workers": 1}


@dataclass(frozen=True)
class Limits:
    """The limits of one grading; ValueError names one that is no whole number or is too small."""

    timeout: int = 120  # seconds for one notebook
    memory: int = 6144  # MiB of address space for each process
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)  # submissions at a time
    cell_share: float = 0.25  # the part of `timeout` that one cell may take
    grace: int = 30  # seconds beyond `timeout` for the start and end of nbgrader and the kernel, and for the feedback
    text: int = 200_000  # characters of output that are kept of a cell without pictures
    pictures: int = 5_000_000  # characters of output that are kept of a cell with pictures
    file: int = 256 * 2**20  # bytes of the largest file that student code may write
    notebook: int = 50 * 2**20  # bytes of the largest notebook that is read

    def __post_init__(self):
        for name, least in MINIMUM.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} = {value!r} must be a whole number, {least} or above")

    @classmethod
    def add_arguments(cls, parser):
        """Declare the limits that the command line sets."""
        share = f"seconds for one notebook; one cell may take {cls.cell_share:.0%} of them (default: {cls.timeout})"
        parser.add_argument("--timeout", type=int, metavar="S", default=cls.timeout, help=share.replace("%", "%%"))
        memory = "MiB of address space for each process (default: %(default)s)"
        parser.add_argument("--memory", type=int, metavar="MIB", default=cls.memory, help=memory)
        workers = "submissions at a time (default: one for each core)"
        parser.add_argument("--workers", type=int, metavar="N", default=os.cpu_count() or 1, help=workers)
