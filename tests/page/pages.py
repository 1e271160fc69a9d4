"""The pages that commands write, opened as files: those of `demo`, of `reproduce` and of `separate --report`."""

import argparse
import subprocess
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from browser import Watched, launch

# Seconds that two tracks of a recording may be apart.
TOGETHER = 0.05
# The places of all tracks of a section for a while: how far they are apart at most, and how far the first one moves.
WATCH = """
async (section, milliseconds) => {
  const tracks = [...section.querySelectorAll('audio')];
  const first = tracks[0].currentTime;
  let apart = 0;
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const places = tracks.map((track) => track.currentTime);
    apart = Math.max(apart, Math.max(...places) - Math.min(...places));
  }
  return { apart, moved: tracks[0].currentTime - first, plays: tracks.map((track) => !track.paused) };
}
"""
PLACES = "(section) => [...section.querySelectorAll('audio')].map((track) => track.currentTime)"
MUTED = "(section) => [...section.querySelectorAll('audio')].map((track) => track.muted)"
LOADED = "(section) => [...section.querySelectorAll('audio')].every((track) => track.readyState >= 1)"


def button(section: Locator, name: str) -> Locator:
    return section.get_by_role("button", name=name, exact=True)


def come_to(page: Page, section: Locator):
    """Until its tracks know how long they are."""
    section.scroll_into_view_if_needed()
    page.wait_for_function(LOADED, arg=section.element_handle())


def is_in_step(section: Locator):
    """All tracks move, and are together within two seconds: a busy machine needs a while to start them."""
    for _ in range(8):
        seen = section.evaluate(WATCH, 250)
        assert all(seen["plays"]), seen
        if seen["moved"] > 0.1 and seen["apart"] < TOGETHER:
            return
    raise AssertionError(f"the tracks are apart, or stand: {seen}")


def plays_together(page: Page, section: Locator):
    come_to(page, section)
    slider = section.get_by_role("slider", name="Position")
    button(section, "Play").click()
    expect(button(section, "Pause")).to_be_visible()
    is_in_step(section)
    # What a busy machine may do to one of them: it comes back by its speed, or by a jump.
    for push in (0.2, -0.6):
        slider.press("Home")
        is_in_step(section)
        section.evaluate("(section, push) => { section.querySelectorAll('audio')[1].currentTime += push; }", push)
        is_in_step(section)
    button(section, "Pause").click()
    places = section.evaluate(PLACES)
    page.wait_for_timeout(100)
    assert section.evaluate(PLACES) == places and max(places) - min(places) == 0, places


def stops_at_the_end(page: Page, section: Locator):
    come_to(page, section)
    slider = section.get_by_role("slider", name="Position")
    length = float(slider.get_attribute("max"))
    slider.focus()
    page.keyboard.press("End")
    assert abs(section.evaluate(PLACES)[0] - length) < 0.01
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    expect(button(section, "Play")).to_be_visible(timeout=5000)
    assert abs(float(slider.input_value()) - length) < 0.01
    # It starts again from the start.
    page.keyboard.press("Space")
    expect(button(section, "Pause")).to_be_visible()
    assert section.evaluate(PLACES)[0] < 1
    button(section, "Pause").click()


def chooses(section: Locator, names: list[str]):
    """Solo and mute, from the state in which the first track is heard."""
    heard = lambda *wanted: [name not in wanted for name in names]
    first, second, third, *_ = names
    assert section.evaluate(MUTED) == heard(first)
    button(section, f"Solo {second}").press("Enter")
    assert section.evaluate(MUTED) == heard(second)
    expect(button(section, f"Solo {second}")).to_have_attribute("aria-pressed", "true")
    # From one to the next by one click.
    button(section, f"Solo {third}").click()
    assert section.evaluate(MUTED) == heard(third)
    expect(button(section, f"Solo {second}")).to_have_attribute("aria-pressed", "false")
    button(section, f"Solo {third}").click()
    assert section.evaluate(MUTED) == heard(first)
    button(section, f"Mute {second}").click()
    assert section.evaluate(MUTED) == heard(first, second)
    button(section, f"Mute {first}").click()
    assert section.evaluate(MUTED) == heard(second)
    volume = section.get_by_role("slider", name=f"Volume of {second}")
    volume.press("Home")
    assert section.locator("audio").nth(1).evaluate("(audio) => audio.volume") == 0
    volume.press("End")
    button(section, f"Mute {second}").click()
    button(section, f"Mute {first}").click()
    assert section.evaluate(MUTED) == heard(first)


def seeks(page: Page, section: Locator):
    come_to(page, section)
    slider = section.get_by_role("slider", name="Position")
    slider.press("Home")
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert section.evaluate(PLACES) == [1.0] * section.locator("audio").count()
    expect(slider).to_have_attribute("aria-valuetext", slider.get_attribute("aria-valuetext").replace("0:00 of", "0:01 of"))
    # A click into the middle of a picture, and its playhead.
    image = section.locator("svg image").nth(1)
    image.scroll_into_view_if_needed()
    box = image.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    middle = float(slider.get_attribute("max")) / 2
    places = section.evaluate(PLACES)
    assert all(abs(place - middle) < 0.05 for place in places), (places, middle)
    head = section.locator(".playhead").nth(1).bounding_box()
    assert abs(head["x"] + head["width"] / 2 - box["x"] - box["width"] / 2) < 2, (head, box)
    # The click has brought the keyboard to the section, and the space bar plays.
    page.keyboard.press("Space")
    expect(button(section, "Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(button(section, "Play")).to_be_visible()


def plays_one_recording_at_a_time(page: Page, sections: Locator):
    first, second = sections.nth(0), sections.nth(1)
    come_to(page, first)
    first.get_by_role("slider", name="Position").press("Home")
    button(first, "Play").click()
    come_to(page, second)
    button(second, "Play").click()
    # At once, and not because it came to its end.
    assert first.evaluate("(section) => [...section.querySelectorAll('audio')].every((track) => track.paused && !track.ended)")
    expect(button(first, "Play")).to_be_visible()
    assert any(second.evaluate(WATCH, 100)["plays"])
    button(second, "Pause").click()


def says_what_cannot_be_played(site: Watched, section: int, file: Path):
    moved = file.rename(file.with_suffix(".moved"))
    site.page.reload()
    room = site.page.locator("section.listening").nth(section)
    room.scroll_into_view_if_needed()
    expect(room.locator(".problem")).to_have_count(1)
    # The others play.
    button(room, "Play").click()
    page_seen = room.evaluate(WATCH, 300)
    assert page_seen["plays"].count(True) == len(page_seen["plays"]) - 1, page_seen
    button(room, "Pause").click()
    moved.rename(file)
    site.page.reload()


def plays_without_scripts(browser: Browser, url: str):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    players = page.locator("audio[controls]")
    assert players.count() == page.locator("audio").count() > 0
    expect(players.first).to_be_visible()
    context.close()


def make(binary: str, folder: Path) -> dict[str, Path]:
    """The pages: the demo's, and those of experiments of tiny shapes on its recordings."""

    def run(*words: str | Path):
        subprocess.run([binary, *map(str, words), "-q", "--engine", "cpu"], check=True, stdout=subprocess.DEVNULL)

    run("demo", "-o", folder / "demo")
    recordings = folder / "demo" / "recordings"
    speech, piano = recordings / "speech", recordings / "piano"
    tiny = ["--rank", "8", "--mixtures", "2", "--clips", "2", "--levels", "0,10", "--grid", "0,0.1"]
    run("reproduce", "gain-prior", "--speech", speech, "--music", piano, "-o", folder / "gain-prior", *tiny)
    tiny = ["--starts", "1", "--iterations", "20", "--pitch-lags", "4", "--nmfd-lags", "2"]
    sources = [sorted((folder / "demo" / "references").glob(f"*.{name}.wav"))[0] for name in ("speech", "piano")]
    run("reproduce", "nmf2d", "--sources", *sources, "-o", folder / "nmf2d", *tiny)
    mixtures, model = folder / "demo" / "mixtures", folder / "demo" / "model.safetensors"
    run("separate", mixtures, "--model", model, "-o", folder / "separated", "--report", folder / "report")
    pages = {name: folder / name / "report.html" for name in ("demo", "gain-prior", "nmf2d")}
    return pages | {"report": folder / "report" / "index.html"}


def look(browser: Browser, name: str, path: Path, screenshots: Path | None) -> Watched:
    site = Watched(browser, path.as_uri(), screenshots)
    site.page.set_default_timeout(20_000)
    site.page.goto(site.url)
    site.show(name)
    return site


def check_demo(browser: Browser, path: Path, screenshots: Path | None):
    site = look(browser, "demo", path, screenshots)
    page, sections = site.page, site.page.locator("section.listening")
    expect(sections).to_have_count(6)
    names = ["mixture", "speech, separated", "speech, true", "piano, separated", "piano, true"]
    plays_together(page, sections.first)
    chooses(sections.first, names)
    seeks(page, sections.first)
    stops_at_the_end(page, sections.first)
    plays_one_recording_at_a_time(page, sections)
    page.emulate_media(color_scheme="dark")
    sections.first.scroll_into_view_if_needed()
    site.show("demo-played")
    said = next((path.parent / "separated").glob("*.speech.wav"))
    which = [text.strip() for text in sections.locator("h3").all_inner_texts()].index(said.name.removesuffix(".speech.wav"))
    says_what_cannot_be_played(site, which, said)
    site.check()
    site.context.close()
    plays_without_scripts(browser, site.url)


def check_experiment(browser: Browser, name: str, path: Path, screenshots: Path | None):
    site = look(browser, name, path, screenshots)
    section = site.page.locator("section.listening").first
    plays_together(site.page, section)
    site.check()
    site.context.close()


def check_report(browser: Browser, path: Path, screenshots: Path | None):
    site = look(browser, "report", path, screenshots)
    expect(site.page.get_by_role("link")).to_have_count(6)
    site.check()
    site.page.get_by_role("link").first.click()
    section = site.page.locator("section.listening")
    expect(section).to_have_count(1)
    plays_together(site.page, section)
    site.show("report-page")
    site.check()
    site.context.close()


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--binary", required=True, help="the program that makes the pages")
    words.add_argument("--chromium", default="/usr/bin/chromium")
    words.add_argument("--screenshots", type=Path, help="a folder for pictures of all pages")
    given = words.parse_args()
    playwright, browser = launch(given.chromium)
    with tempfile.TemporaryDirectory() as folder:
        for name, path in make(given.binary, Path(folder)).items():
            print(f"the page of {name}", flush=True)
            if name == "demo":
                check_demo(browser, path, given.screenshots)
            elif name == "report":
                check_report(browser, path, given.screenshots)
            else:
                check_experiment(browser, name, path, given.screenshots)
    browser.close()
    playwright.stop()
    print("the pages work")


if __name__ == "__main__":
    main()
