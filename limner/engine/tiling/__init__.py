"""Pictures whose edges meet, and pictures that a VAE takes in tiles."""
