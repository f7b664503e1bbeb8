"""What the studies among the examples share: rows in CSV, tables of a page, streams of frames, points, probes."""
