"""Build fairseq's wav2vec 2.0 from a checkpoint of whomever, without running or allocating what the file asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.checkpoint import refuse_references
from ptsel_fairseq.base.conv_layers import parse_conv_layers
from ptsel_fairseq.base.errors import PtselError

PRETRAINING_PARTS = "quantizer.", "project_q.", "final_proj.", "target_glu."  # names of what is left out
DEFAULT_CONVOLUTIONS = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2"  # fairseq's
MOST, MOST_LAYERS = 1_000_000, 1000  # of any number in a configuration, and of layers


def build_stock_encoder(settings: Mapping[str, Any], weights: Mapping[str, Any], file: Path) -> Any:
    """The stock encoder of a configuration with its weights, without what only pretraining needs, ready to be used.

    It is first built without memory, so that a configuration that does not fit the weights is refused before it can
    ask for more than there is.

    Raises:
        PtselError: settings that are not those of a wav2vec 2.0, or weights that do not fit them.
    """
    import torch

    parse_conv_layers(settings.get("conv_feature_layers", DEFAULT_CONVOLUTIONS), file)  # fairseq evaluates it
    refuse_references(settings, file)
    kept = {key: value for key, value in weights.items() if not key.startswith(PRETRAINING_PARTS)}
    try:
        cfg = _encoder_settings(settings, weights, file)
        with torch.device("meta"), _without_first_weights():
            outline = _stock_encoder(cfg)
        expected = {key: tuple(tensor.shape) for key, tensor in outline.state_dict().items()}
    except (PtselError, ImportError):
        raise
    except Exception as error:  # fairseq raises what it comes upon in settings that it does not check
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PtselError(f"{file}: no wav2vec 2.0 can be built from its configuration ({reason})") from None
    found = {key: tuple(tensor.shape) for key, tensor in kept.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise PtselError(
                f"{file}: the weights do not fit the configuration beside them: {key} has the shape "
                f"{found.get(key, 'of nothing')}, expected {expected.get(key, 'no such tensor')}"
            )
    model = _stock_encoder(cfg)
    try:
        model.load_state_dict(kept)
    except RuntimeError as error:  # a type of number that cannot be converted
        raise PtselError(f"{file}: the weights do not fit the configuration beside them ({error})") from None
    model.eval()
    return model


def _encoder_settings(settings: Mapping[str, Any], weights: Mapping[str, Any], file: Path) -> Any:
    from fairseq.models.wav2vec import Wav2Vec2Config
    from omegaconf import OmegaConf

    known = OmegaConf.structured(Wav2Vec2Config)
    given = {key: value for key, value in settings.items() if key in known and key != "_name"}
    for key, value in given.items():
        most = MOST_LAYERS if "layers" in key or "depth" in key else MOST
        if isinstance(value, int) and abs(value) > most:
            raise PtselError(f"{file}: model.{key}: expected at most {most}, found {value}")
    # What only pretraining needs is not built, since nothing in the file says how large it may be.
    cfg = OmegaConf.merge(known, {**given, "quantize_targets": False, "target_glu": False})
    if cfg.quantize_input:  # whose code vectors take memory even in an outline
        vectors = weights.get("input_quantizer.vars")
        asked = cfg.latent_vars * (cfg.latent_dim or cfg.encoder_embed_dim)
        if vectors is None or asked != vectors.numel() or cfg.latent_groups > asked:
            raise PtselError(
                f"{file}: the weights input_quantizer.vars do not fit the configuration beside them"
            )
    return cfg


@contextlib.contextmanager
def _without_first_weights() -> Iterator[None]:
    """Keep fairseq from drawing weights, which it does on the CPU whatever the device is."""
    from fairseq.models.wav2vec import wav2vec2

    before = wav2vec2.init_bert_params
    wav2vec2.init_bert_params = lambda module: None
    try:
        yield
    finally:
        wav2vec2.init_bert_params = before


def _stock_encoder(cfg: Any) -> Any:
    from fairseq.models.wav2vec import Wav2Vec2Model

    model = Wav2Vec2Model.build_model(cfg)
    model.remove_pretraining_modules()
    return model
