//! Names that come from clients: what is kept of them, and how they go back in headers.

/// The longest name that is kept, in bytes.
const LONGEST: usize = 200;

/// A name from a form. Browsers write the signs that would end it as these three (HTML, "multipart/form-data").
pub(super) fn from_form(name: &str) -> String {
    name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// The last part of a name, without signs that a terminal or a file system would act on.
pub(super) fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let shown = |c: &char| {
        !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut kept: String = last.chars().filter(shown).collect();
    while kept.len() > LONGEST {
        kept.pop();
    }
    let kept = kept.trim().trim_start_matches('.');
    if kept.is_empty() { "recording".into() } else { kept.into() }
}

/// A name without its extension.
pub(super) fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// The header `Content-Disposition` of a file that is saved under this name (RFC 6266, RFC 5987).
pub(super) fn disposition(name: &str) -> String {
    // Old programs read the first name alone.
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\%;".contains(c) || c == ' ' { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_folders_and_control_signs() {
        for (name, kept) in [
            ("song.wav", "song.wav"),
            ("../../etc/passwd", "passwd"),
            ("C:\\music\\song.wav", "song.wav"),
            ("a\r\nb\0.wav", "ab.wav"),
            ("..", "recording"),
            (".hidden", "hidden"),
            ("", "recording"),
            ("  x  ", "x"),
            ("evil\u{202e}vaw.exe", "evilvaw.exe"),
            ("Ünïcode näme.wav", "Ünïcode näme.wav"),
        ] {
            assert_eq!(safe(name), kept, "{name:?}");
        }
        assert!(safe(&"ä".repeat(300)).len() <= 200);
        assert_eq!(safe(&from_form("a %22b%22%0D%0A%41.wav")), "a \"b\"%41.wav");
        assert_eq!(["a.wav", ".wav", "a.b.c", "a"].map(stem), ["a", ".wav", "a.b", "a"]);
    }

    #[test]
    fn names_go_into_headers_in_two_forms() {
        assert_eq!(
            disposition("a \"b\";ü%.wav"),
            "attachment; filename=\"a _b____.wav\"; filename*=UTF-8''a%20%22b%22%3B%C3%BC%25.wav"
        );
        assert!(disposition("a\r\nX: y").is_ascii() && !disposition("a\r\nX: y").contains('\n'));
    }
}
