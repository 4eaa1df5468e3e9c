"""The yardstick: a small, complete Sora trained on a procedural physics world. Never imports `sora_eval`."""
