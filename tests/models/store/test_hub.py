"""Requests to the Hugging Face hub and the handling of its answers, without a network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.community import Discussion
from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

from testbed.errors import TestbedError
from testbed.models.store import hub


def discussion(number: int, **changes: Any) -> Discussion:
    values: dict[str, Any] = {
        "title": "Adding `safetensors` variant of this model",
        "status": "open",
        "num": number,
        "repo_id": "org/name",
        "repo_type": "model",
        "author": "SFconvertbot",
        "is_pull_request": True,
        "created_at": datetime(2023, 1, 1),
        "endpoint": "https://huggingface.co",
    }
    return Discussion(**{**values, **changes})


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Any]]:
    """Let the hub answer with files or an error; the returned list holds the requests."""

    def let(*files: str, error: Exception | None = None, talk: Any = ()) -> list[Any]:
        requests = []

        def snapshot(model: str, *, revision: str | None, allow_patterns: list[str]) -> str:
            requests.append((model, revision, allow_patterns))
            if error:
                raise error
            for file in files:
                (tmp_path / file).touch()
            return str(tmp_path)

        def discussions(model: str, author: str) -> list[Discussion]:
            assert (model, author) == ("org/name", "SFconvertbot")
            if isinstance(talk, Exception):
                raise talk
            return list(talk)

        monkeypatch.setattr(hub, "snapshot_download", snapshot)
        monkeypatch.setattr(hub, "get_repo_discussions", discussions)
        return requests

    return let


def test_data_files_only(answer: Callable[..., list[Any]], tmp_path: Path) -> None:
    requests = answer("model.safetensors")
    assert hub.download("org/name") == tmp_path
    [(model, revision, patterns)] = requests
    assert (model, revision) == ("org/name", None)
    assert not [name for name in patterns if name.endswith((".bin", ".py", ".pt", ".pkl", "*"))]


def test_a_revision_goes_behind_an_at(answer: Callable[..., list[Any]]) -> None:
    requests = answer("model-00001-of-00002.safetensors")
    hub.download("org/name@refs/pr/3")
    assert requests[0][:2] == ("org/name", "refs/pr/3")


def refused(kind: type[Exception]) -> Exception:
    """Return an error whose constructor needs an HTTP response."""
    return kind.__new__(kind, "no")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionError("no route\nto host"), r"cannot download model 'org/name@x' \(Connection"),
        (refused(GatedRepoError), r"model 'org/name' is gated: .*co/org/name, .*`hf auth login`"),
        (refused(RevisionNotFoundError), r"model 'org/name' has no revision 'x'; .*refs/pr/N"),
    ],
)
def test_refusals_are_one_sentence(
    answer: Callable[..., list[Any]], error: Exception, words: str
) -> None:
    answer(error=error)
    with pytest.raises(TestbedError, match=rf"^{words}.*(?<!\.)$"):
        hub.download("org/name@x")


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (
            [discussion(2, status="closed"), discussion(4, title="Hi"), discussion(7)],
            r"take its conversion by Hugging Face, 'org/name@refs/pr/7'$",
        ),
        ([discussion(7, is_pull_request=False)], r"spaces/safetensors/convert makes a revision"),
        (ConnectionError("offline"), r"spaces/safetensors/convert makes a revision"),
    ],
)
def test_a_model_with_pickles_alone(
    answer: Callable[..., list[Any]], talk: Any, words: str
) -> None:
    """OPT is one: its safetensors are in an open pull request."""
    answer("config.json", talk=talk)
    with pytest.raises(TestbedError, match=rf"^model 'org/name' has no safetensors, .*{words}"):
        hub.download("org/name")
