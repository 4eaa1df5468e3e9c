"""The nouns that every room speaks of, without behaviour: case, request, clip, bucket, verdict."""
