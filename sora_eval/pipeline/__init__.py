"""The run: plan, generate, score, summarise; each stage resumes from disk."""
