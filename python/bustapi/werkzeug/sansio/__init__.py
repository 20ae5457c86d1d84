"""What needs no I/O: requests, responses and parsers that WSGI and other servers share."""
