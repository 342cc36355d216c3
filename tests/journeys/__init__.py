"""Whole ways through the tool, as its users walk them."""
