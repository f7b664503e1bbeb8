"""Music for the corpus `rendered-scores`: sheet music is read, clips are planned from it, and played by FluidSynth."""
