"""One request's way to an answer: a chain of small stages, composed once per policy and generation."""
