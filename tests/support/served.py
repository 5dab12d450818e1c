"""A server that speaks as much of vLLM's completions protocol as a target needs, in a thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import numpy as np

from testbed.models.base import Model
from testbed.models.vocabulary import Vocabulary

SERVED = "served-model"
PADDING = 3
"""Ids that the server has logits for, and no token."""


class Text:
    """Text side of ids that are characters' codes modulo V."""

    name = "text"
    context_length = 1 << 20
    end_tokens: frozenset[int] = frozenset()

    def __init__(self, size: int) -> None:
        self.vocabulary = Vocabulary({token: f"w{token}" for token in range(size)})

    def encode(self, text: str) -> list[int]:
        return [ord(character) % self.vocabulary.size for character in text]

    def encode_chat(self, prompt: str) -> list[int]:
        return self.encode(f"user: {prompt}")

    def decode(self, tokens: list[int]) -> str:
        return " ".join(map(str, tokens))


class Stub:
    """A model, and the answers of a server to questions about it; each test may change one."""

    def __init__(self, model: Model, encode: Callable[[str], list[int]] | None = None) -> None:
        self.model = model
        self.encode = encode or Text(model.vocabulary_size).encode
        self.cards: list[dict[str, Any]] = [{"id": SERVED, "max_model_len": 2048}]
        self.most_logprobs = 1 << 20
        self.change: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.requests: list[dict[str, Any]] = []
        """Bodies of the requests for completions."""

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/models":
            return 200, {"object": "list", "data": self.cards}
        if path == "/tokenize":
            tokens = self.encode(body["prompt"])
            return 200, {"count": len(tokens), "tokens": tokens}
        if path != "/v1/completions":
            return 404, {"detail": "Not Found"}
        self.requests.append(body)
        if body["model"] != SERVED:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        assert (body["max_tokens"], body["logprobs"]) == (1, -1)
        assert body["return_tokens_as_token_ids"]
        choices = [
            {"index": index, "text": "", "logprobs": {"top_logprobs": [self.row(prompt)]}}
            for index, prompt in enumerate(body["prompt"])
        ]
        return 200, self.change({"model": SERVED, "choices": choices})

    def row(self, prompt: list[int]) -> dict[str, float]:
        logits = self.model.session().extend(prompt, keep=1)[0]
        values = log_softmax(np.concatenate([logits, np.full(PADDING, -20, np.float32)]))
        best = np.argsort(-values, kind="stable")[: self.most_logprobs]
        return {f"token_id:{token}": max(float(values[token]), -9999.0) for token in best}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    x = logits - logits.max()
    return x - np.log(np.exp(x).sum())


@contextmanager
def serve(stub: Stub, socket: Path | None = None) -> Iterator[str]:
    """Serve on a Unix socket, else on a port of this host; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            status, answer = stub.answer(self.path, body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    server: Any
    if socket:
        server, address = ThreadingUnixStreamServer(str(socket), Handler), f"unix:{socket}"
    else:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
