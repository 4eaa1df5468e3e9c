"""A video service as a generator, by its URL: options, bodies, exchanges, and the routes of the video API."""
