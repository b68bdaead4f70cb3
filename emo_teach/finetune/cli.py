"""`python -m emo_teach finetune`: train what was asked for, or stop with one line and nothing written."""

import warnings

import torch
import transformers

from . import folder, texts
from .run import PAPER, check_precision, finetune, make_objective


def main(arguments):
    """Check the request, load model and text, train, and say what came of it; returns the exit status.

    Raises ValueError for a request that makes no sense, before anything is written.
    """
    _quiet()
    options = dict(map(_option, arguments.option))
    make_objective(arguments.objective, None, torch.eye(2), options)
    check_precision(arguments.precision)
    folder.check(arguments.out)
    texts.check_text(arguments.text)
    length = {"steps": arguments.steps} if arguments.steps is not None else {"epochs": PAPER["epochs"]}
    model, tokenizer = texts.load(texts.model_folder(arguments.model))
    room = getattr(model.config, "max_position_embeddings", None) or PAPER["block"]
    block = arguments.block or min(PAPER["block"], room)
    train, valid = texts.tokens(arguments.text, tokenizer, block)
    result = finetune(
        model,
        train,
        valid,
        arguments.objective,
        out=arguments.out,
        batch_size=arguments.batch,
        block=block,
        lr=arguments.lr,
        seed=arguments.seed,
        accumulation=arguments.accumulation,
        precision=arguments.precision,
        options=options,
        save_every=arguments.save_every,
        log_every=arguments.log_every,
        progress=True,
        tokenizer=tokenizer,
        **length,
    )
    _leave(result, arguments)
    return 0


def _quiet():
    """One line on stderr is for what is wrong; the libraries' own remarks and bars are not."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")


def _option(text):
    """("gamma", 0.1) from "gamma=0.1"; true, false and none are read as in Python."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"option {text!r} must be written as name=value, such as gamma=0.1")
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return name, words[value.lower()]
    try:
        return name, float(value)
    except ValueError:
        raise ValueError(f"option {text!r}: the value must be a number, true, false or none") from None


def _leave(result, arguments):
    """Say what was measured, once; and let processes go together."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not together or torch.distributed.get_rank() == 0:
        for name, words in (
            ("valid_loss", f"held-out {arguments.objective}"),
            ("valid_ce", "held-out cross-entropy (nats per token)"),
        ):
            _, values = result.column(name)
            print(f"{words}: {values[0]:.4f} -> {values[-1]:.4f}")
        print(f"model, tokenizer and history: {arguments.out}")
    if together:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
