//! Counts the audio files that a folder scan leaves out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

/// Extensions of audio types that a folder scan reports as left out, unless
/// [`is_audio_name`](crate::audio::is_audio_name) accepts them.
const OTHER_AUDIO: [&str; 35] = [
    "3ga", "8svx", "aa", "aac", "aax", "ac3", "alac", "amr", "ape", "au", "dff", "dsf", "dts", "eac3", "gsm", "m4b",
    "m4r", "mka", "mp1", "mp2", "mpa", "mpc", "mpga", "oma", "opus", "ra", "shn", "snd", "spx", "tak", "tta", "voc",
    "weba", "wma", "wv",
];

/// The numbers of unsupported audio files by extension, in lower case. As text: "3 files left out: 2 opus, 1 wma".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut(BTreeMap<String, usize>);

impl LeftOut {
    /// Whether no file was left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts a file if it has one of the extensions.
    pub(super) fn count(&mut self, path: &Path) {
        let kind = path.extension().unwrap_or_default().to_ascii_lowercase();
        if let Some(kind) = OTHER_AUDIO.iter().find(|&&other| kind == other) {
            *self.0.entry((*kind).into()).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for (kind, count) in other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.0.values().sum();
        let mut kinds: Vec<(&String, &usize)> = self.0.iter().collect();
        kinds.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        write!(f, "{files} file{} left out: {}", if files == 1 { "" } else { "s" }, kinds.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_listed_by_descending_count() {
        let of = |names: &[&str]| {
            let mut left_out = LeftOut::default();
            names.iter().for_each(|name| left_out.count(Path::new(name)));
            left_out
        };
        assert!(of(&["a.txt", "opus", "cover.jpg", "x.wav.bak"]).is_empty());
        assert_eq!(of(&["a.OPUS"]).to_string(), "1 file left out: 1 opus");
        let mut all = of(&["b.wma", "a.opus"]);
        all.add(of(&["c.OPUS", "d.ape"]));
        assert_eq!(all.to_string(), "4 files left out: 2 opus, 1 ape, 1 wma");
    }
}
