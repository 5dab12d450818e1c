"""Distilling a small draft from a target model: its own samples, its own layers, its own head."""
