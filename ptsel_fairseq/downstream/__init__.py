"""What pretraining was for: corpora made ready, quick probes, and metrics with intervals and paired tests."""
