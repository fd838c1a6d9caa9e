"""The pages of the documentation."""

from atlas_gateway.describing import docs


def test_every_file_is_in_the_package() -> None:
    for path, _content_type in docs._ASSETS.values():
        assert (docs._static_files() / path).is_file(), path


def test_scripts_come_from_the_gateway_only() -> None:
    directives = dict(part.split(" ", 1) for part in docs.CONTENT_SECURITY_POLICY.split("; "))
    assert directives["script-src"] == "'self'"
    assert directives["default-src"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
