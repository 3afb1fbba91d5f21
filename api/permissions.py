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
    # Scripts and style sheets of the pages, that of the login among them.
    "get_file": None,
    "openapi": "read",
    "docs": "read",
    "readyz": "read",
    "get_meters": "read",
    "get_plotly": "read",
    "get_vocabulary": "read",
    "list_presets": "read",
    "get_preset": "read",
    "submit_preset": "submit",
    "list_experiments": "read",
    "get_experiment": "read",
    "stream_experiment": "read",
    "read_spec": "read",
    "submit_experiment": "submit",
    "cancel_experiment": "submit",
    "pause_experiment": "submit",
    "resume_experiment": "submit",
    "retry_experiment": "submit",
    "extend_experiment": "submit",
    "delete_experiment": "admin",
    "list_features": "read",
    "get_features": "read",
    "export_pickle": "read",
    "export_zip": "read",
    "import_experiment": "submit",
    "get_metrics": "read",
    "get_metrics_parquet": "read",
    "get_metrics_csv": "read",
    "get_log": "read",
    "get_events": "read",
    "list_plots": "read",
    "get_plot": "read",
    "compare_plots": "read",
    "list_sweeps": "read",
    "get_sweep": "read",
    "get_sweep_table": "read",
    "get_sweep_table_csv": "read",
    "submit_sweep": "submit",
    "cancel_sweep": "submit",
    "retry_sweep": "submit",
    "delete_sweep": "admin",
    # The web page; what it changes it asks of the addresses above.
    "list_page": "read",
    "list_rows": "read",
    "experiment_page": "read",
    "experiment_status": "read",
    "compare_page": "read",
    "get_figure": "read",
    "new_page": "read",
    "check": "read",
    "presets_page": "read",
    "sweep_page": "read",
    "sweep_results": "read",
    "read_sweep": "read",
}


def needed(routes: Iterable[BaseRoute], request: Any) -> Scope | None:
    """The scope that a request (its ASGI scope) needs; None: it needs no key.

    Where there is nothing, or not by this method, anybody with a key may hear so, and nobody without; but where
    everybody may ask for something, everybody may hear of which methods.
    """
    other_methods: list[str] = []
    for route in routes:
        match, _ = route.matches(request)
        name = getattr(route, "name", "")
        if match == Match.FULL:
            return NEEDED.get(name, "admin")
        if match == Match.PARTIAL:
            other_methods.append(name)
    return None if any(NEEDED.get(name, "admin") is None for name in other_methods) else "read"
