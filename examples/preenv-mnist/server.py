"""The two calls that the platform makes of an own image: POST /init and POST /run on port 8080."""
import http.server
import json
import sys

import mnist


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        answer, status = {"ok": True}, 200
        if self.path == "/run":
            try:
                answer = mnist.main(body.get("value") or {})
            except Exception as e:  # an error is an answer too
                answer, status = {"error": str(e)}, 502
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        sys.stdout.flush()

    def log_message(self, form, *args):
        pass


http.server.HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
