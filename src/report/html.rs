//! Writes self-contained HTML pages, light and dark, that need no network.

use std::path::{Component, Path};

/// A page with its style. `body` is HTML; the title stands above it.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    let style = include_str!("page.css");
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}</main>
</body>
</html>
"#
    )
}

/// A table. The first row is its header; the first cell of each other row is that row's header.
pub fn table(rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"scroll\"><table>\n");
    for (index, row) in rows.iter().enumerate() {
        html += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let (tag, scope) = match (index, column) {
                (0, _) => ("th", " scope=\"col\""),
                (_, 0) => ("th", " scope=\"row\""),
                _ => ("td", ""),
            };
            html += &format!("<{tag}{scope}>{}</{tag}>", escape(cell));
        }
        html += "</tr>\n";
    }
    html + "</table></div>\n"
}

/// An audio player. A relative path is relative to the page.
pub fn player(label: &str, recording: &Path) -> String {
    format!(
        "<audio controls preload=\"none\" aria-label=\"{}\" src=\"{}\"></audio>\n",
        escape(label),
        escape(&url(recording))
    )
}

/// Command lines as a user would type them.
pub fn listing(lines: &[String]) -> String {
    format!("<pre><code>{}</code></pre>\n", escape(&lines.join("\n")))
}

/// Escapes text for HTML, between tags and in attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}

/// A relative path as a URL. Characters other than RFC 3986's unreserved ones are percent-encoded, and every separator
/// becomes a slash.
fn url(path: &Path) -> String {
    let encode = |part: &str| -> String {
        let byte = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        part.bytes().map(byte).collect()
    };
    let parts = path.components().map(|component| match component {
        Component::RootDir => String::new(),
        other => encode(&other.as_os_str().to_string_lossy()),
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_file_names_is_escaped() {
        assert_eq!(escape(r#"<a & "b" 'c'>"#), "&lt;a &amp; &quot;b&quot; &#39;c&#39;&gt;");
        let rows = [vec!["clip".to_string(), "dB".into()], vec!["<script>".into(), "-1.5".into()]];
        let html = table(&rows);
        assert!(html.contains("<th scope=\"col\">clip</th><th scope=\"col\">dB</th>"), "{html}");
        assert!(html.contains("<th scope=\"row\">&lt;script&gt;</th><td>-1.5</td>"), "{html}");
        assert!(page("a<b", "").contains("<title>a&lt;b</title>"));
        assert!(listing(&["a > b".into(), "c".into()]).contains("a &gt; b\nc"));
    }

    #[test]
    fn player_urls_encode_any_file_name() {
        let html = player("it's", Path::new("a b/50%#?&\"ü.wav"));
        assert!(html.contains("src=\"a%20b/50%25%23%3F%26%22%C3%BC.wav\""), "{html}");
        assert!(html.contains("aria-label=\"it&#39;s\""), "{html}");
        assert_eq!(url(Path::new("/x/./y")), "/x/y");
    }

    #[test]
    fn a_page_makes_no_network_requests() {
        let page = page("t", "<p>body</p>");
        assert!(page.contains("<h1>t</h1>\n<p>body</p>"), "{page}");
        for forbidden in ["http:", "https:", "@import", "url(", "<link", "<script"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}
