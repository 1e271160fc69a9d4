"""States that a real service seldom has, made up by answering in its place."""

import json

from playwright.sync_api import expect

import sounds
from browser import Watched

LONG = "a-name-without-any-place-to-break-it-" * 3
RECORDING = {"name": "x.wav", "bytes": 48_044, "seconds": 754.2, "channels": 2, "sample_rate": 44_100}


def a_job(number: int, **given) -> dict:
    """A job; higher numbers are newer."""
    usual = {
        "id": f"{number:08}", "kind": "separate", "state": "done", "model": LONG, "options": {}, "recording": RECORDING,
        "sources": [], "name": None, "created": f"2026-11-28T01:00:{number:02}Z", "started": None, "ended": None,
        "progress": 0, "position": None, "eta_seconds": None, "error": None, "warnings": [], "results": [], "expires": None,
    }  # fmt: skip
    return {**usual, **given}


def jobs() -> list[dict]:
    lost = "x.wav: 0.05 s at 0:01 are damaged, and silent in the results"
    stems = [{"source": source, "file": f"x.{source}.wav", "bytes": 9} for source in ("speech", "piano", LONG)]
    trained = [{"name": name, "recordings": 12, "seconds": 1800} for name in ("speech", "piano", LONG)]
    return [
        a_job(9, state="queued", position=3, eta_seconds=725.0),
        a_job(8, state="queued", position=0),
        a_job(7, state="running", progress=0.34, eta_seconds=41.0),
        a_job(6, state="failed", error="x.wav: cannot be decoded: the file ends after 12 of 754 s, and what it has is damaged"),
        a_job(5, state="cancelled", progress=0.5),
        a_job(4, results=stems, warnings=[lost], expires="2026-12-05T01:00:00Z"),
        a_job(3, results=stems, warnings=[lost] * 5, expires="2026-12-05T01:00:00Z"),
        a_job(2, kind="train", recording=None, model=None, name=LONG, sources=trained),
    ]


def models() -> list[dict]:
    usual = {"method": "nmf", "divergence": "kl", "sample_rate": 22_050, "bytes": 1, "sha256": "", "error": None}
    return [
        {**usual, "name": LONG, "sources": ["speech", "piano", LONG]},
        {**usual, "name": "broken", "sources": [], "error": "broken.safetensors: this is not a model of partwise"},
    ]


def every_state(site: Watched):
    page = site.page
    running = next(one for one in jobs() if one["state"] == "running")
    page.route("**/v1/jobs?*", lambda route: route.fulfill(json={"jobs": jobs(), "next": "00000002"}))
    page.route("**/v1/models", lambda route: route.fulfill(json={"models": models()}))
    page.route(
        "**/events",
        lambda route: route.fulfill(content_type="text/event-stream", body=f"event: job\ndata: {json.dumps(running)}\n\n"),
    )
    page.reload()
    expect(page.locator("#job-list > li")).to_have_count(len(jobs()))
    expect(page.get_by_text("3 jobs before it, about 12 min 5 s left")).to_be_visible()
    expect(page.get_by_text("34 %, about 41 s left")).to_be_visible()
    expect(page.get_by_text("broken cannot be used")).to_be_visible()
    assert page.title() == "(3) partwise", page.title()
    page.get_by_text("5 warnings").click()
    site.show("states")
    for pattern in ("**/v1/jobs?*", "**/v1/models", "**/events"):
        page.unroute(pattern)
    page.reload()


def three_uploads_at_a_time(site: Watched):
    page = site.page
    held = []
    page.route("**/v1/jobs", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    page.get_by_label("Choose or drop recordings").set_input_files([sounds.upload(f"{n}.wav", b"x" * 1000) for n in range(5)])
    page.locator("#separate-go").click()
    rows = page.locator("#uploads > li")
    expect(rows).to_have_count(5)
    expect(rows.filter(has_text="Waiting for other uploads")).to_have_count(2)
    page.wait_for_timeout(300)
    assert len(held) == 3, len(held)
    site.show("uploading")
    # One that waits is taken back; the next one takes the place of one that ended.
    page.get_by_role("button", name="Cancel: 4.wav").click()
    refusal = {"error": {"code": "unusable", "message": "no"}}
    held[0].fulfill(status=422, json=refusal)
    page.wait_for_timeout(300)
    assert len(held) == 4, len(held)
    for route in held[1:]:
        route.fulfill(status=422, json=refusal)
    expect(rows.filter(has=page.locator(".problem"))).to_have_count(4)
    page.unroute("**/v1/jobs")
    for button in page.get_by_role("button", name="Remove: ").all()[::-1]:
        button.click()
    expect(rows).to_have_count(0)
