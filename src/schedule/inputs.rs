//! Which files a user means.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::audio;
use crate::{Error, Result};

/// One file to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The file, as the user reaches it.
    pub path: PathBuf,
    /// Where it lies below the folder that was named; empty for a file that was named itself. Outputs keep it, so that files
    /// of one name in two folders stay apart.
    pub below: PathBuf,
}

/// Expands files, folders (all audio files in them and below, by name), globs, and lists: `@list.txt` has one of these a
/// line, `@list.jsonl` a JSON string or an object with an "input" a line; relative paths in a list are relative to the
/// current folder. The order is that of the arguments; within a folder or glob, that of the names. A file that is reached
/// twice, by links too, is taken once, as it is reached first. Links to folders are followed where they are named themselves.
///
/// What lies in the folder `except`, that of the results, is taken only where it is named itself: results are no inputs.
///
/// # Errors
/// [`Error::Io`] for what is not there, [`Error::Input`] for a folder, glob or list that holds nothing, and for `except` named
/// as a folder of inputs.
pub fn list(arguments: &[String], except: Option<&Path>) -> Result<Vec<Input>> {
    // A folder that is not there yet holds nothing.
    let mut search = Search { except: except.and_then(|folder| folder.canonicalize().ok()), found: Vec::new() };
    for argument in arguments {
        search.expand(argument)?;
    }
    let mut found = search.found;
    let mut seen = HashSet::new();
    found.retain(|input| seen.insert(input.path.canonicalize().unwrap_or_else(|_| input.path.clone())));
    if found.is_empty() { Err(Error::input("no input files; name files, folders, globs or @lists")) } else { Ok(found) }
}

struct Search {
    /// The folder whose files are not meant, without links.
    except: Option<PathBuf>,
    found: Vec<Input>,
}

impl Search {
    fn expand(&mut self, argument: &str) -> Result<()> {
        let path = Path::new(argument);
        if path.is_dir() {
            return self.expand_folder(path);
        }
        // A file may be called anything, "[take 2].wav" or "@home.wav" too: what is there is meant before any pattern is.
        if !path.exists() {
            if let Some(list) = argument.strip_prefix('@') {
                return self.expand_list(Path::new(list));
            }
            if has_wildcard(path.as_os_str()) {
                return self.expand_glob(argument);
            }
        }
        self.found.push(Input { path: path.to_path_buf(), below: PathBuf::new() });
        Ok(())
    }

    fn expand_folder(&mut self, folder: &Path) -> Result<()> {
        let name = folder.display();
        if self.excepts(folder) {
            return Err(Error::input(format!(
                "{name}: is the folder of the results too; choose another for them, or name the files one by one"
            )));
        }
        let before = self.found.len();
        self.scan(folder, Path::new(""))?;
        if self.found.len() > before {
            Ok(())
        } else {
            Err(Error::input(format!("{name}: no audio files (wav, flac, ogg, mp3) in this folder")))
        }
    }

    /// All audio files of a folder and below it. Links to folders are not followed: they may lead in a circle.
    fn scan(&mut self, folder: &Path, below: &Path) -> Result<()> {
        let entries = std::fs::read_dir(folder).map_err(Error::io(folder, "read"))?;
        let mut entries = entries.collect::<std::io::Result<Vec<_>>>().map_err(Error::io(folder, "read"))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::io(&path, "read"))?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if kind.is_dir() && !hidden && !self.excepts(&path) {
                self.scan(&path, &below.join(entry.file_name()))?;
            } else if !kind.is_dir() && !hidden && audio::is_audio_name(&path) && is_file_or_dangles(&path) {
                self.found.push(Input { path, below: below.to_path_buf() });
            }
        }
        Ok(())
    }

    fn expand_glob(&mut self, pattern: &str) -> Result<()> {
        let paths = glob::glob(pattern).map_err(|cause| Error::input(format!("{pattern}: not a glob: {cause}")))?;
        // A wildcard does not mean the results where it only meets them on its way.
        let fixed = Path::new(pattern).components().take_while(|part| !has_wildcard(part.as_os_str()));
        let root = Path::new(".").join(fixed.collect::<PathBuf>()).canonicalize();
        let except = self.except.clone().filter(|except| root.is_ok_and(|root| except.starts_with(root)));
        let excepted = |path: &Path| {
            let folder = Path::new(".").join(path).parent().and_then(|folder| folder.canonicalize().ok());
            except.as_ref().is_some_and(|except| folder.is_some_and(|folder| folder.starts_with(except)))
        };
        let before = self.found.len();
        for path in paths {
            let path = path.map_err(|cause| Error::input(format!("{pattern}: {cause}")))?;
            if is_file_or_dangles(&path) && !excepted(&path) {
                self.found.push(Input { path, below: PathBuf::new() });
            }
        }
        if self.found.len() > before {
            Ok(())
        } else {
            Err(Error::input(format!("{pattern}: matches no file, or none outside the folder of the results")))
        }
    }

    fn expand_list(&mut self, list: &Path) -> Result<()> {
        let text = std::fs::read_to_string(list).map_err(Error::io(list, "read"))?;
        let json = list.extension().is_some_and(|extension| extension == "jsonl");
        // Some editors begin a file with a byte order mark.
        let lines = text.trim_start_matches('\u{feff}').lines();
        for (number, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let entry = if json { json_entry(line) } else { Some(line.trim().to_string()) };
            let entry = entry.filter(|entry| !entry.starts_with('@')).ok_or_else(|| {
                let what = if json { "a JSON string or an object with an \"input\"" } else { "a file, folder or glob" };
                Error::input(format!("{}, line {}: not {what}", list.display(), number + 1))
            })?;
            self.expand(&entry)?;
        }
        Ok(())
    }

    /// Whether a folder is the one whose files are not meant.
    fn excepts(&self, folder: &Path) -> bool {
        self.except.as_ref().is_some_and(|except| folder.canonicalize().is_ok_and(|folder| folder == *except))
    }
}

fn has_wildcard(part: &OsStr) -> bool {
    part.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}

/// Not a folder, socket or the like. A link that leads nowhere is found to do so when it is read, alone.
fn is_file_or_dangles(path: &Path) -> bool {
    path.is_file() || (path.is_symlink() && !path.exists())
}

fn json_entry(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.as_str().or_else(|| value["input"].as_str()).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: PathBuf) -> String {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        path.to_str().unwrap().to_string()
    }

    fn names(arguments: &[&str], root: &Path) -> Vec<String> {
        let arguments: Vec<String> = arguments.iter().map(|name| root.join(name).to_str().unwrap().into()).collect();
        let relative = |input: Input| input.path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
        list(&arguments, None).unwrap().into_iter().map(relative).collect()
    }

    #[test]
    fn folders_globs_and_files_expand_in_order_and_once() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for name in
            ["b.wav", "a.WAV", "sub/c.flac", "sub/deep/a.mp3", "notes.txt", ".hidden.wav", ".git/x.wav", "[1].wav"]
        {
            touch(root.join(name));
        }
        assert_eq!(names(&[""], root), ["[1].wav", "a.WAV", "b.wav", "sub/c.flac", "sub/deep/a.mp3"]);
        assert_eq!(names(&["sub", "b.wav", "?.wav", "b.wav"], root), ["sub/c.flac", "sub/deep/a.mp3", "b.wav"]);
        assert_eq!(names(&["[1].wav", "notes.txt"], root), ["[1].wav", "notes.txt"]);
        let below = &list(&[root.to_str().unwrap().to_string()], None).unwrap()[4].below;
        assert_eq!(below, Path::new("sub/deep"));
    }

    #[test]
    fn lists_expand() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (touch(root.path().join("a.wav")), touch(root.path().join("b c.wav")));
        let text = root.path().join("list.txt");
        std::fs::write(&text, format!("{b}\n\n  {a}\n")).unwrap();
        let json = root.path().join("list.jsonl");
        std::fs::write(&json, format!("\"{b}\"\n{{\"input\": \"{a}\"}}\n")).unwrap();
        let windows = root.path().join("windows.txt");
        std::fs::write(&windows, format!("\u{feff}{b}\r\n\r\n{a}\r\n")).unwrap();
        for file in [&text, &json, &windows] {
            let found = list(&[format!("@{}", file.display())], None).unwrap();
            assert_eq!(found.iter().map(|input| input.path.to_str().unwrap()).collect::<Vec<_>>(), [&b, &a]);
        }
        std::fs::write(&json, "\"x.wav\"\n{\"file\": 3}\n").unwrap();
        let error = list(&[format!("@{}", json.display())], None).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    /// What is found of `arguments` with results in `out`, both below `root`, which only the paths may name.
    fn beside(root: &Path, out: &str, arguments: &[&str]) -> Result<Vec<String>> {
        let arguments: Vec<String> = arguments.iter().map(|name| root.join(name).to_str().unwrap().into()).collect();
        let found = list(&arguments, Some(&root.join(out)))?;
        Ok(found.iter().map(|input| input.path.strip_prefix(root).unwrap().to_str().unwrap().to_string()).collect())
    }

    #[test]
    fn results_are_no_inputs_unless_they_are_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for name in ["a.wav", "out/a.s.wav", "out/below/a.s.wav", "outer/b.wav", "in/c.wav"] {
            touch(root.join(name));
        }
        assert_eq!(beside(root, "out", &[""]).unwrap(), ["a.wav", "in/c.wav", "outer/b.wav"]);
        assert_eq!(beside(root, "in/../out", &["**/*.wav"]).unwrap(), ["a.wav", "in/c.wav", "outer/b.wav"]);
        assert_eq!(beside(root, "new", &["in"]).unwrap(), ["in/c.wav"]);
        assert_eq!(beside(root, "out", &["out/a.s.wav", "out/below"]).unwrap(), ["out/a.s.wav", "out/below/a.s.wav"]);
        // Results above the inputs are not met on the way to them.
        assert_eq!(beside(root, "", &["in", "outer/*.wav"]).unwrap(), ["in/c.wav", "outer/b.wav"]);
        for (out, argument) in [("out", "out"), ("", ""), ("out", "in/../out/.")] {
            let error = beside(root, out, &[argument]).unwrap_err().to_string();
            assert!(error.contains("is the folder of the results too"), "{error}");
        }
        let error = beside(root, "out", &["out/*.wav"]).unwrap_err().to_string();
        assert!(error.contains("none outside the folder of the results"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_to_files_are_followed_and_links_to_folders_only_where_they_are_named() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        touch(root.join("store/a.wav"));
        touch(root.join("in/own.wav"));
        symlink(root.join("store/a.wav"), root.join("in/link.wav")).unwrap();
        symlink(root.join("nowhere.wav"), root.join("in/lost.wav")).unwrap();
        symlink(root.join("in"), root.join("in/circle")).unwrap();
        symlink(root.join("in"), root.join("in/folder.wav")).unwrap();
        symlink(root.join("store"), root.join("named")).unwrap();
        assert_eq!(names(&["in"], root), ["in/link.wav", "in/lost.wav", "in/own.wav"]);
        assert_eq!(names(&["in/*.wav"], root), ["in/link.wav", "in/lost.wav", "in/own.wav"]);
        // One file, whichever way it is reached.
        assert_eq!(names(&["named", "store", "in"], root), ["named/a.wav", "in/lost.wav", "in/own.wav"]);
        symlink(root.join("in"), root.join("results")).unwrap();
        assert!(beside(root, "results", &["in"]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_scan_takes_names_that_are_not_unicode() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        let root = tempfile::tempdir().unwrap();
        let name = |byte: u8| root.path().join(OsString::from_vec([b"a", &[byte][..], b".wav"].concat()));
        for byte in [0xfe, 0xff] {
            std::fs::write(name(byte), "x").unwrap();
        }
        let found = list(&[root.path().to_str().unwrap().to_string()], None).unwrap();
        assert_eq!(found.into_iter().map(|input| input.path).collect::<Vec<_>>(), [name(0xfe), name(0xff)]);
    }

    #[test]
    fn nothing_found_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name).to_str().unwrap().to_string();
        for (argument, reason) in [
            (at(""), "no audio files"),
            (at("*.wav"), "matches no file"),
            (format!("@{}", at("list.txt")), "cannot read"),
        ] {
            let error = list(&[argument], None).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(list(&[], None).is_err());
        // A file that is not there is found missing when it is read, alone: the others are done.
        assert_eq!(list(&[at("absent.wav")], None).unwrap().len(), 1);
    }
}
