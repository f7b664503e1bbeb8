"""What every room uses: errors, the frame grid, audio, manifests, files, worker processes, devices, pictures."""
