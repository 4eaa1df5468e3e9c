"""Records that every room uses, without behaviour: case, request, clip, bucket, verdict."""
