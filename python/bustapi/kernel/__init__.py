"""What both dialects share: the context variable, watched registries, plans and native requests.

The kernel never imports a dialect at module level; functions that build a dialect's objects get the
application and go through its classes.
"""
