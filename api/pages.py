"""Lists that come page by page."""

from fastapi import Request, Response


def next_page(request: Request, response: Response, cursor: str | None) -> None:
    """Name the address of the next page, if there is one, in the header Link (RFC 8288)."""
    if cursor:
        following = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
