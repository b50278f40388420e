"""A webhook's receiver on a host: keeps what it is told, a line each, with the time and the token that came with it.

usage: receiver.py FILE     (listens on 127.0.0.1:9099)
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        row = {"at": time.time(), "by": self.headers.get("authorization"), "receiver": said["receiver"]}
        with Path(sys.argv[1]).open("a", encoding="utf-8") as file:
            for alert in said["alerts"]:
                more = {"status": alert["status"], "labels": alert["labels"]}
                print(json.dumps({**row, **more}), file=file, flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """It says nothing."""


HTTPServer(("127.0.0.1", 9099), Receiver).serve_forever()
