"""The command line: `python -m emo_teach <command>`. A command imports what it needs only when it runs."""

import argparse
import contextlib
import os
import sys
from importlib import import_module
from importlib.util import find_spec


def _call(module, function="main"):
    """A function of a module, imported only when its command runs and called with the command's arguments by name."""

    def run(arguments):
        options = {name: value for name, value in vars(arguments).items() if name not in ("command", "run")}
        return getattr(import_module(f"{__package__}.{module}"), function)(**options)

    return run


def _verify_arguments(parser):
    """check each formula against a reference, and that a wrong version is rejected"""
    parser.add_argument("--lesson", help='only the rows of one lesson, such as "03"')
    parser.add_argument("--label", help='only the rows of one formula, such as "D3"')


def _verify(arguments):
    from . import verify

    outcomes = verify.verify(verify.select(label=arguments.label, lesson=arguments.lesson))
    print(verify.table(outcomes))
    if all(outcome.missing for outcome in outcomes):
        raise ModuleNotFoundError(name=outcomes[0].missing)
    return int(any(outcome.failed for outcome in outcomes))


def _build_arguments(parser):
    """execute the lessons into notebooks, renew the README's table"""
    parser.add_argument("names", nargs="*", metavar="lesson", help="such as 04_one_hot_closed_form (default: all)")


def _course_arguments(parser):
    """problem sets: make the student edition, grade submissions, check the graders"""
    from .authoring.course.limits import Limits

    tasks = parser.add_subparsers(dest="task", required=True, metavar="task")
    build = tasks.add_parser("build", help="make the student edition (a folder and a zip) and the instructor's folder")
    build.add_argument("names", nargs="*", metavar="set", help="such as ps3 (default: all)")
    where = "a new folder, or an earlier course (default: %(default)s)"
    build.add_argument("--out", metavar="DIR", default="build/course", help=where)
    variant = "a variant with other data and other hidden tests (default: %(default)s)"
    build.add_argument("--seed", type=int, default=0, help=variant)
    grade = tasks.add_parser("grade", help="grade a folder that holds one folder of notebooks for each student")
    grade.add_argument("folder", metavar="DIR")
    where = "the folder that `course build` made (default: %(default)s)"
    grade.add_argument("--course", metavar="DIR", default="build/course", help=where)
    where = "where to write grades.csv, manual.csv and feedback (default: %(default)s)"
    grade.add_argument("--out", metavar="DIR", default="build/grades", help=where)
    Limits.add_arguments(grade)
    tasks.add_parser("check", help="check that no answer is given away, and that the graders accept and reject rightly")


def _badges_arguments(parser):
    """say where the lessons are published: badges, and the address that Colab installs from"""
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help='on GitHub; "" takes all badges out again')
    parser.add_argument("--ref", default="main", help="branch, tag or commit (default: %(default)s)")


def _site_arguments(parser):
    """make a static edition of all lessons, to be read without a kernel or a network"""
    where = "a new folder, or an earlier edition (default: %(default)s)"
    parser.add_argument("--out", metavar="DIR", default="build/site", help=where)


def _words_arguments(parser):
    """rebuild the word vectors and tables in data/ from a model's weights"""
    parser.add_argument("--gguf", metavar="FILE", required=True, help="the GGUF file with the model's weights")
    parser.add_argument("--out", metavar="DIR", required=True, help="the folder to write to, such as data")


def _tiny_arguments(parser):
    """pretrain the small model in data/tiny again"""
    parser.add_argument("--out", metavar="DIR", required=True, help="the folder to write to, such as data/tiny")


def _study_arguments(parser):
    """run a long comparison, or what is left of it, and draw its pictures"""
    parser.add_argument("name", help="objectives, scratch, questions or soft_labels")
    parser.add_argument("--out", metavar="DIR", default="data/studies", help="for its tables (default: %(default)s)")
    where = "for pretrained models and pictures (default: %(default)s)"
    parser.add_argument("--work", metavar="DIR", default="build/studies", help=where)
    parser.add_argument("--workers", type=int, help="processes at a time (default: one for each core)")


def _study(arguments):
    from . import figures, files, studies

    files.need("torch", "transformers", "accelerate")
    found = studies.runner.run(studies.load(arguments.name), arguments.out, arguments.work, arguments.workers)
    for path in figures.redraw(arguments.name, found[arguments.name], arguments.work):
        print(path)
    return 0


def _bench_arguments(parser):
    """measure what the losses and exact transport cost on this machine"""
    parser.add_argument(
        "--only", choices=("loss", "step", "emd"), help="losses, whole steps, or exact transport (no torch)"
    )
    parser.add_argument("--quick", action="store_true", help="the first size only, 3 repeats, no growth of the losses")
    parser.add_argument("--csv", metavar="FILE", help="write every measurement to this file")
    parser.add_argument("--plot", metavar="FILE", help="draw the measurements into this file (.png or .svg)")


def _finetune_arguments(parser):
    """fine-tune a language model with an objective; the defaults are the EMO paper's settings"""

    def add(name, text, **options):
        parser.add_argument(f"--{name}", help=text, **options)

    add("model", "tiny (part of this package), gpt2 (from the Hugging Face hub), or a model's folder", required=True)
    add("text", "world (domain B), wikitext-2 (from the hub), or a text file in UTF-8", required=True)
    add("objective", "such as ce, tailr, emo-mode-1; an unknown name prints the list", required=True)
    add("out", "a new folder, or that of an interrupted run, which goes on", required=True, metavar="DIR")
    add("steps", "optimizer steps (default: 3 epochs, as in the EMO paper)", type=int)
    add("seed", "of the weights and the order of the texts (default: %(default)s)", type=int, default=42)
    add("lr", "learning rate (default: %(default)s)", type=float, default=5e-5)
    add("batch", "blocks per step, over all processes and pieces (default: %(default)s)", type=int, default=32)
    add("block", "tokens per block (default: 256, or as many as the model takes)", type=int)
    add("accumulation", "pieces into which a step's batch is cut (default: %(default)s)", type=int, default=1)
    add("precision", "fp32, bf16 or fp16 (default: bf16 on a GPU of capability 8 or higher, otherwise fp32)")
    add("head", "auto, fused (less memory) or logits (any model); auto is fused where it fits", default="auto")
    add("option", "of the objective, such as gamma=0.1", action="append", default=[], metavar="NAME=VALUE")
    add("save-every", "steps between checkpoints (default: %(default)s)", type=int, default=200, metavar="N")
    add("log-every", "steps between history entries (default: %(default)s)", type=int, default=10, metavar="N")


def _finetune(arguments):
    from .finetune import run

    return run.main(arguments)


COMMANDS = {  # name: (what declares the arguments, what runs and returns the exit status, extra with what it needs)
    "verify": (_verify_arguments, _verify, "test"),
    "build": (_build_arguments, _call("authoring.build"), "author"),
    "course": (_course_arguments, _call("authoring.course"), "course"),
    "badges": (_badges_arguments, _call("authoring.build", "badges"), "author"),
    "site": (_site_arguments, _call("authoring.site"), "site"),
    "words": (_words_arguments, _call("authoring.data_files", "words"), "author"),
    "tiny": (_tiny_arguments, _call("authoring.data_files", "tiny"), "torch"),
    "study": (_study_arguments, _study, "torch"),
    "bench": (_bench_arguments, _call("bench"), "torch"),
    "finetune": (_finetune_arguments, _finetune, "torch"),
}
PROGRAM = "python -m emo_teach"
AUTHORS = {"build", "course", "badges", "site", "words", "tiny"}  # the student edition comes without these


def main(argv=None):
    """Run one command; returns its exit status.

    0: success; 1: a failed check; 2: a request that makes no sense, a missing package, a file that cannot be read or
    written, each said in one line; 130: interrupted. Characters that the output cannot encode are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()  # here, where what fails can still be said
    except BrokenPipeError:  # whoever read the output has gone, such as `head`
        _drop_output()
        return 1
    except OSError as err:
        _drop_output()
        return _refuse(PROGRAM, f"the system stopped it: {err.strerror or err}")


def _run(argv):
    """Parse the arguments and run the command; what goes wrong becomes one line."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Optimal-transport losses, formula by formula.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (declare, run, _) in COMMANDS.items():
        if name in AUTHORS and find_spec(f"{__package__}.authoring") is None:
            continue
        command = commands.add_parser(name, help=declare.__doc__, description=declare.__doc__)
        declare(command)
        command.set_defaults(run=run)
    arguments = parser.parse_args(argv)
    said_by = f"{PROGRAM} {arguments.command}"
    try:
        return arguments.run(arguments)
    except ValueError as err:
        return _refuse(said_by, str(err))
    except ModuleNotFoundError as err:
        if not err.name or err.name.startswith(__package__):  # a fault of ours
            raise
        extra = "torch" if err.name in ("torch", "transformers") else COMMANDS[arguments.command][2]
        advice = f'in the project\'s folder, pip install ".[{extra}]"'
        return _refuse(said_by, f"this needs {err.name}, which is not installed: {advice}")
    except OSError as err:
        if err.filename is None:  # such as a full disk behind the output
            raise
        return _refuse(said_by, f"cannot read or write {err.filename}: {err.strerror}")
    except KeyboardInterrupt:
        _refuse(said_by, "interrupted")
        return 130


def _refuse(said_by, message):
    """Say in one line why a command does nothing more; returns 2."""
    print(f"{said_by}: {' '.join(message.splitlines())}", file=sys.stderr)
    return 2


def _drop_output():
    """Let what is still to be written to a broken standard output go nowhere: Python would try again at its end."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
