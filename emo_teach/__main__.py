"""The command line: `python -m emo_teach <command>`. A command imports what it needs only when it runs."""

import argparse
import sys


def _verify_arguments(parser):
    parser.add_argument("--lesson", help='only the rows of one lesson, such as "03"')
    parser.add_argument("--label", help='only the rows of one formula, such as "D3"')


def _verify(arguments):
    from . import formulas

    outcomes = formulas.verify(formulas.select(label=arguments.label, lesson=arguments.lesson))
    print(formulas.table(outcomes))
    if note := formulas.left_out(label=arguments.label, lesson=arguments.lesson):
        print(note)
    return 0 if all(outcome.passed and outcome.mutant_rejected for outcome in outcomes) else 1


def _build_arguments(parser):
    parser.add_argument("names", nargs="*", metavar="lesson", help="such as 03_exact_emd_linear_programming; all when none is named")


def _build(arguments):
    from .authoring import build

    return build.main(arguments.names)


def _bench_arguments(parser):
    parser.add_argument("--only", choices=("loss", "emd"), help="one half: training losses, or exact transport")
    parser.add_argument("--quick", action="store_true", help="the first size alone, 3 repeats, no growth of the losses")
    parser.add_argument("--csv", metavar="FILE", help="write every measurement there")
    parser.add_argument("--plot", metavar="FILE", help="draw the measurements there (.png or .svg)")


def _bench(arguments):
    from . import bench

    return bench.main(arguments.only, arguments.quick, arguments.csv, arguments.plot)


# name: (one line of help, function that declares the arguments, function that runs and returns the exit status)
COMMANDS = {
    "verify": ("check every formula against its reference, and that its wrong version is rejected", _verify_arguments, _verify),
    "build": ("execute lessons' sources into notebooks", _build_arguments, _build),
    "bench": ("measure what the losses and exact transport cost on this machine", _bench_arguments, _bench),
}


def main(argv=None):
    """Run one command and return its exit status: 0 well, 1 something failed, 2 the request makes no sense.

    Formula: none. Shape: a list of strings (by default the command line's), returns an integer. Units: none.
    Raises SystemExit from argparse for an unknown command or option. Source: this project.
    """
    parser = argparse.ArgumentParser(prog="python -m emo_teach", description="Optimal-transport losses, formula by formula.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (text, declare, run) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        declare(command)
        command.set_defaults(run=run)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except ValueError as err:
        print(f"{parser.prog} {arguments.command}: {err}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
