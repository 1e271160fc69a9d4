//! Text and addresses inside HTML.

use std::ffi::OsStr;
use std::path::{Component, Path};

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

/// A path as a URL. Characters other than RFC 3986's unreserved ones are percent-encoded, and every separator becomes a
/// slash. A relative path is relative to the page.
pub fn url(path: &Path) -> String {
    let encode = |part: &OsStr| -> String {
        let byte = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        part.as_encoded_bytes().iter().copied().map(byte).collect()
    };
    let parts = path.components().map(|component| match component {
        Component::RootDir => String::new(),
        other => encode(other.as_os_str()),
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_file_names_is_escaped() {
        assert_eq!(escape(r#"<a & "b" 'c'>"#), "&lt;a &amp; &quot;b&quot; &#39;c&#39;&gt;");
    }

    #[test]
    fn urls_encode_any_file_name() {
        assert_eq!(url(Path::new("a b/50%#?&\"ü.wav")), "a%20b/50%25%23%3F%26%22%C3%BC.wav");
        assert_eq!(url(Path::new("../c:d.wav")), "../c%3Ad.wav");
        assert_eq!(url(Path::new("/x/./y")), "/x/y");
    }
}
