"""Servers side by side: see bench/README.md."""
