#!/usr/bin/python3
"""Stands in for Grafana: reads the settings and the password as it would, and answers /api/health with what it
found."""

from __future__ import annotations

import configparser
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

(path,) = [word.partition("=")[2] for word in sys.argv if word.startswith("--config=")]
settings = configparser.RawConfigParser()
settings.read(path)
password = settings["security"]["admin_password"].removeprefix("$__file{").removesuffix("}")
found = {
    "password": len(Path(password).read_text(encoding="utf-8")),
    "provisioned": sorted(
        str(one.relative_to(settings["paths"]["provisioning"]))
        for one in Path(settings["paths"]["provisioning"]).rglob("*.yml")
    ),
}
(Path(settings["paths"]["data"]) / "database").write_text("", encoding="utf-8")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())


server = settings["server"]
HTTPServer((server["http_addr"], int(server["http_port"])), Handler).serve_forever()
