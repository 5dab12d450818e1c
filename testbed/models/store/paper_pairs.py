"""Model pairs measured in the papers: Hugging Face ids, sizes and conditions of download."""

from __future__ import annotations

from dataclasses import dataclass

_PICKLE, _GATED = "pickles", "gated"
NOTES = {
    _PICKLE: "its main branch has pickles, which are not loaded; the error names the revision with "
    "safetensors, org/name@refs/pr/N",
    _GATED: "accept its licence on huggingface.co, then log in: hf auth login",
}


@dataclass(frozen=True)
class HubModel:
    """A model on the Hugging Face hub; its number of weights follows from its configuration."""

    id: str
    weights: int
    stored_bytes: float
    """Bytes per weight on the hub."""
    note: str = ""
    """A key of NOTES, or empty."""

    @property
    def download(self) -> float:
        """Size of the download in GB."""
        return self.weights * self.stored_bytes / 1e9

    def memory(self, bytes_per_weight: int) -> float:
        """Return the memory for its weights in GB."""
        return self.weights * bytes_per_weight / 1e9


@dataclass(frozen=True)
class PaperPair:
    """A draft and a target that share one vocabulary."""

    draft: HubModel
    target: HubModel
    used_by: str

    @property
    def note(self) -> str:
        """Conditions of download of both models: keys of NOTES, or empty."""
        return ", ".join(dict.fromkeys(m.note for m in (self.draft, self.target) if m.note))


_OPT_125M = HubModel("facebook/opt-125m", 125_239_296, 2, _PICKLE)
_OPT_1_3B = HubModel("facebook/opt-1.3b", 1_315_758_080, 2, _PICKLE)
_OPT_6_7B = HubModel("facebook/opt-6.7b", 6_658_473_984, 2, _PICKLE)
_OPT_13B = HubModel("facebook/opt-13b", 12_853_473_280, 2, _PICKLE)
_NEO_125M = HubModel("EleutherAI/gpt-neo-125m", 125_198_592, 4.2)
_NEO_1_3B = HubModel("EleutherAI/gpt-neo-1.3B", 1_315_575_808, 4.04)
_LLAMA_68M = HubModel("JackFram/llama-68m", 68_030_208, 4)
_LLAMA_7B = HubModel("huggyllama/llama-7b", 6_738_415_616, 2)
_LLAMA_2_7B = HubModel("meta-llama/Llama-2-7b-hf", 6_738_415_616, 2, _GATED)
_QWEN25_05B = HubModel("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768, 2)
_QWEN25_7B = HubModel("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512, 2)
_QWEN3_06B = HubModel("Qwen/Qwen3-0.6B", 596_049_920, 2.52)  # its head is stored twice
_QWEN3_8B = HubModel("Qwen/Qwen3-8B", 8_190_735_360, 2)

PAPER_PAIRS = (
    PaperPair(_OPT_125M, _OPT_1_3B, "DSSD's code"),
    PaperPair(_OPT_125M, _OPT_6_7B, "DSSD"),
    PaperPair(_OPT_125M, _OPT_13B, "DSSD, QS"),
    PaperPair(_NEO_125M, _NEO_1_3B, "SQS"),
    PaperPair(_LLAMA_68M, _LLAMA_7B, "TK-SLT"),
    PaperPair(_LLAMA_68M, _LLAMA_2_7B, "others"),
    PaperPair(_QWEN25_05B, _QWEN25_7B, "GELATO"),
    PaperPair(_QWEN3_06B, _QWEN3_8B, "none yet"),
)
