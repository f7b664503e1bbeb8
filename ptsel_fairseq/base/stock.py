"""What stock fairseq 0.12 knows of a wav2vec 2.0 checkpoint, and the stock twin of a checkpoint of the plugin.

The lists are those of fairseq's own dataclasses and model, so that whatever the plugin adds is left out by itself;
`tests/export/test_stock.py` compares them with the fairseq that is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.conv_layers import parse_conv_layers
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.version import __version__

STOCK_NAMES = {"model": "wav2vec2", "task": "audio_pretraining", "criterion": "wav2vec"}
OUR_MODEL = "ptsel_wav2vec2"
HEADS_PREFIX = "pretext_heads."
HEAD_TENSORS = (HEADS_PREFIX, "pretext_balancing.")  # first parts of the names of what only pretraining needs

# Fields of Wav2Vec2Config, AudioPretrainingConfig and Wav2VecCriterionConfig but `_name`, which is set apart.
MODEL = """
    extractor_mode encoder_layers encoder_embed_dim encoder_ffn_embed_dim encoder_attention_heads activation_fn
    layer_type dropout attention_dropout activation_dropout encoder_layerdrop dropout_input dropout_features
    final_dim layer_norm_first conv_feature_layers conv_bias logit_temp quantize_targets quantize_input
    same_quantizer target_glu feature_grad_mult quantizer_depth quantizer_factor latent_vars latent_groups
    latent_dim mask_length mask_prob mask_selection mask_other no_mask_overlap mask_min_space require_same_masks
    mask_dropout mask_channel_length mask_channel_prob mask_channel_before mask_channel_selection
    mask_channel_other no_mask_channel_overlap mask_channel_min_space num_negatives negatives_from_everywhere
    cross_sample_negatives codebook_negatives conv_pos conv_pos_groups pos_conv_depth latent_temp max_positions
    checkpoint_activations required_seq_len_multiple crop_seq_to_multiple depthwise_conv_kernel_size attn_type
    pos_enc_type fp16 adp_num adp_dim adp_act_fn adp_trf_idx
"""
TASK = """
    data labels multi_corpus_keys multi_corpus_sampling_weights binarized_dataset sample_rate normalize
    enable_padding max_sample_size min_sample_size num_batch_buckets tpu text_compression_level rebuild_batches
    precompute_mask_config post_save_script subsample seed
"""
CRITERION = "infonce loss_weights log_keys"
FIELDS = {
    section: set(names.split()) for section, names in zip(STOCK_NAMES, (MODEL, TASK, CRITERION), strict=True)
}
# First parts of the names of a stock Wav2Vec2Model's tensors.
TENSORS = {
    *(
        "mask_emb",
        "feature_extractor",
        "layer_norm",
        "post_extract_proj",
        "encoder",
        "final_proj",
        "target_glu",
    ),
    *("quantizer", "project_q", "input_quantizer", "project_inp"),
}


def to_stock(
    state: Mapping[str, Any],
    where: Path | str = "checkpoint",
    why_not: Callable[[Mapping[str, Any]], str] = lambda settings: "only that one can be exported",
) -> dict[str, Any]:
    """The stock twin of a loaded checkpoint of the plugin: stock names, stock settings, stock tensors, nothing else.

    Args:
        state: see `checkpoint.load_checkpoint`.
        where: what messages call it.
        why_not: what to do with a checkpoint of another model, from its settings.

    Raises:
        PtselError: the checkpoint is of another model than ``ptsel_wav2vec2``.
    """
    settings = state["cfg"]["model"]
    if settings.get("_name") != OUR_MODEL or settings.get("frontend", "waveform") != "waveform":
        found = " with model.frontend: ".join(
            str(settings[key]) for key in ("_name", "frontend") if settings.get(key)
        )
        raise PtselError(
            f"{where}: expected a checkpoint of the model {OUR_MODEL} with its own front end, found {found}; "
            f"{why_not(settings)}"
        )
    if "conv_feature_layers" in state["cfg"]["model"]:  # stock fairseq evaluates it
        parse_conv_layers(state["cfg"]["model"]["conv_feature_layers"], where)
    cfg = {
        section: dict(value) if isinstance(value, Mapping) else value
        for section, value in state["cfg"].items()
    }
    for section, stock_name in STOCK_NAMES.items():
        settings = cfg.get(section) or {}
        cfg[section] = {key: value for key, value in settings.items() if key in FIELDS[section]}
        cfg[section]["_name"] = stock_name
    cfg["common"] = {**(cfg.get("common") or {}), "user_dir": None}
    return {
        "args": None,
        "cfg": cfg,
        "model": {key: value for key, value in state["model"].items() if key.partition(".")[0] in TENSORS},
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "Wav2vecCriterion",
                "optimizer_name": "",
                "lr_scheduler_state": {},
                "num_updates": _updates(state),
            }
        ],
        "task_state": {},
        "extra_state": {"ptsel_fairseq": {"version": __version__, "pretext_weights": pretext_weights(state)}},
        "last_optimizer_state": None,
    }


def pretext_weights(state: Mapping[str, Any]) -> dict[str, float]:
    """The λ that a checkpoint was trained with; none where it does not say so."""
    found = (state["cfg"].get("criterion") or {}).get("pretext_weights")
    return dict(found) if isinstance(found, Mapping) else {}


def _updates(state: Mapping[str, Any]) -> int:
    """How long a checkpoint was trained; 0 where it does not say so."""
    try:
        return int(state["optimizer_history"][-1]["num_updates"])
    except (KeyError, IndexError, TypeError, ValueError):
        return 0
