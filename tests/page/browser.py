"""A page that is watched: no error, no other host, no breach of the policy; accessible in every state that is shown."""

from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
# In every document before its own scripts.
LISTEN = """
window.breaches = [];
document.addEventListener('securitypolicyviolation', (e) => breaches.push(`${e.violatedDirective}: ${e.blockedURI}`));
"""


class Watched:
    """A page at `url`: of the service, or a file."""

    def __init__(self, browser: Browser, url: str, screenshots: Path | None):
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", accept_downloads=True)
        self.page: Page = self.context.new_page()
        self.url = url
        self.screenshots = screenshots
        self.problems: list[str] = []
        # Refusals that a test means to cause. The browser itself reports each as an error.
        self.refusals = {401, 409, 422, 429}
        self.page.add_init_script(LISTEN)
        self.page.on("request", self.saw_request)
        self.page.on("response", self.saw_response)
        self.page.on("console", self.saw_message)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))

    def saw_request(self, request):
        there = urlsplit(request.url)
        if there.scheme in ("blob", "about", "data"):
            return
        here = urlsplit(self.url)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            self.problems.append(f"a request to another place: {request.url}")

    def saw_response(self, response):
        if response.status >= 400 and response.status not in self.refusals:
            self.problems.append(f"{response.status}: {response.url}")

    def saw_message(self, message):
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"console: {message.text}")

    def check(self):
        """Fails if anything was wrong until now."""
        breaches = self.page.evaluate("window.breaches")
        assert not breaches, f"the content security policy was breached: {breaches}"
        assert not self.problems, "\n".join(self.problems)

    def show(self, state: str):
        """Looks at a state in both sizes and both schemes: accessibility, width, picture."""
        page = self.page
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                where = f"{state}, {size}, {scheme}"
                page.wait_for_timeout(400)  # transitions end
                if self.screenshots:
                    self.screenshots.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=self.screenshots / f"{state}-{size}-{scheme}.png", full_page=True)
                needed = page.evaluate("document.documentElement.scrollWidth")
                assert needed <= width, f"{where}: the page is {needed} pixels wide"
                # evaluate is not under the page's policy, a script element would be.
                page.evaluate(AXE)
                found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)")
                severe = [
                    f"{where}: {one['id']} ({one['impact']}): {one['help']}: {one['nodes'][0]['html'][:200]}\n{one['nodes'][0].get('failureSummary')}"
                    for one in found
                    if one["impact"] in ("serious", "critical")
                ]
                assert not severe, "\n".join(severe)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")
        self.check()


def launch(chromium: str):
    """The browser, and what keeps it: both end with the process."""
    playwright = sync_playwright().start()
    return playwright, playwright.chromium.launch(executable_path=chromium, args=FLAGS)
