"""Where words, phones or letters lie in speech: TextGrids read, or transcripts aligned."""
