"""The networks: VAE, text encoder, DiT, recaptioner, prompt refiner."""
