"""What a context says over HTTP with: routes, problems, bodies, commands and lists. The gateway serves it.

A context imports from here, from `atlas_projection`, and nothing else of the gateway:

    Route, answer, json_body, path_parameter, query, header     what a route is, and its documentation
    Problem, Kind, invalid, field_error                         every refusal, RFC 9457
    Body, Time                                                  a request's body; a moment in an answer
    RESOURCES, Resources                                        what a handler works with
    commands.run, commands.emit, Of                             a command: once a key, its event beside its state
    lists.asked, lists.page, lists.entity, PageQuery            a query: parameters, pages, ETag
"""
