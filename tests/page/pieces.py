"""The modules of the page that can be asked alone, in the browser."""

from browser import Watched

FILE_NAMES = [
    (None, None),
    ("attachment", None),
    ('attachment; filename="a b.wav"', "a b.wav"),
    ("attachment; filename=ab.wav", "ab.wav"),
    ('attachment; filename="a \\"b\\".wav"', 'a "b".wav'),
    ("attachment; filename=\"a_.wav\"; filename*=UTF-8''a%20%22%C3%BC%22.wav", 'a "ü".wav'),
    ("attachment; filename*=utf-8'de'%E2%82%AC.wav; filename=\"x\"", "€.wav"),
    ("attachment; filename=\"x.wav\"; filename*=UTF-8''%E2%82", "x.wav"),
]
# All line ends, comments, several lines of data, and a character that is cut in two.
STREAM = ": hello\n\nevent: job\ndata: {\"a\":\ndata: \"ü\"}\n\ndata:plain\r\n\r\nevent: job\rdata: last\r\r\nevent: job\ndata: not ended"
EVENTS = [["job", '{"a":\n"ü"}'], ["message", "plain"], ["job", "last"]]
SPANS = [(0.5, "0.5 s"), (3, "3 s"), (59.4, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (4000, "1 h 6 min"), (7 * 86400, "7 days")]
SIZES = [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (2**31, "2.1 GB"), (123_456_789, "123 MB")]
CLOCKS = [(0, "0:00"), (59.99, "0:59"), (125, "2:05"), (3607, "1:00:07")]


def pieces_work_alone(site: Watched):
    page = site.page
    page.goto(site.url)
    for header, name in FILE_NAMES:
        found = page.evaluate("async (header) => (await import('./assets/save.js')).fileName(header)", header)
        assert found == name, (header, found)
    for step in (1, 3, 1000):
        found = page.evaluate(
            """async ([text, step]) => {
                const { readEvents } = await import('./assets/events.js');
                const bytes = new TextEncoder().encode(text);
                const body = new ReadableStream({ start(out) {
                    for (let at = 0; at < bytes.length; at += step) out.enqueue(bytes.slice(at, at + step));
                    out.close();
                } });
                const events = [];
                for await (const { name, data } of readEvents(body)) events.push([name, data]);
                return events;
            }""",
            [STREAM, step],
        )
        assert found == EVENTS, (step, found)
    for function, cases in [("span", SPANS), ("size", SIZES), ("clock", CLOCKS)]:
        for value, text in cases:
            found = page.evaluate("async ([name, value]) => (await import('./assets/dom.js'))[name](value)", [function, value])
            assert found == text, (function, value, found)
