//! The part of a page in which one listens to a recording and its sources.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::text::{escape, url};

/// What one can listen to.
#[derive(Debug, Clone)]
pub struct Track {
    /// Its name, for example "speech, separated".
    pub label: String,
    /// A line below the name, for example its scores; it may be empty.
    pub note: String,
    /// Its sound.
    pub audio: Audio,
    /// An SVG whose first image spans the recording from its first sample to its last, such as a spectrogram by
    /// [`figure`](crate::report::figure()). The place that is heard is shown in it.
    pub picture: Option<String>,
}

/// Where the sound of a track is.
#[derive(Debug, Clone)]
pub enum Audio {
    /// In a file. A relative path is relative to the page.
    Beside(PathBuf),
    /// In the page: the bytes of a WAV or FLAC file.
    Inside(Vec<u8>),
}

/// How every section begins, and nothing else in a page.
pub(super) const HEAD: &str = "<section class=\"listening\"";

/// A section for one recording, below a heading of level 2: its tracks in columns. A column holds what is to be compared,
/// such as an estimate above the true source. All tracks play in sync, and one hears the first track until another is
/// chosen. Without JavaScript every track has a player of its own.
pub fn listening(title: &str, columns: &[Vec<Track>]) -> String {
    let title = escape(title);
    let mut html = format!("{HEAD} aria-label=\"{title}\">\n<h3>{title}</h3>\n<div class=\"columns\">\n");
    for column in columns {
        html += "<div class=\"column\">\n";
        html += &column.iter().map(track).collect::<String>();
        html += "</div>\n";
    }
    html + "</div>\n</section>\n"
}

fn track(Track { label, note, audio, picture }: &Track) -> String {
    let label = escape(label);
    let note = if note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>\n", escape(note)) };
    let picture = picture.as_deref().unwrap_or_default();
    let source = match audio {
        Audio::Beside(path) => escape(&url(path)),
        Audio::Inside(bytes) => {
            let kind = if bytes.starts_with(b"fLaC") { "flac" } else { "wav" };
            format!("data:audio/{kind};base64,{}", STANDARD.encode(bytes))
        }
    };
    // Nothing is loaded before one comes near: a page may have hundreds of tracks.
    format!(
        "<div class=\"track\" role=\"group\" aria-label=\"{label}\">\n<p class=\"label\">{label}</p>\n{note}{picture}\
         <audio controls preload=\"none\" aria-label=\"{label}\" src=\"{source}\"></audio>\n</div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(label: &str, audio: Audio) -> Track {
        Track { label: label.into(), note: String::new(), audio, picture: None }
    }

    #[test]
    fn tracks_stand_in_their_columns() {
        let beside = |name: &str| track(name, Audio::Beside(PathBuf::from(format!("audio/{name}.wav"))));
        let scored = Track { note: "9.1 dB".into(), picture: Some("<svg></svg>\n".into()), ..beside("b") };
        let html = listening("clip", &[vec![beside("a")], vec![scored, beside("c")]]);
        assert!(html.starts_with("<section class=\"listening\" aria-label=\"clip\">\n<h3>clip</h3>"), "{html}");
        let columns: Vec<usize> =
            html.split("class=\"column\"").skip(1).map(|column| column.matches("<audio controls").count()).collect();
        assert_eq!(columns, [1, 2]);
        assert!(html.contains("src=\"audio/a.wav\""), "{html}");
        assert!(html.contains("<p class=\"label\">b</p>\n<p class=\"note\">9.1 dB</p>\n<svg></svg>\n<audio"), "{html}");
    }

    #[test]
    fn sound_inside_the_page_says_what_it_is() {
        let of = |bytes: &[u8]| listening("", &[vec![track("a", Audio::Inside(bytes.to_vec()))]]);
        assert!(of(b"RIFF").contains("src=\"data:audio/wav;base64,UklGRg==\""), "{}", of(b"RIFF"));
        assert!(of(b"fLaC").contains("src=\"data:audio/flac;base64,ZkxhQw==\""), "{}", of(b"fLaC"));
    }

    #[test]
    fn no_name_breaks_out_of_its_place() {
        let hostile = "</script><script>alert(1)</script>\"' onload='x";
        let one = Track { note: hostile.into(), ..track(hostile, Audio::Beside(PathBuf::from(hostile))) };
        let html = listening(hostile, &[vec![one]]);
        assert!(!html.contains("script>") && !html.contains("'") && !html.contains("\" onload"), "{html}");
        // The attributes of the audio are those that it has otherwise.
        let audio = html.split("<audio ").nth(1).and_then(|rest| rest.split('>').next()).unwrap_or_default();
        assert_eq!(audio.matches('"').count(), 6, "{audio}");
    }
}
