"""The description of the addresses, as a page."""

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from api.headers import policy_of

router = APIRouter(include_in_schema=False)

# Swagger UI itself comes from where FastAPI points to: without internet this page alone stays empty.
_LIBRARY = "https://cdn.jsdelivr.net"


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Every address, with forms to try it."""
    address = f"{request.scope.get('root_path', '')}{request.app.openapi_url}"
    page = get_swagger_ui_html(openapi_url=address, title="ncmix", swagger_favicon_url="data:,")
    page.headers["Content-Security-Policy"] = policy_of(bytes(page.body), _LIBRARY)
    return page
