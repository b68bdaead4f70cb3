"""Files of the Hugging Face hub: from its cache where they are, from the net where it answers, and an error within seconds where it does not."""

import threading
import urllib.error
import urllib.request
from pathlib import Path

ANSWER = 10  # seconds that the hub has for its first answer
GPT2 = "openai-community/gpt2"
GPT2_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
]
WIKITEXT, CONFIG = "Salesforce/wikitext", "wikitext-2-raw-v1"


def gpt2():
    """Folder of GPT-2 (124M parameters) in the hub's cache.

    Returns a `Path`. Raises ValueError as `fetch`. Source: https://huggingface.co/openai-community/gpt2.
    """
    return fetch(GPT2, "model", GPT2_FILES, ["config.json", "model.safetensors", "tokenizer.json"])


def wikitext2():
    """WikiText-2 (raw) as two texts: to train on, and for validation.

    Raises ValueError as `fetch`, and where pyarrow is missing. Source:
    https://huggingface.co/datasets/Salesforce/wikitext.
    """
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise ValueError("text = wikitext-2 comes as parquet files, which need pyarrow: pip install pyarrow") from None
    needed = [f"{CONFIG}/{part}-00000-of-00001.parquet" for part in ("train", "validation")]
    folder = fetch(WIKITEXT, "dataset", needed, needed)
    return ["".join(parquet.read_table(folder / name, columns=["text"])["text"].to_pylist()) for name in needed]


def fetch(repository, kind, files, needed):
    """Folder with a repository's `files`, of which those in `needed` must be there.

    Returns a `Path`. Raises ValueError when they are not in the cache and the hub is switched off (HF_HUB_OFFLINE),
    does not answer within `ANSWER` seconds, or breaks off.
    """
    import huggingface_hub

    asked = {"repo_type": kind, "allow_patterns": files}
    if found := _complete(
        lambda: huggingface_hub.snapshot_download(repository, local_files_only=True, **asked), needed
    ):
        return found
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise ValueError(f"{repository} is not in the cache, and HF_HUB_OFFLINE keeps the hub switched off")
    _knock(f"{huggingface_hub.constants.ENDPOINT}/api/{kind}s/{repository}", repository)
    try:
        found = _complete(
            lambda: huggingface_hub.snapshot_download(repository, etag_timeout=ANSWER, **asked), needed, quietly=False
        )
    except Exception as err:  # a dozen classes of what can go wrong on the way
        raise ValueError(f"{repository} could not be fetched from the hub ({first_line(err)})") from err
    if not found:
        raise ValueError(f"{repository} lacks one of {', '.join(needed)}")
    return found


def _complete(get, needed, quietly=True):
    """The folder if it has all that is needed, otherwise None."""
    try:
        folder = Path(get())
    except FileNotFoundError:  # huggingface_hub's LocalEntryNotFoundError is one
        if quietly:
            return None
        raise
    return folder if all((folder / name).is_file() for name in needed) else None


def first_line(err):
    """The first line of an exception's message, or its class where there is none.

    Returns a string of at most 200 characters.
    """
    return (str(err).strip().splitlines() or [type(err).__name__])[0][:200]


def _knock(url, repository):
    """ValueError unless a first answer comes in time. A thread keeps the time: looking up a name has no limit of its own, and retries add up."""
    outcome = []

    def ask():
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers={"User-Agent": "emo_teach"}), timeout=ANSWER
            ) as answer:
                answer.read(1)
            outcome.append(None)
        except urllib.error.HTTPError as err:
            outcome.append(f"it answers {err.code} {err.reason}")
        except Exception as err:  # no route, no name, or an answer that is no HTTP
            outcome.append(first_line(getattr(err, "reason", err)))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER)
    if not outcome:
        raise ValueError(f"{repository}: the hub did not answer within {ANSWER} s ({url})")
    if outcome[0] is not None:
        raise ValueError(f"{repository}: the hub cannot be reached ({url}: {outcome[0]})")
