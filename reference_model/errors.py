"""The base class of errors that a user can fix."""


class ReferenceModelError(Exception):
    """States what was found, what was expected and how to fix it; the command line prints it without a traceback."""
