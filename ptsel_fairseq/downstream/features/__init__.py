"""Feature vectors of utterances and segments from frozen front ends and encoders."""
