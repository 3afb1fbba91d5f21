"""The base of every error whose message is a sentence for the person who asked."""


class NcmixError(Exception):
    """Something asked for cannot be done; the message names the value and what is allowed, and needs no traceback."""
