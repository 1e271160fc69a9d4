"""What a user does on the page, from the first model to the last download, against the real service."""

import argparse
import io
import zipfile
from pathlib import Path

from playwright.sync_api import expect

import listening
import made_up
import pieces
import sounds
from browser import Watched, launch
from server import Server, get, get_json, post_recording

# A name with everything that markup, headers and layouts stumble over.
HARD_NAME = 'Größe & "Öl" <b>bold<b> – ' + "a very long name of a recording " * 4 + ".wav"
TOKEN = "a-token-of-the-tests-0123456789"
# Long enough to be seen running, until it is cancelled.
ENDLESS = '{"iterations": 1000000, "starts": 1}'
QUICK = '{"iterations": 5, "starts": 1, "seed": 1}'
PATIENCE = 60_000


def jobs_of(site: Watched):
    return site.page.locator("#job-list > li")


def job(site: Watched, title: str):
    return jobs_of(site).filter(has=site.page.get_by_role("heading", name=title, exact=True))


def wait_for(site: Watched, title: str, state: str):
    card = job(site, title).first
    expect(card.locator(".badge")).to_have_text(state, timeout=PATIENCE)
    return card


def upload(site: Watched, how: str, options: str, *recordings: dict):
    """Chooses recordings, and a model or method by its option's value."""
    page = site.page
    page.get_by_role("tab", name="Separate").click()
    page.get_by_label("Choose or drop recordings").set_input_files(list(recordings))
    page.get_by_label("Separate with", exact=True).select_option(how)
    details = page.locator("#separate details")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    page.locator("#separate").get_by_label("More options, as JSON").fill(options)
    details.locator("summary").click()
    page.locator("#separate-go").click()


def starts_empty(site: Watched):
    site.page.goto(site.url)
    expect(site.page.get_by_role("heading", level=1)).to_have_text("partwise")
    expect(site.page.get_by_text("No jobs yet")).to_be_visible()
    site.show("empty")


def says_what_is_missing(site: Watched):
    page = site.page
    page.locator("#separate-go").click()
    expect(page.get_by_text("Choose a recording first.")).to_be_visible()
    page.get_by_label("Choose or drop recordings").set_input_files([sounds.upload("a.wav", b"x")])
    page.locator("#separate summary").click()
    page.locator("#separate").get_by_label("More options, as JSON").fill("{oops")
    page.locator("#separate-go").click()
    expect(page.get_by_text("This is not JSON")).to_be_visible()
    site.show("wrong-options")
    page.locator("#separate").get_by_label("More options, as JSON").fill("")
    page.get_by_label("Choose or drop recordings").set_input_files([sounds.upload(HARD_NAME, b"y" * 5_000_000)])
    site.show("chosen")
    page.get_by_role("button", name="Remove a.wav").click()
    expect(page.locator("#recordings .files li")).to_have_count(1)
    page.get_by_role("button", name="Remove Größe").click()
    expect(page.locator("#recordings .files li")).to_have_count(0)


def trains_a_model(site: Watched):
    page = site.page
    # By keyboard, as the tabs promise.
    page.get_by_role("tab", name="Separate").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Train a model")).to_be_focused()
    form = page.locator("#train")
    form.get_by_role("button", name="Train").click()
    expect(page.get_by_text("Give the model a name.")).to_be_visible()
    form.get_by_label("Name of the model").fill("notes-noise")
    for index, (name, made) in enumerate([("notes", sounds.notes(1)), ("noise", sounds.noise(2))]):
        source = form.locator("fieldset").nth(index)
        source.get_by_label("Name", exact=True).fill(name)
        source.get_by_label("Recordings of it alone").set_input_files([sounds.upload(f"{name}.wav", sounds.wav(made))])
    form.locator("summary").click()
    form.get_by_label("Components of each source").fill("8")
    form.get_by_label("Iterations").fill("20")
    site.show("train")
    form.get_by_role("button", name="Train").click()
    card = wait_for(site, "Model notes-noise", "Done")
    expect(page.locator("#announcements")).to_contain_text("Model notes-noise: done")
    card.get_by_role("button", name="Use this model").click()
    expect(page.get_by_label("Separate with", exact=True)).to_have_value("model notes-noise")
    made = get_json(site.url + "v1/models")["models"]
    assert [(one["name"], sorted(one["sources"])) for one in made] == [("notes-noise", ["noise", "notes"])], made


def separates_and_plays(site: Watched):
    page = site.page
    mixture = sounds.wav(sounds.mixed(sounds.notes(3), sounds.noise(4)))
    upload(site, "model notes-noise", "{}", sounds.upload("mix.wav", mixture))
    card = wait_for(site, "mix.wav", "Done")
    card.get_by_role("button", name="Listen").click()
    listening.check(page, card)
    site.show("player")
    downloads(site, card, mixture)
    card.get_by_role("button", name="Close").click()
    expect(card.locator(".player")).to_have_count(0)


def downloads(site: Watched, card, mixture: bytes):
    made = next(one for one in get_json(site.url + "v1/jobs")["jobs"] if one["state"] == "done" and one["kind"] == "separate")
    base = f"{site.url}v1/jobs/{made['id']}/"
    with site.page.expect_download() as one:
        card.get_by_role("link", name="Download notes").click()
    assert one.value.suggested_filename == "mix.notes.wav", one.value.suggested_filename
    assert Path(one.value.path()).read_bytes() == get(base + "results/notes")
    with site.page.expect_download() as whole:
        card.get_by_role("link", name="Download all").click()
    stems = {made: content for made, content in entries(Path(whole.value.path()).read_bytes())}
    assert stems == dict(entries(get(base + "results"))), "the zip is not that of the API"
    assert stems == {one["file"]: get(base + "results/" + one["source"]) for one in made["results"]}
    with site.page.expect_download() as recording:
        card.get_by_role("link", name="Download mixture").click()
    assert Path(recording.value.path()).read_bytes() == mixture


def entries(content: bytes):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def shows_refusals(site: Watched):
    page = site.page
    garbage = b"this is no sound " * 100
    status, answer = post_recording(site.url, '{"method": "nmf2d"}', "garbage.wav", garbage)
    assert status == 422, (status, answer)
    upload(site, "method nmf2d", "{}", sounds.upload("garbage.wav", garbage))
    row = page.locator("#uploads > li")
    expect(row.locator(".problem")).to_have_text(answer["error"]["message"])
    site.show("refused")
    row.get_by_role("button", name="Change").click()
    expect(row).to_have_count(0)
    expect(page.locator("#recordings .files li")).to_have_count(1)
    page.get_by_role("button", name="Remove garbage.wav").click()


def waits_while_the_queue_is_full(site: Watched):
    """And after a broken connection. The answers are made up: to fill the real queue would take hours of recordings."""
    keys = []

    def refuse_twice(route):
        if route.request.method != "POST":
            return route.continue_()
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            return route.abort()
        if len(keys) > 2:
            return route.continue_()
        body = '{"error": {"code": "queue-full", "message": "the queue is full"}}'
        return route.fulfill(status=429, headers={"Retry-After": "2", "Content-Type": "application/json"}, body=body)

    site.page.route("**/v1/jobs", refuse_twice)
    upload(site, "method nmf2d", QUICK, sounds.upload("patient.wav", sounds.wav(sounds.notes(5))))
    expect(site.page.locator("#uploads")).to_contain_text("the queue is full. Trying again in")
    wait_for(site, "patient.wav", "Done")
    site.page.unroute("**/v1/jobs")
    assert len(keys) == 3 and len(set(keys)) == 1, keys


def separates_without_a_model(site: Watched):
    """Its name is a hard one, and its stream of events breaks once."""
    broken = []

    def break_once(route):
        if broken:
            return route.continue_()
        broken.append(True)
        return route.abort()

    site.page.route("**/events", break_once)
    mixture = sounds.wav(sounds.mixed(sounds.notes(6), sounds.noise(7)))
    upload(site, "method nmf2d", QUICK, sounds.upload(HARD_NAME, mixture))
    card = wait_for(site, HARD_NAME, "Done")
    site.page.unroute("**/events")
    card.get_by_role("button", name="Listen").click()
    expect(card.get_by_role("group", name="source1")).to_be_visible(timeout=PATIENCE)
    expect(card.get_by_role("group", name="source2")).to_be_visible()
    listening.pictures(card)
    site.show("hard-name")
    card.get_by_role("button", name="Close").click()


def takes_dropped_files(site: Watched):
    files = site.page.evaluate_handle(
        "() => { const all = new DataTransfer(); for (const name of ['a.wav', 'b.flac']) all.items.add(new File(['x'], name)); return all; }"
    )
    site.page.dispatch_event("#recordings .drop", "drop", {"dataTransfer": files})
    expect(site.page.locator("#recordings .files li")).to_have_count(2)
    expect(site.page.locator("#separate-go")).to_have_text("Separate 2 recordings")
    for name in ("a.wav", "b.flac"):
        site.page.get_by_role("button", name=f"Remove {name}").click()


def lengthen(route):
    answer = route.fetch()
    body = answer.json()
    for one in body["jobs"]:
        if one["recording"]:
            one["recording"]["seconds"] = 4000
    route.fulfill(response=answer, json=body)


def sounds_by_itself(page, audio):
    audio.evaluate("(audio) => audio.play()")
    page.wait_for_function("(audio) => audio.currentTime > 0", arg=audio.element_handle())


def plays_long_recordings_one_by_one(site: Watched):
    """The length is made up: the page decides by what the job says."""
    page = site.page
    page.route("**/v1/jobs?*", lengthen)
    page.reload()
    card = wait_for(site, "mix.wav", "Done")
    card.get_by_role("button", name="Listen").click()
    expect(card).to_contain_text("1 h 6 min long")
    expect(card.locator("audio")).to_have_count(3)
    site.show("long")
    sounds_by_itself(page, card.locator("audio[aria-label=notes]"))
    page.unroute("**/v1/jobs?*")
    page.reload()


def queues_cancels_and_deletes(site: Watched):
    page = site.page
    short = sounds.wav(sounds.notes(8))
    upload(site, "method nmf2d", ENDLESS, sounds.upload("endless.wav", short), sounds.upload("second.wav", short))
    # Uploads run side by side: either may be the first.
    running = jobs_of(site).filter(has=page.locator(".badge.running"))
    expect(running).to_have_count(1, timeout=PATIENCE)
    expect(jobs_of(site).filter(has=page.locator(".badge.queued"))).to_have_count(1, timeout=PATIENCE)
    site.show("running")
    before = jobs_of(site).count()
    page.reload()
    expect(jobs_of(site)).to_have_count(before)
    for title in ("endless.wav", "second.wav"):
        job(site, title).get_by_role("button", name="Cancel").click()
        wait_for(site, title, "Cancelled")
    remover = job(site, "second.wav").get_by_role("button", name="Delete")
    # By keyboard: the harmless answer has the focus, and Escape is one too.
    remover.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    site.show("delete")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(remover).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(jobs_of(site)).to_have_count(before - 1)
    site.show("jobs")
    page.reload()
    expect(jobs_of(site)).to_have_count(before - 1)


def reads_the_api(site: Watched):
    page = site.page
    page.goto(site.url + "v1/docs")
    expect(page.get_by_role("heading", level=1)).to_have_text("The API of partwise")
    site.show("api")
    page.goto(site.url)


def asks_for_the_token(site: Watched):
    page = site.page
    page.goto(site.url)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    site.show("token")
    dialog.get_by_label("Token").fill("not this one")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("did not accept")).to_be_visible()
    dialog.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No jobs yet")).to_be_visible()
    # Everything that a link or an image cannot fetch with a token.
    upload(site, "method nmf2d", QUICK, sounds.upload(HARD_NAME, sounds.wav(sounds.notes(9))))
    card = wait_for(site, HARD_NAME, "Done")
    card.get_by_role("button", name="Listen").click()
    listening.pictures(card)
    with page.expect_download() as one:
        card.get_by_role("link", name="Download source1").click()
    # Chromium replaces what some file systems cannot store.
    assert one.value.suggested_filename.startswith("Größe & "), one.value.suggested_filename
    assert Path(one.value.path()).read_bytes().startswith(b"RIFF")
    with page.expect_download() as whole:
        card.get_by_role("link", name="Download all").click()
    assert len(entries(Path(whole.value.path()).read_bytes())) == 2
    page.route("**/v1/jobs?*", lengthen)
    page.reload()
    card = wait_for(site, HARD_NAME, "Done")
    card.get_by_role("button", name="Listen").click()
    card.get_by_role("button", name="Load mixture").click()
    sounds_by_itself(page, card.locator("audio"))
    page.unroute("**/v1/jobs?*")
    page.get_by_role("button", name="Forget token").click()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    site.show("no-token")


STEPS = [
    pieces.pieces_work_alone,
    starts_empty,
    says_what_is_missing,
    trains_a_model,
    separates_and_plays,
    takes_dropped_files,
    made_up.three_uploads_at_a_time,
    made_up.every_state,
    shows_refusals,
    waits_while_the_queue_is_full,
    separates_without_a_model,
    plays_long_recordings_one_by_one,
    queues_cancels_and_deletes,
    reads_the_api,
]


def run(browser, url: str, steps, screenshots: Path | None):
    site = Watched(browser, url, screenshots)
    site.page.set_default_timeout(20_000)
    for step in steps:
        print(step.__name__.replace("_", " "), flush=True)
        try:
            step(site)
            site.check()
        except BaseException:
            if screenshots:
                site.page.screenshot(path=screenshots / "failed.png", full_page=True)
            print(*site.problems, sep="\n")
            raise
    site.context.close()


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--binary", help="the program to start")
    words.add_argument("--url", help="a service without any jobs or models that runs already, instead; the token is not tested")
    words.add_argument("--chromium", default="/usr/bin/chromium")
    words.add_argument("--screenshots", type=Path, help="a folder for pictures of all states")
    given = words.parse_args()
    _playwright, browser = launch(given.chromium)
    if given.url:
        run(browser, given.url, STEPS, given.screenshots)
    else:
        with Server(given.binary) as server:
            run(browser, server.url, STEPS, given.screenshots)
        with Server(given.binary, token=TOKEN) as server:
            run(browser, server.url, [asks_for_the_token], given.screenshots)
    browser.close()
    _playwright.stop()
    print("the page works")


if __name__ == "__main__":
    main()
