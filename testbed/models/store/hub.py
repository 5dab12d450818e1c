"""Models named by their Hugging Face id: data files only, never pickles or code."""

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
    """Local directory of a model, downloaded unless Hugging Face's cache has it.

    `reference` is "org/name", or "org/name@revision" for a branch, tag, commit or refs/pr/N.
    Raises TestbedError when it cannot be had, or holds no safetensors.
    """
    model, _, revision = reference.partition("@")
    try:
        path = Path(snapshot_download(model, revision=revision or None, allow_patterns=_FILES))
    except GatedRepoError as error:
        raise TestbedError(
            f"Model '{model}' is gated: accept its licence at https://huggingface.co/{model}, "
            "then log in with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise TestbedError(
            f"Model '{model}' has no revision '{revision}'; a branch, a tag, a commit and "
            "refs/pr/N are allowed."
        ) from error
    except Exception as error:  # network, hub and file-system errors of several libraries
        raise TestbedError(
            f"Cannot download model '{reference}' ({type(error).__name__}); "
            "check the name and the connection to the Hugging Face hub, or name a local directory."
        ) from error
    if not any(path.glob("model*.safetensors")):
        raise TestbedError(
            f"Model '{reference}' holds no safetensors, and other weight formats can run code and "
            f"are not loaded; {_way_out(model)}"
        )
    return path


def _way_out(model: str) -> str:
    """What to do about a model with pickles alone: many were converted, but never merged."""
    try:
        found = [
            discussion.git_reference
            for discussion in get_repo_discussions(model, author=_CONVERTER)
            if discussion.is_pull_request
            and discussion.title == _CONVERSION
            and discussion.status == "open"
        ]
    except Exception:  # the advice below needs no hub
        found = []
    if found:
        return f"its conversion by Hugging Face is a revision of its own, '{model}@{found[0]}'."
    return "https://huggingface.co/spaces/safetensors/convert makes a revision that has them."
