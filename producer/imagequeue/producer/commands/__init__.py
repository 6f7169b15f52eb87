"""The commands of this part, one module each, registered by entry point."""
