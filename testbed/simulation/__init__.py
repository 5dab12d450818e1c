"""Runs in virtual time: links, TCP and nodes as events; nothing here is emulated."""
