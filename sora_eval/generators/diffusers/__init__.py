"""Pipelines of diffusers as generators: their options, the rules of their classes, and the calls."""
