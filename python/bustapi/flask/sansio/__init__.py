"""The parts of the application and of blueprints that do no I/O."""
