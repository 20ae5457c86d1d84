"""What `bustapi.werkzeug.http` is made of, by subject. The public names are there, and say so as their module."""
