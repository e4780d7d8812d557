"""An image's own server of the OpenWhisk contract on port 8080, for the relay: runs Python code given to /init."""
import http.server
import json
import os
import sys

SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
functions = []


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = (init if self.path == "/init" else run)(body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        if isinstance(body.get("value"), dict) and body["value"].get("do") == "echo":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(text), 1000):
                part = text[at:at + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        if self.path == "/run":
            for stream in (sys.stdout, sys.stderr):
                print(SENTINEL, file=stream, flush=True)


def init(body):
    scope = {}
    os.environ.update(body["value"]["env"])
    try:
        exec(body["value"]["code"], scope)
    except SyntaxError as e:
        return 502, {"error": "Initialization has failed due to: %s" % e}
    functions.append(scope["main"])
    return 200, {"ok": True}


def run(body):
    for key, value in body.items():
        if key != "value":
            os.environ["__OW_" + key.upper()] = value
    try:
        result = functions[0](body["value"])
    except Exception as e:
        return 502, {"error": "An error has occurred: %s" % e}
    if not isinstance(result, (dict, list)):
        return 502, {"error": "The action did not return a dictionary or array."}
    return 200, result


http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Server).serve_forever()
