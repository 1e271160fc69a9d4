#!/usr/bin/env python3
"""Sends a service damaged recordings, forms, options, headers and paths, and looks for crashes, answers of 500 and above, and memory
that grows.

    tests/service/fuzz.py PROGRAM FOLDER... [--seconds 600] [--seed 1] [--clients 3]
    tests/service/fuzz.py PROGRAM FOLDER... --compare

FOLDER has recordings to damage (wav, flac, mp3, ogg). With --compare, each of them is sent as it is, and what the service says is
compared with what `partwise separate` says: a table has one line for each file. Needs nothing but Python; ends with an error if
something was found.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import wave

KINDS = {".wav", ".flac", ".mp3", ".ogg"}
BOUNDARY = b"----7d1c"
# More than this is a leak, or an allocation that a header could ask for.
MOST_MEMORY_MIB = 1500


def tone(path, pitch, noise):
    """A second of something to train with."""
    chance = random.Random(1)
    path.parent.mkdir(parents=True)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        samples = (6000 * math.sin(n * pitch / 1300) + noise * chance.uniform(-6000, 6000) for n in range(8000))
        out.writeframes(b"".join(struct.pack("<h", int(sample)) for sample in samples))


class Service:
    """A running service in a folder of its own."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        for name, pitch, noise in (("tones", 250, 0), ("hiss", 0, 1)):
            tone(folder / name / "a.wav", pitch, noise)
        (folder / "models").mkdir()
        train = ["train", "--source", "tones=tones", "--source", "hiss=hiss", "-o", "models/m.safetensors"]
        self.run(*train, "--rank", "4", "--window", "256", "--iterations", "20", check=True)
        (folder / "models" / "broken.safetensors").write_bytes(b"no model")
        serve = ["serve", "--models", "models", "--data", "data", "--listen", "127.0.0.1:0", "--json", "--engine", "cpu"]
        limits = ["--max-seconds", "60", "--max-upload", "4M", "--keep", "30s", "--inputs", "tones"]
        self.log = open(folder / "log", "w+b")
        self.process = subprocess.Popen(
            [program, *serve, *limits], cwd=folder, stdout=subprocess.PIPE, stderr=self.log,
            env={**os.environ, "RUST_LOG": "warn", "RUST_BACKTRACE": "1"},
        )
        address = json.loads(self.process.stdout.readline())["address"]
        self.address = ("127.0.0.1", int(address.rsplit(":", 1)[1]))

    def run(self, *arguments, check=False):
        command = [self.program, *arguments, "--engine", "cpu"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=check)

    def memory(self):
        """MiB now."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next((int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmRSS:")), 0)

    def send(self, request, patience=30, then_close=False):
        """Sends bytes on a new connection; returns (status, headers, body), or None if the connection ended without an answer."""
        with socket.create_connection(self.address, timeout=patience) as connection:
            try:
                connection.sendall(request)
                if then_close:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # Refused before all was sent; the answer may be there.
            answer = b""
            while True:
                try:
                    part = connection.recv(65536)
                except ConnectionError:
                    part = b""
                answer += part
                head, found, body = answer.partition(b"\r\n\r\n")
                if found:
                    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                    length = headers.get(b"content-length")
                    if not part or request.startswith(b"HEAD ") or (length and len(body) >= int(length)):
                        return int(head.split(b" ", 2)[1]), headers, body
                    if b"text/event-stream" in headers.get(b"content-type", b""):
                        return int(head.split(b" ", 2)[1]), headers, body
                elif not part:
                    return None

    def call(self, method, path, headers=(), body=b"", **how):
        lines = [b"%s %s HTTP/1.1" % (method.encode(), path), b"host: localhost", b"connection: close"]
        lines += [name + b": " + value for name, value in headers]
        if not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers):
            lines.append(b"content-length: %d" % len(body))
        return self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body, **how)

    def get(self, path):
        answer = self.call("GET", path.encode())
        return answer[0], json.loads(answer[2] or b"null")

    def job(self, id):
        return self.get(f"/v1/jobs/{id}")

    def end(self):
        self.process.terminate()
        code = self.process.wait(90)
        self.log.seek(0)
        return code, self.log.read().decode(errors="replace")


def form(*parts):
    """A multipart body of (name, file name or None, bytes)."""
    body = b""
    for name, file, content in parts:
        named = b'; filename="%s"' % file if file is not None else b""
        body += b'--%s\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (BOUNDARY, name, named, content)
    return body + b"--%s--\r\n" % BOUNDARY


FORM = (b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)


def recordings(folders):
    found = (path for folder in folders for path in pathlib.Path(folder).rglob("*"))
    return sorted(path for path in found if path.suffix.lower() in KINDS and path.is_file())


# --- every file as it is, against the command


def compare(service, folders):
    odd = 0
    print("| file | service | its message | differs from the command |")
    print("|---|---|---|---|")
    for path in recordings(folders):
        out = service.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        command = service.run("separate", str(path), "--model", "models/m.safetensors", "-o", "out", "--json")
        reports = json.loads(command.stdout)["results"] if command.stdout.strip() else []
        told = reports[0].get("error") if reports else command.stderr.strip()
        warned = reports[0].get("warnings") or [] if reports else []
        parts = form((b"model", None, b"m"), (b"recording", path.name.encode(), path.read_bytes()))
        status, _, body = service.call("POST", b"/v1/jobs", [FORM], parts)
        answer = json.loads(body)
        if status == 202:
            while answer["state"] in ("queued", "running"):
                time.sleep(0.05)
                _, answer = service.job(answer["id"])
            said, state, said_warned = answer["error"], answer["state"], answer["warnings"]
        else:
            said, state, said_warned = answer["error"]["message"], "refused", []
        named = lambda text: text.replace(str(path), path.name)
        differs = []
        if (state == "done") != (command.returncode == 0):
            differs.append(f"the command ends with {command.returncode}")
        if told and named(told).removeprefix(path.name + ": ") not in (said or ""):
            differs.append(f"the command says: {named(told)}")
        if status >= 500 or (status != 202 and not 400 <= status < 500):
            differs.append(f"status {status}")
        if [named(warning) for warning in warned] != said_warned:
            differs.append(f"the command warns {warned}, the service {said_warned}")
        if state == "done":
            for result in answer["results"]:
                stem = service.call("GET", f"/v1/jobs/{answer['id']}/results/{result['source']}".encode())[2]
                written = next(out.glob(f"*.{result['source']}.*")).read_bytes()
                if stem != written:
                    differs.append(f"{result['source']} has other bytes")
        odd += bool(differs)
        print(f"| {path.name} | {status} {state} | {said or ''} {' '.join(said_warned)} | {'; '.join(differs)} |")
    return odd


# --- damage


class Damage:
    """Requests that a client should not send. The same seed makes the same ones."""

    def __init__(self, seed, files, schema):
        self.chance, self.files, self.schema = random.Random(seed), files, schema

    def bytes(self, content, times=None):
        """Truncated, flipped, spliced, or with other numbers in its first bytes."""
        chance, content = self.chance, bytearray(content)
        for _ in range(times or chance.choice((1, 1, 2, 5))):
            size = max(1, len(content))
            place = chance.randrange(size)
            match chance.randrange(7):
                case 0:
                    del content[place:]
                case 1:
                    for _ in range(chance.choice((1, 8, 64))):
                        if content:
                            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
                case 2:
                    other = chance.choice(self.files)
                    start = chance.randrange(max(1, len(other)))
                    content[place : place + chance.choice((0, 100, 10_000))] = other[start : start + 5000]
                case 3:
                    value = chance.choice((0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, chance.getrandbits(32)))
                    place = chance.randrange(min(64, size))
                    content[place : place + 4] = struct.pack("<I", value)
                case 4:
                    place = chance.randrange(min(64, size))
                    content[place : place + 2] = struct.pack("<H", chance.choice((0, 1, 255, 0xFFFE, 0xFFFF)))
                case 5:
                    content[place : place + chance.randrange(200)] = b""
                case 6:
                    content[place:place] = chance.randbytes(chance.randrange(200))
        return bytes(content)

    def file(self):
        return self.bytes(self.chance.choice(self.files))

    def value(self, depth=0):
        """Any JSON."""
        chance = self.chance
        if depth < 3 and chance.random() < 0.2:
            return [self.value(depth + 1) for _ in range(chance.randrange(4))]
        if depth < 3 and chance.random() < 0.2:
            return {self.text(): self.value(depth + 1) for _ in range(chance.randrange(4))}
        return chance.choice(
            (None, True, 0, 1, -1, 3, 2**31, 2**32, 2**53, 2**63, 2**64, -(2**63), 10**30, 0.0, -0.0, 0.5, 1e-320, 1e308, -1e308,
             self.text(), "1", "nan", "inf", "tones=3,hiss=4", "../..", "0,1,2", "kl", "1e3")
        )

    def text(self):
        chance = self.chance
        letters = "ab/.\\ \0\n\r\t\"'%ä中\U0001f600\u202e{}[],:=;-0"
        return "".join(chance.choice(letters) for _ in range(chance.choice((0, 1, 5, 20, 2000))))

    def options(self):
        chance = self.chance
        if chance.random() < 0.1:
            deep = chance.choice((50, 1000, 100_000))
            return chance.choice((b"[" * deep, b'{"a":' * deep, b'{"mask":' + b"9" * deep + b"}"))
        kind = chance.choice(("separation", "training"))
        options = {}
        for name in chance.sample(sorted(self.schema[kind]["properties"]), chance.choice((1, 1, 2, 4))):
            known = self.schema[kind]["properties"][name]
            if chance.random() < 0.5 and "enum" in known:
                options[name] = chance.choice(known["enum"])
            else:
                options[name] = self.value()
        if chance.random() < 0.2:
            options[self.text()] = self.value()
        text = json.dumps(options).encode()
        return self.bytes(text, 1) if chance.random() < 0.1 else text

    def field(self):
        """A value of a header."""
        letters = bytes(b for b in range(1, 256) if b not in b"\r\n")
        return bytes(self.chance.choice(letters) for _ in range(self.chance.choice((0, 1, 10, 300, 9000, 70_000))))

    def path(self, ids):
        chance = self.chance
        id = chance.choice(ids) if ids and chance.random() < 0.7 else chance.choice(("x", "", "%00", "..", "%2e%2e", "a" * 5000))
        tails = ("", "/", "/events", "/results", "/results/tones", "/results/%2e%2e", "/results/hiss/spectrogram", "/recording",
                 "/recording?format=wav", "/recording?format=x", "/recording/spectrogram", "/cancel", "/results/..%2f..%2fm", "//")
        roots = (f"/v1/jobs/{id}{chance.choice(tails)}", "/v1/jobs", "/v1/models", "/v1/models/" + chance.choice(("m", "broken", "..%2fm", "%ff")),
                 "/assets/" + chance.choice(("..", "%2e%2e%2fserve.rs", "x")), "/metrics", "/readyz", "/v1/limits", "/v1/options", "*")
        path = chance.choice(roots).encode()
        if chance.random() < 0.4:
            queries = (b"limit=%d" % chance.choice((0, 1, 200, 201, -1, 2**64)), b"state=running", b"state=,", b"state=done,x", b"after=%00",
                       b"after=zz", b"format=wav", b"&&==%%%", b"limit=1&limit=2", b"after='%20OR%201=1--")
            path += b"?" + b"&".join(chance.sample(queries, chance.choice((1, 2))))
        if chance.random() < 0.1:
            path = self.bytes(path, 1).replace(b"\n", b"").replace(b" ", b"") or b"/"
        return path


class Fuzz:
    def __init__(self, service, damage_of, until):
        self.service, self.until, self.damage_of = service, until, damage_of
        self.statuses, self.kinds, self.ends = (collections.Counter() for _ in range(3))
        self.found, self.open, self.ids, self.lock = [], collections.deque(), [], threading.Lock()

    def note(self, kind, answer, request):
        with self.lock:
            self.kinds[kind] += 1
            self.statuses[answer[0] if answer else "closed"] += 1
            if answer and answer[0] >= 500 and len(self.found) < 50:
                self.found.append((kind, answer[0], answer[2][:300], request[:600]))
        if answer and answer[0] == 202 and kind != "cancel":
            try:
                id = json.loads(answer[2])["id"]
            except ValueError:
                return
            with self.lock:
                self.open.append((id, time.monotonic()))
                self.ids = [*self.ids[-20:], id]

    def once(self, damage):
        chance, service = damage.chance, self.service
        small = (b"options", None, b'{"iterations": 3}')
        model = (b"model", None, b"m")
        match chance.choice(("file",) * 8 + ("form", "form", "options", "options", "headers", "path", "path", "raw", "json", "train")):
            case "file" as kind:
                name = chance.choice((b"a.wav", b"a.flac", b"a.mp3", b"a.ogg", b"", damage.bytes(b"name.wav", 1).replace(b'"', b"")))
                body = form(model, small, (b"recording", name.replace(b"\r", b"").replace(b"\n", b""), damage.file()))
                answer = service.call("POST", b"/v1/jobs", [FORM], body)
            case "form" as kind:
                body = damage.bytes(form(model, small, (b"recording", b"a.wav", chance.choice(damage.files)[:20_000])))
                # Often shorter or longer than it says.
                length = (b"content-length", b"%d" % max(0, len(body) + chance.choice((0, 0, -1, 1, 500))))
                answer = service.call("POST", b"/v1/jobs", [FORM, length], body, then_close=True)
            case "options" as kind:
                body = form(chance.choice((model, (b"kind", None, b"separate"))), (b"options", None, damage.options()),
                            (b"recording", b"a.wav", damage.files[0]))
                answer = service.call("POST", b"/v1/jobs", [FORM], body)
            case "train" as kind:
                body = form((b"kind", None, b"train"), (b"name", None, damage.text().encode()), (b"options", None, damage.options()),
                            (b"replace", None, b"true"), (b"source:a", b"a.wav", damage.file()), (b"source:b", b"b.wav", damage.files[0]))
                answer = service.call("POST", b"/v1/jobs", [FORM], body)
            case "json" as kind:
                paths = ("/etc/passwd", str(service.folder / "tones/a.wav"), str(service.folder / "tones/../data/jobs.sqlite"), "tones/a.wav", "\0", "/" * 5000)
                new = {"model": chance.choice(("m", "broken", "..", damage.text())), "path": chance.choice(paths)}
                if chance.random() < 0.5:
                    new[chance.choice(("kind", "options", "sources", "name", "replace", "other"))] = damage.value()
                body = json.dumps(new).encode()
                body = damage.bytes(body, 1) if chance.random() < 0.3 else body
                answer = service.call("POST", b"/v1/jobs", [(b"content-type", b"application/json")], body)
            case "headers" as kind:
                names = (b"idempotency-key", b"content-type", b"range", b"host", b"origin", b"authorization", b"x-request-id", b"expect",
                         b"accept", b"if-range", b"if-modified-since", b"content-length", b"transfer-encoding", b"connection", b"x")
                values = (b"", b"bytes=0-", b"bytes=5-1", b"bytes=-1", b"bytes=0-0,2-3,9-", b"bytes=99999999999999999999-", b"chunked", b"-1", b"100-continue",
                          b"multipart/form-data", b"multipart/form-data; boundary=", b"Bearer ", b"k", damage.field(), damage.field())
                headers = [(name, chance.choice(values)) for name in chance.sample(names, chance.choice((1, 2, 4)))]
                body = form(model, small, (b"recording", b"a.wav", damage.files[0]))
                posts = chance.random() < 0.4
                headers += [FORM] * posts
                path = b"/v1/jobs" if posts else damage.path(self.ids)
                answer = service.call("POST" if posts else "GET", path, headers, body if posts else b"", then_close=True)
            case "path" as kind:
                method = chance.choice(("GET",) * 6 + ("HEAD", "POST", "DELETE", "PUT", "OPTIONS", "PATCH", "TRACE", "X" * 30))
                answer = service.call(method, damage.path(self.ids))
                body = b""
            case kind:
                body = damage.bytes(b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n"
                                    b"5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n")
                answer = service.send(body, then_close=True)
        self.note(kind, answer, body)

    def client(self, number):
        damage = self.damage_of(number)
        while time.monotonic() < self.until and self.service.process.poll() is None:
            state = damage.chance.getstate()
            try:
                self.once(damage)
            except (TimeoutError, socket.timeout):
                with self.lock:
                    self.found.append(("no answer in time", 0, b"", repr(hash(state)).encode()))
            except (ConnectionError, OSError) as cause:
                if self.service.process.poll() is None and not isinstance(cause, ConnectionError):
                    raise

    def follow(self):
        """Looks at accepted jobs until they have ended; ends those that take long."""
        while time.monotonic() < self.until + 60:
            with self.lock:
                entry = self.open.popleft() if self.open else None
            if self.service.process.poll() is not None or (entry is None and time.monotonic() > self.until):
                return
            if entry is None:
                time.sleep(0.05)
                continue
            id, since = entry
            try:
                status, job = self.service.job(id)
            except OSError:
                continue
            if status == 404 or job["state"] in ("done", "failed", "cancelled"):
                # A client of this program may have deleted it.
                self.ends["deleted" if status == 404 else job["state"]] += 1
                if status == 200 and job["state"] == "failed" and job["error"].startswith("it failed without"):
                    self.found.append(("failed without a reason", 0, job["error"].encode(), b""))
                continue
            age = time.monotonic() - since
            if 8 < age:
                self.note("cancel", self.service.call("POST", f"/v1/jobs/{id}/cancel".encode()), b"")
            if 60 < age:
                self.found.append(("not cancelled in 50 s", 0, json.dumps(job).encode(), b""))
                continue
            with self.lock:
                self.open.append(entry)
            time.sleep(0.02)


def fuzz(service, options):
    files = [path.read_bytes() for path in recordings(options.folders)]
    # Short recordings alone: what is tested is the reading, not the work.
    files = [content for content in files if len(content) < 100_000] or files
    files.insert(0, (service.folder / "tones/a.wav").read_bytes())
    _, schema = service.get("/v1/options")
    begun = time.monotonic()
    run = Fuzz(service, lambda client: Damage(f"{options.seed} {client}", files, schema), begun + options.seconds)
    threads = [threading.Thread(target=run.client, args=(number,)) for number in range(options.clients)]
    threads.append(threading.Thread(target=run.follow))
    for thread in threads:
        thread.start()
    memory, told = [], 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        if service.process.poll() is not None:
            break
        memory.append(service.memory())
        if time.monotonic() - begun > told:
            print(f"{told:>5} s: {sum(run.kinds.values())} requests, {memory[-1]} MiB, {len(run.open)} jobs open", flush=True)
            told += 30
        if memory[-1] > MOST_MEMORY_MIB:
            run.found.append((f"{memory[-1]} MiB of memory", 0, b"", b""))
            break
    died = service.process.poll()
    for thread in threads:
        thread.join(100)
    print(f"requests {dict(run.kinds)}\nanswers {dict(sorted(run.statuses.items(), key=str))}\njobs {dict(run.ends)}")
    print(f"memory: at most {max(memory)} MiB, at the end {memory[-1]} MiB")
    for kind, status, answer, request in run.found:
        print(f"FOUND {kind}: {status} {answer!r}\n  {request!r}")
    if died is not None:
        print(f"FOUND: the service ended with {died}")
    return len(run.found) + (died is not None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(os.path.abspath(options.program), pathlib.Path(folder))
        try:
            found = compare(service, options.folders) if options.compare else fuzz(service, options)
        finally:
            code, log = service.end()
        if code != 0 or "panicked" in log:
            found += 1
            print(f"FOUND: it ended with {code}")
        odd = [line for line in log.splitlines() if "ERROR" in line or "panicked" in line]
        for line in dict.fromkeys(odd[:40]):
            print("log:", line)
        print("nothing was found" if found == 0 else f"{found} found")
        sys.exit(found > 0)


if __name__ == "__main__":
    main()
