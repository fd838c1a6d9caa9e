"""/docs (Swagger UI) and /redoc, from the files of an installed package: no network but the gateway itself.

The package is drf-spectacular-sidecar. Only its static files are used, so it is located and never imported.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web
from atlas_http.problems import NOT_FOUND, Problem

PACKAGE = "drf_spectacular_sidecar"

# Swagger UI and ReDoc put style elements into the page; scripts come from this origin's files only.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_ASSETS = {
    "swagger-ui.css": ("swagger-ui-dist/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger-ui-dist/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui-standalone-preset.js": ("swagger-ui-dist/swagger-ui-standalone-preset.js", "text/javascript"),
    "favicon-32x32.png": ("swagger-ui-dist/favicon-32x32.png", "image/png"),
    "redoc.standalone.js": ("redoc/bundles/redoc.standalone.js", "text/javascript"),
}
_PAGE_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Atlas gateway</title>
<link rel="icon" href="/docs/assets/favicon-32x32.png">
"""
_SWAGGER_PAGE = f"""{_PAGE_HEAD}<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/swagger-ui-standalone-preset.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
"""
_START_SCRIPT = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  layout: "BaseLayout",
  validatorUrl: null,
});
"""
_REDOC_PAGE = f"""{_PAGE_HEAD}</head>
<body>
<redoc spec-url="/openapi.json" disable-search="true" hide-loading="true"></redoc>
<script src="/docs/assets/redoc.standalone.js"></script>
</body>
</html>
"""


async def swagger_ui(_request: web.Request) -> web.Response:
    return _page(_SWAGGER_PAGE)


async def redoc(_request: web.Request) -> web.Response:
    return _page(_REDOC_PAGE)


async def home(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/docs"})


async def asset(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name == "start.js":
        return web.Response(text=_START_SCRIPT, content_type="text/javascript", headers=_PAGE_HEADERS)
    if name not in _ASSETS:
        raise Problem(NOT_FOUND, f"There is no file {name} here.")
    path, content_type = _ASSETS[name]
    headers = {"Content-Type": content_type, "Cache-Control": "public, max-age=3600", **_PAGE_HEADERS}
    return web.FileResponse(_static_files() / path, headers=headers)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", home),
        web.get("/docs", swagger_ui),
        web.get("/redoc", redoc),
        web.get("/docs/assets/{name}", asset),
    ]


def _page(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", headers=_PAGE_HEADERS)


@lru_cache(maxsize=1)
def _static_files() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the package {PACKAGE} is not installed: its files are Swagger UI and ReDoc")
    return Path(spec.submodule_search_locations[0]) / "static" / PACKAGE
