"""What each address needs: one table, and who is not in it needs everything."""

from collections.abc import Iterable
from typing import Any

from starlette.routing import BaseRoute, Match

from ncmix.jobs.scopes import Scope

# By the name of the endpoint, which is its operation id. None: everybody may. What is new and forgotten here is for
# admins alone, and a test says so.
NEEDED: dict[str, Scope | None] = {
    "healthz": None,
    "login_page": None,
    "log_in": None,
    "log_out": None,
    "openapi": "read",
    "docs": "read",
    "root": "read",
    "readyz": "read",
    "get_plotly": "read",
    "get_vocabulary": "read",
    "list_presets": "read",
    "get_preset": "read",
    "submit_preset": "submit",
    "list_experiments": "read",
    "get_experiment": "read",
    "submit_experiment": "submit",
    "cancel_experiment": "submit",
    "pause_experiment": "submit",
    "resume_experiment": "submit",
    "retry_experiment": "submit",
    "extend_experiment": "submit",
    "delete_experiment": "admin",
    "get_metrics": "read",
    "get_metrics_csv": "read",
    "get_log": "read",
    "get_events": "read",
    "list_plots": "read",
    "get_plot": "read",
    "compare_plots": "read",
}


def needed(routes: Iterable[BaseRoute], request: Any) -> Scope | None:
    """The scope that a request (its ASGI scope) needs; None: it needs no key.

    Where there is nothing, or not by this method, anybody with a key may hear so, and nobody without.
    """
    for route in routes:
        match, _ = route.matches(request)
        if match == Match.FULL:
            return NEEDED.get(getattr(route, "name", ""), "admin")
    return "read"
