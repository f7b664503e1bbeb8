"""`ptsel export --format hf`: a pretrained encoder as Hugging Face's ``Wav2Vec2Model`` reads it.

The folder holds ``model.safetensors``, ``config.json`` and ``preprocessor_config.json``. Quantiser, projections of the
contrastive loss and pretext heads are left out: they have no part in the encoder's output.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptsel_fairseq.base.conv_layers import parse_conv_layers
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, output_folder, write_text

if TYPE_CHECKING:
    import torch

# fairseq's names as patterns, and Hugging Face's; the first that matches counts.
NAMES = (
    (r"mask_emb", "masked_spec_embed"),
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.(weight|bias)", r"feature_extractor.conv_layers.\1.conv.\2"),
    (
        r"feature_extractor\.conv_layers\.(\d+)\.2\.(?:1\.)?(weight|bias)",
        r"feature_extractor.conv_layers.\1.layer_norm.\2",
    ),
    (r"layer_norm\.(weight|bias)", r"feature_projection.layer_norm.\1"),
    (r"post_extract_proj\.(weight|bias)", r"feature_projection.projection.\1"),
    (r"encoder\.pos_conv\.0\.(bias|weight_g|weight_v)", r"encoder.pos_conv_embed.conv.\1"),
    (r"encoder\.layer_norm\.(weight|bias)", r"encoder.layer_norm.\1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.([kvq]|out)_proj\.(.+)", r"encoder.layers.\1.attention.\2_proj.\3"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.(.+)", r"encoder.layers.\1.layer_norm.\2"),
    (r"encoder\.layers\.(\d+)\.fc1\.(.+)", r"encoder.layers.\1.feed_forward.intermediate_dense.\2"),
    (r"encoder\.layers\.(\d+)\.fc2\.(.+)", r"encoder.layers.\1.feed_forward.output_dense.\2"),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.(.+)", r"encoder.layers.\1.final_layer_norm.\2"),
)
LEFT_OUT = ("quantizer.", "project_q.", "final_proj.", "target_glu.", "pretext_heads.")


def write_hf(stock: Mapping[str, Any], out: Path) -> int:
    """Write the folder `out` from a stock checkpoint (see `base.stock.to_stock`); how many tensors it holds.

    Raises:
        PtselError: an architecture that ``Wav2Vec2Model`` does not have, safetensors is not installed, or the
            folder cannot be written.
    """
    if importlib.util.find_spec("safetensors") is None:
        raise PtselError(
            "--format hf: writing safetensors needs the package safetensors; pip install 'ptsel_fairseq[hf]'"
        )
    model_cfg = _with_defaults(stock["cfg"]["model"])
    config = hf_config(model_cfg)
    tensors = hf_tensors(stock["model"], model_cfg)
    normalize = bool(stock["cfg"]["task"].get("normalize", False))
    with output_folder(out):
        _write(out, tensors, config, normalize)
    return len(tensors)


def _write(
    out: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], normalize: bool
) -> None:
    from safetensors.torch import save

    with WholeFile(out / "model.safetensors") as file:
        file.write(save(dict(tensors), metadata={"format": "pt"}))
    preprocessor = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": 16_000,
        "padding_side": "right",
        "padding_value": 0.0,
        "do_normalize": normalize,
        "return_attention_mask": config["feat_extract_norm"] == "layer",
    }
    for name, content in (("preprocessor_config.json", preprocessor), ("config.json", config)):
        write_text(out / name, json.dumps(content, indent=2) + "\n")


def hf_config(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """``config.json`` of a wav2vec 2.0 with fairseq's model configuration `cfg`, complete with defaults."""
    refused = {
        "layer_type": cfg["layer_type"] != "transformer",
        "quantize_input": cfg["quantize_input"],
        "pos_conv_depth": cfg["pos_conv_depth"] != 1,
        "activation_fn": cfg["activation_fn"] not in ("gelu", "relu"),
    }
    for key, found in refused.items():
        if found:
            raise PtselError(
                f"--format hf: model.{key} is {cfg[key]}, which Hugging Face's Wav2Vec2Model does not have; export "
                "for fairseq instead"
            )
    layers = parse_conv_layers(cfg["conv_feature_layers"], "the checkpoint")
    return {
        "architectures": ["Wav2Vec2Model"],
        "model_type": "wav2vec2",
        "hidden_size": cfg["encoder_embed_dim"],
        "num_hidden_layers": cfg["encoder_layers"],
        "num_attention_heads": cfg["encoder_attention_heads"],
        "intermediate_size": cfg["encoder_ffn_embed_dim"],
        "hidden_act": cfg["activation_fn"],
        "hidden_dropout": cfg["dropout"],
        "attention_dropout": cfg["attention_dropout"],
        "activation_dropout": cfg["activation_dropout"],
        "feat_proj_dropout": cfg["dropout_input"],
        "layerdrop": cfg["encoder_layerdrop"],
        "layer_norm_eps": 1e-5,
        "feat_extract_norm": "layer" if cfg["extractor_mode"] == "layer_norm" else "group",
        "feat_extract_activation": "gelu",
        "conv_dim": [dim for dim, _, _ in layers],
        "conv_kernel": [kernel for _, kernel, _ in layers],
        "conv_stride": [stride for _, _, stride in layers],
        "num_feat_extract_layers": len(layers),
        "conv_bias": cfg["conv_bias"],
        "num_conv_pos_embeddings": cfg["conv_pos"],
        "num_conv_pos_embedding_groups": cfg["conv_pos_groups"],
        "do_stable_layer_norm": cfg["layer_norm_first"],
        "mask_time_prob": cfg["mask_prob"],
        "mask_time_length": cfg["mask_length"],
        "mask_feature_prob": cfg["mask_channel_prob"],
        "mask_feature_length": cfg["mask_channel_length"],
        "torch_dtype": "float32",
    }


def hf_tensors(state: Mapping[str, torch.Tensor], cfg: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The encoder's tensors under Hugging Face's names, float32.

    Raises:
        PtselError: a tensor that has no name there.
    """
    import torch

    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if name.startswith(LEFT_OUT):
            continue
        for pattern, renamed in NAMES:
            if re.fullmatch(pattern, name):
                tensors[re.sub(pattern, renamed, name)] = tensor.float().contiguous()
                break
        else:
            raise PtselError(f"--format hf: the tensor {name} has no place in Hugging Face's Wav2Vec2Model")
    # fairseq has no projection where the dimensions agree already; there it always is one.
    if "feature_projection.projection.weight" not in tensors:
        tensors["feature_projection.projection.weight"] = torch.eye(cfg["encoder_embed_dim"])
        tensors["feature_projection.projection.bias"] = torch.zeros(cfg["encoder_embed_dim"])
    return tensors


def _with_defaults(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """A model configuration with fairseq's defaults for what a checkpoint of another version lacks."""
    defaults = {
        "layer_type": "transformer",
        "quantize_input": False,
        "pos_conv_depth": 1,
        "activation_fn": "gelu",
        "conv_bias": False,
        "conv_pos": 128,
        "conv_pos_groups": 16,
        "layer_norm_first": False,
        "extractor_mode": "default",
        "mask_channel_prob": 0.0,
        "mask_channel_length": 10,
    }
    return {**defaults, **cfg}
