"""Draft and target models: synthetic and Hugging Face; the weight store."""
