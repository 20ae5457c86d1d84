"""WSGI middleware: applications that wrap another application."""
