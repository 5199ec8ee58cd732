"""The mathematics of a picture: samplers as matrices, guidance, noise, latents, the runner."""
