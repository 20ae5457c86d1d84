"""WSGI middleware: applications that wrap an application. Each has a module of its own."""
