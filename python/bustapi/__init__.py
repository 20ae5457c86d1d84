"""BustAPI: Flask's API on a native server."""
