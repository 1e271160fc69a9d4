//! A whole page.

use super::listening::HEAD;
use super::text::escape;

/// The colours of all pages, light and dark, as a style sheet.
pub const COLOURS: &str = include_str!("colours.css");

/// A page with its style. `body` is HTML; the title stands above it.
///
/// A page with [`listening`](super::listening()) also has their style and script, and no other page has a script.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    let style = include_str!("page.css");
    // No text in a page can look like this: it is escaped.
    let listens = body.contains(HEAD);
    let (of_tracks, script) = if listens {
        let script = include_str!("listening.js");
        (include_str!("listening.css"), format!("<script>\n{script}</script>\n"))
    } else {
        ("", String::new())
    };
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{COLOURS}{style}{of_tracks}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}</main>
{script}</body>
</html>
"#
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::listening::{Audio, Track, listening};
    use super::*;

    #[test]
    fn a_page_has_its_title_and_body() {
        let page = page("a<b", "<p>body</p>");
        assert!(page.contains("<title>a&lt;b</title>"), "{page}");
        assert!(page.contains("<h1>a&lt;b</h1>\n<p>body</p>"), "{page}");
    }

    #[test]
    fn only_a_page_with_tracks_has_a_script() {
        let track = Track {
            label: "a".into(),
            note: String::new(),
            audio: Audio::Beside(PathBuf::from("a.wav")),
            picture: None,
        };
        let section = listening("t", &[vec![track]]);
        assert_eq!(page("t", &section.repeat(2)).matches("<script>").count(), 1);
        assert!(!page("t", &escape(&section)).contains("<script"));
        assert!(!include_str!("listening.js").contains("</script"));
    }

    #[test]
    fn a_page_makes_no_network_requests() {
        let page = page("t", HEAD);
        for forbidden in ["http:", "https:", "@import", "url(", "<link", "<script src", "fetch(", "import("] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}
