"""What an API key may do: each scope allows what those before it allow, and more."""

from typing import Literal, get_args

# Look at everything; make and steer experiments; delete what is on record.
Scope = Literal["read", "submit", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


def allows(held: Scope, needed: Scope) -> bool:
    """Whether who holds the one may do what needs the other."""
    return SCOPES.index(held) >= SCOPES.index(needed)
