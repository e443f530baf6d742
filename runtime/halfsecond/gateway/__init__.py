"""The browser's way in: pages, HTTP, WebSocket and WebRTC in front of the ZeroMQ server."""
