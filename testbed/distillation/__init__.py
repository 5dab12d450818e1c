"""Distillation of a small draft from a target model, on texts that the target samples itself."""
