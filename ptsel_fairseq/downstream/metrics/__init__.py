"""Error rates and other metrics of a system, with intervals and paired tests."""
