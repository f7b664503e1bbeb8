"""Encoders with pretext heads, as models of fairseq."""
