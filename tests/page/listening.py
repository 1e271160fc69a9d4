"""Listens to the player: taps its audio graph, and uses it as a user does."""

from playwright.sync_api import Locator, Page, expect

# Plays for a while, and reads what passes: how loud each track is behind its fader, how loud the mixture is before its
# own, and how loud the sources minus the mixture are. partwise's sources sum to the mixture, so in sync that is silence,
# and a shift by a single sample is not.
LISTEN = """
async (milliseconds) => {
  const { mixer } = partwise.player;
  const { context, tracks } = mixer;
  const tap = (node) => {
    const analyser = new AnalyserNode(context, { fftSize: 2048 });
    node.connect(analyser);
    return { analyser, peak: 0, samples: new Float32Array(2048), node };
  };
  const difference = context.createGain();
  for (const track of tracks) track.input.connect(new GainNode(context, { gain: track.isMixture ? -1 : 1 })).connect(difference);
  const taps = { difference: tap(difference), mixture: tap(tracks.find((track) => track.isMixture).input) };
  for (const track of tracks) taps[`heard ${track.name}`] = tap(track.fader);
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const one of Object.values(taps)) {
      one.analyser.getFloatTimeDomainData(one.samples);
      for (const value of one.samples) one.peak = Math.max(one.peak, Math.abs(value));
    }
  }
  for (const one of Object.values(taps)) one.node.disconnect(one.analyser);
  return Object.fromEntries(Object.entries(taps).map(([name, one]) => [name, one.peak]));
}
"""
POSITION = "partwise.player.mixer.position"


def faders(page: Page, wanted: dict):
    """The gains of the faders, once their ramps are over."""
    page.wait_for_timeout(150)
    pairs = page.evaluate("partwise.player.mixer.tracks.map((track) => [track.name, track.fader.gain.value])")
    gains = {name: round(gain, 4) for name, gain in pairs}
    assert gains == wanted, f"{gains}, not {wanted}"


def pictures(card: Locator):
    images = card.locator(".picture img")
    expect(images.last).to_be_visible(timeout=30_000)
    for image in images.all():
        expect(image).to_be_visible()
        assert image.evaluate("(image) => image.naturalWidth") > 0


def press(page: Page, button: Locator, key: str = "Space"):
    button.focus()
    page.keyboard.press(key)


def check(page: Page, card: Locator):
    """Everything about the player of a job with the sources notes and noise."""
    play = card.get_by_role("button", name="Play", exact=True)
    expect(play).to_be_visible(timeout=30_000)
    pictures(card)
    sync(page, play)
    keyboard(page, card)
    seeking(page, card)


def sync(page: Page, play: Locator):
    play.click()
    heard = page.evaluate(LISTEN, 1000)
    assert heard["mixture"] > 0.05, heard
    assert heard["difference"] < 1e-3 * heard["mixture"], heard
    assert heard["heard notes"] > 0.02 and heard["heard noise"] > 0.02, heard
    assert heard["heard mixture"] == 0, heard
    # To the end: it stops there by itself, and starts again from the start.
    expect(play).to_be_visible(timeout=10_000)
    assert page.evaluate(POSITION) == page.evaluate("partwise.player.mixer.duration")


def keyboard(page: Page, card: Locator):
    button = lambda name: card.get_by_role("button", name=name, exact=True)
    both, mixture = {"mixture": 0, "notes": 1, "noise": 1}, {"mixture": 1, "notes": 0, "noise": 0}
    faders(page, both)
    press(page, button("Mute notes"))
    expect(button("Mute notes")).to_have_attribute("aria-pressed", "true")
    faders(page, {**both, "notes": 0})
    press(page, button("Mute notes"), "Enter")
    press(page, button("Solo noise"))
    faders(page, {**both, "notes": 0})
    press(page, button("Solo notes"))
    faders(page, both)
    press(page, button("Solo notes"))
    press(page, button("Solo noise"))
    # Solo is heard although the mixture is muted.
    press(page, button("Solo mixture"))
    faders(page, mixture)
    press(page, button("Solo mixture"))
    press(page, button("Mixture"))
    faders(page, mixture)
    expect(button("Mixture")).to_have_attribute("aria-pressed", "true")
    press(page, button("Sources"))
    faders(page, both)
    volume = card.get_by_role("slider", name="Volume of notes")
    press(page, volume, "ArrowLeft")
    expect(volume).to_have_attribute("aria-valuetext", "95 %")
    faders(page, {**both, "notes": 0.9025})
    press(page, volume, "Home")
    faders(page, {**both, "notes": 0})
    press(page, volume, "End")
    faders(page, both)


def seeking(page: Page, card: Locator):
    slider = card.get_by_role("slider", name="Position")
    press(page, slider, "Home")
    assert page.evaluate(POSITION) == 0
    press(page, slider, "ArrowRight")
    press(page, slider, "ArrowRight")
    assert page.evaluate(POSITION) == 1.0
    expect(slider).to_have_attribute("aria-valuetext", "0:01 of 0:03")
    # A click in the middle of a picture, while it plays: it goes on from there, still in sync.
    card.get_by_role("button", name="Play", exact=True).click()
    picture = card.locator(".picture").nth(1)
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert 1.5 <= page.evaluate(POSITION) < 2
    heard = page.evaluate(LISTEN, 300)
    assert heard["difference"] < 1e-3 * heard["mixture"], heard
    pause = card.get_by_role("button", name="Pause")
    pause.click()
    stopped = page.evaluate(POSITION)
    page.wait_for_timeout(200)
    assert page.evaluate(POSITION) == stopped
    left = card.locator(".playhead").first.evaluate("(head) => parseFloat(head.style.left)")
    assert abs(left - 100 * stopped / 3) < 0.5, (left, stopped)
