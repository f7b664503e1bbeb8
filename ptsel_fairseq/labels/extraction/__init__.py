"""Extract the tracks of a corpus into a label store."""
