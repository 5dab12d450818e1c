"""Download of models by their Hugging Face id: data files only, never pickles or code."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import get_repo_discussions, snapshot_download
from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

from testbed.errors import TestbedError

_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
]
_CONVERTER, _CONVERSION = "SFconvertbot", "Adding `safetensors` variant of this model"


def download(reference: str) -> Path:
    """Download a model, unless Hugging Face's cache has it; return its local directory.

    `reference` is "org/name", or "org/name@revision" for a branch, tag, commit or refs/pr/N.
    Raises TestbedError when the download fails, or the model has no safetensors.
    """
    model, _, revision = reference.partition("@")
    try:
        path = Path(snapshot_download(model, revision=revision or None, allow_patterns=_FILES))
    except GatedRepoError as error:
        raise TestbedError(
            f"model '{model}' is gated: accept its licence at https://huggingface.co/{model}, "
            "then log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise TestbedError(
            f"model '{model}' has no revision '{revision}'; allowed are a branch, a tag, a "
            "commit and refs/pr/N"
        ) from error
    except Exception as error:  # network, hub and file-system errors of several libraries
        raise TestbedError(
            f"cannot download model '{reference}' ({type(error).__name__}); "
            "check the name and the connection to the Hugging Face hub, or name a local directory"
        ) from error
    if not any(path.glob("model*.safetensors")):
        raise TestbedError(
            f"model '{reference}' has no safetensors, and other weight formats can run code and "
            f"are not loaded; {_remedy(model)}"
        )
    return path


def _remedy(model: str) -> str:
    """Return the remedy for a model that has pickles only.

    Many such models have a conversion in a pull request that was never merged.
    """
    try:
        found = [
            discussion.git_reference
            for discussion in get_repo_discussions(model, author=_CONVERTER)
            if discussion.is_pull_request
            and discussion.title == _CONVERSION
            and discussion.status == "open"
        ]
    except Exception:  # the other remedy needs no connection
        found = []
    if found:
        return f"take its conversion by Hugging Face, '{model}@{found[0]}'"
    return "https://huggingface.co/spaces/safetensors/convert makes a revision with safetensors"
