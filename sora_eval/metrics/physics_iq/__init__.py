"""Physics-IQ, original and Verified: its scores, and the real takes that they need."""
