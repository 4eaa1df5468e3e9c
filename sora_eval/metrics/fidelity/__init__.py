"""How far a clip lies from the clip of the same case in another run: of pixels, features, latents and flow."""
