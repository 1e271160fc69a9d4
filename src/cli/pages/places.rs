//! Where pages lie, and how they point to each other and to recordings.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// The page that lists all others.
pub(super) const INDEX: &str = "index.html";

/// The pages of recordings, below the folder of the report: in the folder in which the outputs lie below theirs, and with their
/// stem. `outputs`: an input, and the first of its outputs below the folder of the results. No two pages are the same file, even
/// where upper and lower case are one.
pub(super) fn pages<'a>(outputs: impl IntoIterator<Item = (&'a Path, &'a Path)>) -> Vec<PathBuf> {
    let folded = |path: &Path| path.to_string_lossy().to_lowercase();
    let mut taken = HashSet::from([INDEX.to_string()]);
    let mut place = |(input, output): (&Path, &Path)| {
        let below: PathBuf = output
            .parent()
            .into_iter()
            .flat_map(Path::components)
            .filter(|c| matches!(c, Component::Normal(_)))
            .collect();
        let stem = stem(input, output.file_stem().unwrap_or_default());
        let named = |number: usize| {
            let mut name = stem.clone();
            if number > 1 {
                name.push(format!("-{number}"));
            }
            name.push(".html");
            below.join(name)
        };
        let free = (1..).map(named).find(|page| taken.insert(folded(page)));
        free.unwrap_or_else(|| below.join(INDEX))
    };
    outputs.into_iter().map(&mut place).collect()
}

/// The name of an input in its outputs, whose name without its extension is `output`: they keep its extension where they would collide otherwise.
fn stem(input: &Path, output: &OsStr) -> OsString {
    let whole = input.file_name().unwrap_or_default();
    let keeps = !whole.is_empty() && output.to_string_lossy().contains(&*whole.to_string_lossy());
    (if keeps { whole } else { input.file_stem().unwrap_or_default() }).to_os_string()
}

/// The name of a stem: what an output's name says beside the input's, such as the source.
pub(super) fn source(input: &Path, output: &Path) -> String {
    let name = output.file_stem().unwrap_or_default();
    let stem = stem(input, output.file_stem().unwrap_or_default());
    let (name, stem) = (name.to_string_lossy(), stem.to_string_lossy());
    let rest = name.replacen(&*stem, "", 1);
    let rest = rest.trim_matches(|c: char| ".-_ ".contains(c));
    if rest.is_empty() { name.into_owned() } else { rest.into() }
}

/// The path of a file relative to a folder. Where there is none, as from one drive to another, it is absolute.
pub(super) fn relative(folder: &Path, file: &Path) -> PathBuf {
    let whole =
        |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into());
    let (folder, file) = (whole(folder), whole(file));
    let (mut from, mut to) = (folder.components().peekable(), file.components().peekable());
    if from.peek() != to.peek() {
        return file;
    }
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    from.map(|_| Component::ParentDir).chain(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(outputs: &[(&str, &str)]) -> Vec<String> {
        let outputs = outputs.iter().map(|(input, output)| (Path::new(*input), Path::new(*output)));
        pages(outputs).into_iter().map(|page| page.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn pages_lie_as_the_outputs_do_and_none_overwrites_another() {
        let outputs = [
            ("in/a/x.wav", "a/x.speech.wav"),
            ("in/b/x.wav", "b/x.speech.wav"),
            ("x.flac", "x.flac.speech.wav"),
            ("x.mp3", "x.mp3.speech.wav"),
            ("index.wav", "index.speech.wav"),
            ("y.wav", "y.speech.wav"),
            ("other/Y.wav", "Y.speech.wav"),
            ("../up.wav", "../up.speech.wav"),
        ];
        let expected =
            ["a/x.html", "b/x.html", "x.flac.html", "x.mp3.html", "index-2.html", "y.html", "Y-2.html", "up.html"];
        assert_eq!(placed(&outputs), expected);
    }

    #[test]
    fn a_stem_is_named_by_what_its_file_adds_to_the_input() {
        let named = |input: &str, output: &str| source(Path::new(input), Path::new(output));
        assert_eq!(named("in/mix.wav", "out/mix.speech.wav"), "speech");
        assert_eq!(named("mix.flac", "mix.flac.speech.wav"), "speech");
        assert_eq!(named("mix.wav", "piano_mix.wav"), "piano");
        assert_eq!(named("mix.wav", "mix.wav"), "mix");
    }

    #[test]
    fn links_go_up_and_down_from_the_folder_of_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["report/sub", "out/a"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("out/a/x.wav"), "").unwrap();
        assert_eq!(relative(&at("report/sub"), &at("out/a/x.wav")), Path::new("../../out/a/x.wav"));
        assert_eq!(relative(&at("out"), &at("out/a/x.wav")), Path::new("a/x.wav"));
        assert_eq!(relative(&at("report/sub"), &at("report/sub/../../out/a/x.wav")), Path::new("../../out/a/x.wav"));
    }
}
