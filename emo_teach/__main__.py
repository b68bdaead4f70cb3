"""The command line: `python -m emo_teach <command>`. A command imports what it needs only when it runs."""

import argparse
import sys


def _verify_arguments(parser):
    parser.add_argument("--lesson", help='only the rows of one lesson, such as "03"')
    parser.add_argument("--label", help='only the rows of one formula, such as "D3"')


def _verify(arguments):
    from . import verify

    outcomes = verify.verify(verify.select(label=arguments.label, lesson=arguments.lesson))
    print(verify.table(outcomes))
    return int(any(outcome.failed for outcome in outcomes) or all(outcome.missing for outcome in outcomes))


def _build_arguments(parser):
    parser.add_argument(
        "names", nargs="*", metavar="lesson", help="such as 03_exact_emd_linear_programming; all when none is named"
    )


def _build(arguments):
    from .authoring import build

    return build.main(arguments.names)


def _bench_arguments(parser):
    parser.add_argument(
        "--only",
        choices=("loss", "step", "emd"),
        help="one part: the losses by themselves, whole training steps, or exact transport",
    )
    parser.add_argument("--quick", action="store_true", help="the first size alone, 3 repeats, no growth of the losses")
    parser.add_argument("--csv", metavar="FILE", help="write every measurement there")
    parser.add_argument("--plot", metavar="FILE", help="draw the measurements there (.png or .svg)")


def _bench(arguments):
    from . import bench

    return bench.main(arguments.only, arguments.quick, arguments.csv, arguments.plot)


def _finetune_arguments(parser):
    parser.add_argument(
        "--model",
        required=True,
        help="tiny (part of this package), gpt2 (from the Hugging Face hub), or a folder with a model",
    )
    parser.add_argument(
        "--text", required=True, help="world (domain B), wikitext-2 (from the hub), or a text file in UTF-8"
    )
    parser.add_argument(
        "--objective", required=True, help="such as ce, tailr, emo-mode-1; an unknown one prints the list"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="a new folder; of an interrupted run with the same settings: go on with it",
    )
    parser.add_argument("--steps", type=int, help="optimizer steps (3 epochs when not given, as in the EMO paper)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument(
        "--batch",
        type=int,
        default=32,
        help="blocks per step, over all processes and accumulation pieces (%(default)s)",
    )
    parser.add_argument("--block", type=int, help="tokens per block (256, or as many as the model has room for)")
    parser.add_argument(
        "--accumulation", type=int, default=1, help="pieces that a step's batch is worked through in (%(default)s)"
    )
    parser.add_argument("--precision", help="fp32, bf16 or fp16 (bf16 on a GPU that has it, otherwise fp32)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the objective, such as gamma=0.1"
    )
    parser.add_argument(
        "--save-every", type=int, default=200, metavar="N", help="steps between checkpoints (%(default)s)"
    )
    parser.add_argument(
        "--log-every", type=int, default=10, metavar="N", help="steps between entries of the history (%(default)s)"
    )


def _finetune(arguments):
    try:
        from .finetune import cli
    except ModuleNotFoundError as err:
        raise ValueError(f"fine-tuning needs {err.name}: pip install 'emo_teach[torch]'") from None
    return cli.main(arguments)


def _study_arguments(parser):
    parser.add_argument("name", help="which one: objectives, scratch, questions or soft_labels")
    parser.add_argument(
        "--out", metavar="FOLDER", default="data/studies", help="where its tables are, or begin (default: data/studies)"
    )
    parser.add_argument(
        "--work",
        metavar="FOLDER",
        default="build/studies",
        help="for pretrained models and the pictures (default: build/studies)",
    )
    parser.add_argument("--workers", type=int, help="processes at a time (default: one for each core)")


def _study(arguments):
    from . import studies

    studies.runner.run(studies.load(arguments.name), arguments.out, arguments.work, arguments.workers)
    for path in studies.redraw(arguments.name, arguments.out, arguments.work):
        print(path)
    return 0


def _course_arguments(parser):
    tasks = parser.add_subparsers(dest="task", required=True, metavar="task")
    build = tasks.add_parser("build", help="make the student edition (a folder and a zip) and the instructor's folder")
    build.add_argument("names", nargs="*", metavar="set", help="such as ps3; all when none is named")
    build.add_argument(
        "--out", metavar="DIR", default="build/course", help="a new folder, or an earlier course (default: %(default)s)"
    )
    build.add_argument(
        "--seed", type=int, default=0, help="a variant: other data, other hidden tests (default: %(default)s)"
    )
    grade = tasks.add_parser("grade", help="grade a folder that has one folder of notebooks for each student")
    grade.add_argument("folder", metavar="DIR")
    grade.add_argument(
        "--course", metavar="DIR", default="build/course", help="what `course build` made (default: %(default)s)"
    )
    grade.add_argument(
        "--out",
        metavar="DIR",
        default="build/grades",
        help="grades.csv, manual.csv and feedback (default: %(default)s)",
    )
    grade.add_argument(
        "--timeout",
        type=int,
        default=120,
        metavar="S",
        help="seconds for one notebook, a cell at most a quarter (%(default)s)",
    )
    grade.add_argument(
        "--memory", type=int, default=6144, metavar="MIB", help="address space of a process (%(default)s)"
    )
    grade.add_argument("--workers", type=int, metavar="N", help="submissions at a time (default: one for each core)")
    tasks.add_parser("check", help="is anything given away, do the graders reject and accept what they should")


def _course(arguments):
    from .authoring import course

    return course.main(arguments)


def _badges_arguments(parser):
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help='on GitHub; "" takes all badges out again')
    parser.add_argument("--ref", default="main", help="branch, tag or commit (default: %(default)s)")


def _badges(arguments):
    from .authoring import badges

    return badges.main(arguments.repo, arguments.ref)


def _site_arguments(parser):
    parser.add_argument(
        "--out", metavar="DIR", default="build/site", help="a new folder, or an earlier edition (default: %(default)s)"
    )


def _site(arguments):
    from .authoring import site

    return site.main(arguments.out)


# name: (one line of help, function that declares the arguments, function that runs and returns the exit status)
COMMANDS = {
    "verify": (
        "check every formula against its reference, and that its wrong version is rejected",
        _verify_arguments,
        _verify,
    ),
    "build": ("execute lessons' sources into notebooks", _build_arguments, _build),
    "course": (
        "problem sets: make the student edition, grade submissions, check the graders",
        _course_arguments,
        _course,
    ),
    "badges": (
        "say where the lessons are published: badges and the address that Colab installs from",
        _badges_arguments,
        _badges,
    ),
    "site": ("make a static edition of all lessons, to be read without a kernel or a network", _site_arguments, _site),
    "study": ("run a long comparison, or what is left of it, and draw its pictures anew", _study_arguments, _study),
    "bench": ("measure what the losses and exact transport cost on this machine", _bench_arguments, _bench),
    "finetune": (
        "fine-tune a language model with an objective; the EMO paper's settings where none are given",
        _finetune_arguments,
        _finetune,
    ),
}


def main(argv=None):
    """Run one command and return its exit status: 0 well, 1 something failed, 2 the request makes no sense.

    Raises SystemExit from argparse for an unknown command or option.
    """
    parser = argparse.ArgumentParser(
        prog="python -m emo_teach", description="Optimal-transport losses, formula by formula."
    )
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
