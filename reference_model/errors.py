"""The one base class of errors that a user can mend."""


class ReferenceModelError(Exception):
    """Says what was found, what was expected and how to mend it; the command line prints it without a traceback."""
