"""Starts `partwise serve` with folders of its own, and asks it directly."""

import hashlib
import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path


class Server:
    """A running service; ends with its `with` block."""

    def __init__(self, binary: str, token: str | None = None):
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        (root / "models").mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self.address}/"
        command = [binary, "serve", "--models", root / "models", "--data", root / "data", "--listen", self.address, "-q"]
        if token:
            hash_of_it = hashlib.sha256(token.encode()).hexdigest()
            (root / "tokens").write_text(f"tester {hash_of_it}\n")
            (root / "tokens").chmod(0o600)
            command += ["--token-file", root / "tokens"]
        self.process = subprocess.Popen([str(word) for word in command])
        self.wait()

    def wait(self):
        for _ in range(300):
            if self.process.poll() is not None:
                raise SystemExit(f"the service ended with status {self.process.returncode} at its start")
            try:
                urllib.request.urlopen(self.url + "readyz", timeout=5)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise SystemExit("the service was not ready after 30 s")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def get_json(url: str):
    return json.loads(get(url))


def post_recording(url: str, options: str, name: str, content: bytes) -> tuple[int, dict]:
    """Creates a separation; the answer of a refusal too."""
    edge = "edge-of-a-part"
    body = (
        f'--{edge}\r\nContent-Disposition: form-data; name="options"\r\n\r\n{options}\r\n'
        f'--{edge}\r\nContent-Disposition: form-data; name="recording"; filename="{name}"\r\n\r\n'
    ).encode() + content + f"\r\n--{edge}--\r\n".encode()
    request = urllib.request.Request(
        url + "v1/jobs", body, {"Content-Type": f"multipart/form-data; boundary={edge}"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())
