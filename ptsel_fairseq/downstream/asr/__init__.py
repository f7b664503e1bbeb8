"""Speech recognition by CTC: decoding fine-tuned models, and small recognisers on frozen features."""
