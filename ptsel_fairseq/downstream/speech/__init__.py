"""Utterances with their transcripts."""
