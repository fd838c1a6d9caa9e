"""The dashboards of the mesh as code: `make dashboards` writes from it what Grafana reads.

A board of `boards/` says which panels there are, as `panels.Panel`; `drawing` makes Grafana's of them, `frame` puts
them onto a dashboard with its variables, annotations and links.
"""
