"""What the gateway says of itself: OpenAPI and its pages."""
