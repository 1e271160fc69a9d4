//! Expands a user's arguments into input files.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::LeftOut;
use crate::audio;
use crate::{Error, Result};

/// An input file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// The path as the user wrote it or reached it.
    pub path: PathBuf,
    /// Its folder relative to the named folder. Empty for a file that was named itself. Outputs keep it, so that files
    /// of one name in different folders stay apart.
    pub below: PathBuf,
    /// Why this input cannot be read, for example an unreadable folder. The input then fails alone with this error.
    pub problem: Option<String>,
}

/// The expansion of the arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The files, and inputs that fail instead of being files.
    pub inputs: Vec<Input>,
    /// Audio files in folders that were left out.
    pub left_out: LeftOut,
}

/// Expands files, folders, globs and lists. A folder stands for all audio files in it and below, by name. In a list,
/// `@list.txt` has one of these per line, or ended by a NUL byte each; `@list.jsonl` has a JSON string, or an object with an
/// "input", per line.
/// Relative paths in a list are relative to the current folder.
///
/// The order is that of the arguments; within a folder or glob it is that of the names. A file that is reached twice,
/// also through links, appears once, under the path that reached it first. Links to folders are followed only if they
/// are named themselves.
///
/// An existing name takes precedence over any pattern. In a list only `*` is a wildcard, because file names may contain
/// `?` and `[`, and its use is reported by a warning. A missing file and an unreadable folder become inputs that fail, unless
/// nothing that is named is there.
///
/// Files in the results folder `except` count only if they are named themselves: results are not inputs.
///
/// # Errors
/// [`Error::Io`] for a missing list. [`Error::Input`] for a folder, glob or list without files, for a damaged list, if none of the
/// arguments is there, and if `except` is named as an input folder.
pub fn list(arguments: &[String], except: Option<&Path>) -> Result<Listing> {
    list_with(arguments, except, &mut || {
        Err(Error::input("@-: only the command line has a list on standard input; name a file"))
    })
}

/// Reads the whole list that `@-` stands for.
pub type Standard<'a> = dyn FnMut() -> Result<Vec<u8>> + 'a;

/// As [`list`], where `@-` is the list that `standard` reads: lines of text, or of JSON if the first is an object.
///
/// # Errors
/// As there, and those of `standard`.
pub fn list_with(arguments: &[String], except: Option<&Path>, standard: &mut Standard) -> Result<Listing> {
    // A folder that does not exist yet contains nothing.
    let except = except.and_then(|folder| folder.canonicalize().ok());
    let mut search = Search { except, found: Listing::default(), missing: Vec::new(), standard };
    for argument in arguments {
        search.argument(argument)?;
    }
    let mut found = search.found;
    let mut seen = HashSet::new();
    found.inputs.retain(|input| seen.insert(input.path.canonicalize().unwrap_or_else(|_| input.path.clone())));
    if found.inputs.is_empty() {
        return Err(Error::input("no input files; name files, folders, globs or @lists"));
    }
    match &search.missing[..] {
        missing if missing.len() < found.inputs.len() => Ok(found),
        [one] => Err(Error::input(format!("{one}: there is no such file or folder; check the name"))),
        several => {
            Err(Error::input(format!("{}: there are no such files or folders; check the names", several.join(", "))))
        }
    }
}

struct Search<'a> {
    /// The excluded folder, without links.
    except: Option<PathBuf>,
    found: Listing,
    /// Arguments that are not there, each once.
    missing: Vec<String>,
    standard: &'a mut Standard<'a>,
}

impl Search<'_> {
    fn argument(&mut self, argument: &str) -> Result<()> {
        let path = Path::new(argument);
        if path.is_dir() {
            return self.folder(path);
        }
        // A file may have any name, such as "[take 2].wav" or "@home.wav".
        if !is_there(path) {
            match argument.strip_prefix('@') {
                Some("-") => {
                    let text = (self.standard)()?;
                    let json = text.trim_ascii_start().starts_with(b"{");
                    return self.lines(&text, json, Path::new("standard input"));
                }
                Some(list) => return self.list(Path::new(list)),
                None => {}
            }
            if has_wildcard(path.as_os_str()) {
                return self.glob(argument);
            }
            if !self.missing.iter().any(|known| known == argument) {
                self.missing.push(argument.into());
            }
        }
        self.push(path);
        Ok(())
    }

    /// Expands a line of a list. A missing file fails alone, like other files.
    fn entry(&mut self, entry: &OsStr) -> Result<()> {
        let path = Path::new(entry);
        if self.excepts(path) {
            return self.folder(path);
        }
        let expanded = match entry.to_str() {
            _ if path.is_dir() => self.folder(path),
            Some(pattern) if pattern.contains('*') && !is_there(path) => {
                log::warn!("'{pattern}' in a list is not a file; taken as a wildcard");
                self.glob(pattern)
            }
            _ => {
                self.push(path);
                return Ok(());
            }
        };
        if let Err(error) = expanded {
            self.fail(path, Path::new(""), error);
        }
        Ok(())
    }

    fn push(&mut self, path: &Path) {
        self.found.inputs.push(Input { path: path.into(), ..Input::default() });
    }

    fn fail(&mut self, path: &Path, below: &Path, error: Error) {
        let problem = Some(error.to_string());
        self.found.inputs.push(Input { path: path.into(), below: below.into(), problem });
    }

    fn folder(&mut self, folder: &Path) -> Result<()> {
        let name = folder.display();
        if self.excepts(folder) {
            return Err(Error::input(format!(
                "{name}: is the folder of the results too; choose another for them, or name the files one by one"
            )));
        }
        let (before, others) = (self.found.inputs.len(), std::mem::take(&mut self.found.left_out));
        self.scan(folder, Path::new(""));
        let left_out = std::mem::replace(&mut self.found.left_out, others);
        if self.found.inputs.len() == before {
            let left_out = if left_out.is_empty() { String::new() } else { format!("; {left_out}") };
            return Err(Error::input(format!("{name}: no audio files of a supported type in this folder{left_out}")));
        }
        self.found.left_out.add(left_out);
        Ok(())
    }

    /// Scans a folder and its subfolders for audio files. Links to folders are not followed, because they may form
    /// cycles. An unreadable folder fails alone.
    fn scan(&mut self, folder: &Path, below: &Path) {
        let mut entries = Vec::new();
        match std::fs::read_dir(folder) {
            Ok(all) => {
                for entry in all {
                    match entry {
                        Ok(entry) => entries.push(entry),
                        Err(cause) => self.fail(folder, below, Error::io(folder, "read")(cause)),
                    }
                }
            }
            Err(cause) => self.fail(folder, below, Error::io(folder, "read")(cause)),
        }
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries.into_iter().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")) {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    if !self.excepts(&path) {
                        self.scan(&path, &below.join(entry.file_name()));
                    }
                }
                Ok(_) if !may_be_file(&path) => {}
                Ok(_) if audio::is_audio_name(&path) => {
                    self.found.inputs.push(Input { path, below: below.into(), problem: None });
                }
                Ok(_) => self.found.left_out.count(&path),
                Err(cause) => self.fail(&path, below, Error::io(&path, "read")(cause)),
            }
        }
    }

    fn glob(&mut self, pattern: &str) -> Result<()> {
        let paths = glob::glob(pattern).map_err(|cause| Error::input(format!("{pattern}: not a glob: {cause}")))?;
        // A wildcard does not include the results folder if it only passes through it.
        let fixed = Path::new(pattern).components().take_while(|part| !has_wildcard(part.as_os_str()));
        let root = Path::new(".").join(fixed.collect::<PathBuf>()).canonicalize();
        let except = self.except.clone().filter(|except| root.is_ok_and(|root| except.starts_with(root)));
        let excepted = |path: &Path| {
            let folder = Path::new(".").join(path).parent().and_then(|folder| folder.canonicalize().ok());
            except.as_ref().is_some_and(|except| folder.is_some_and(|folder| folder.starts_with(except)))
        };
        let before = self.found.inputs.len();
        for path in paths {
            match path {
                Ok(path) if may_be_file(&path) && !excepted(&path) => self.push(&path),
                Ok(_) => {}
                Err(cause) => {
                    let path = cause.path().to_path_buf();
                    self.fail(&path, Path::new(""), Error::io(&path, "read")(cause.into()));
                }
            }
        }
        if self.found.inputs.len() > before {
            Ok(())
        } else {
            Err(Error::input(format!("{pattern}: matches no file, or none outside the folder of the results")))
        }
    }

    fn list(&mut self, list: &Path) -> Result<()> {
        let text = std::fs::read(list).map_err(Error::io(list, "read"))?;
        let json = list.extension().is_some_and(|extension| extension == "jsonl");
        self.lines(&text, json, list)
    }

    /// Expands the lines of a list, which errors call `list`. No name holds a NUL byte, so where there is one, names end by it, as
    /// `find -print0` writes them, and may hold line ends.
    fn lines(&mut self, text: &[u8], json: bool, list: &Path) -> Result<()> {
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let end = if text.contains(&0) { 0 } else { b'\n' };
        for (number, line) in text.split(|&byte| byte == end).enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let entry = match (json, end) {
                (true, _) => json_entry(line),
                (false, 0) => os_string(line),
                (false, _) => text_entry(line),
            };
            let entry = entry.ok_or_else(|| {
                let what = if json { "a JSON string or an object with an \"input\"" } else { "a name in UTF-8" };
                Error::input(format!("{}, line {}: not {what}", list.display(), number + 1))
            })?;
            self.entry(&entry)?;
        }
        Ok(())
    }

    /// Whether a folder is the excluded one.
    fn excepts(&self, folder: &Path) -> bool {
        self.except.as_ref().is_some_and(|except| folder.canonicalize().is_ok_and(|folder| folder == *except))
    }
}

fn has_wildcard(part: &OsStr) -> bool {
    part.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}

/// Whether the name exists, if only as a dangling link.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether it is not a folder, socket or the like. A name that cannot be examined, such as a dangling link, fails alone
/// when it is read.
fn may_be_file(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |found| found.is_file())
}

fn json_entry(line: &[u8]) -> Option<OsString> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    value.as_str().or_else(|| value["input"].as_str()).map(OsString::from)
}

/// The whole line if such a file exists, otherwise the line without surrounding blanks.
fn text_entry(line: &[u8]) -> Option<OsString> {
    let whole = os_string(line.strip_suffix(b"\r").unwrap_or(line))?;
    if is_there(Path::new(&whole)) { Some(whole) } else { os_string(line.trim_ascii()) }
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    use std::os::unix::ffi::OsStrExt;
    Some(OsStr::from_bytes(bytes).into())
}

/// On this system, names are Unicode.
#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    std::str::from_utf8(bytes).ok().map(OsString::from)
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
        list(&arguments, None).unwrap().inputs.into_iter().map(relative).collect()
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
        let below = &list(&[root.to_str().unwrap().to_string()], None).unwrap().inputs[4].below;
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
            let found = list(&[format!("@{}", file.display())], None).unwrap().inputs;
            assert_eq!(found.iter().map(|input| input.path.to_str().unwrap()).collect::<Vec<_>>(), [&b, &a]);
        }
        std::fs::write(&json, "\"x.wav\"\n{\"file\": 3}\n").unwrap();
        let error = list(&[format!("@{}", json.display())], None).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_list_may_come_from_elsewhere_and_have_names_with_line_ends() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (touch(root.path().join("a.wav")), touch(root.path().join("b\n c.wav")));
        let found = |text: String| {
            let mut texts = vec![text];
            let mut standard = || Ok(texts.pop().unwrap().into_bytes());
            let found = list_with(&["@-".into()], None, &mut standard);
            found.map(|found| {
                found.inputs.into_iter().map(|input| input.path.to_str().unwrap().into()).collect::<Vec<String>>()
            })
        };
        assert_eq!(found(format!("{a}\n")).unwrap(), std::slice::from_ref(&a));
        assert_eq!(found(format!("{b}\0{a}\0")).unwrap(), [b.clone(), a.clone()]);
        let object = serde_json::json!({ "input": b });
        assert_eq!(found(format!("\n {object}\n\"{a}\"\n")).unwrap(), [b, a]);
        assert!(found(String::new()).unwrap_err().to_string().contains("no input files"));
        let error = found("{\"input\": 3}\n".into()).unwrap_err().to_string();
        assert!(error.starts_with("standard input, line 1: not "), "{error}");
        let error = list(&["@-".into()], None).unwrap_err().to_string();
        assert!(error.starts_with("@-: "), "{error}");
    }

    /// Expands `arguments` with results in `out`, both below `root`; only the paths may contain its name.
    fn beside(root: &Path, out: &str, arguments: &[&str]) -> Result<Vec<String>> {
        let arguments: Vec<String> = arguments.iter().map(|name| root.join(name).to_str().unwrap().into()).collect();
        let found = list(&arguments, Some(&root.join(out)))?.inputs;
        Ok(found.iter().map(|input| input.path.strip_prefix(root).unwrap().to_str().unwrap().to_string()).collect())
    }

    #[test]
    fn results_are_inputs_only_if_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for name in ["a.wav", "out/a.s.wav", "out/below/a.s.wav", "outer/b.wav", "in/c.wav"] {
            touch(root.join(name));
        }
        assert_eq!(beside(root, "out", &[""]).unwrap(), ["a.wav", "in/c.wav", "outer/b.wav"]);
        assert_eq!(beside(root, "in/../out", &["**/*.wav"]).unwrap(), ["a.wav", "in/c.wav", "outer/b.wav"]);
        assert_eq!(beside(root, "new", &["in"]).unwrap(), ["in/c.wav"]);
        assert_eq!(beside(root, "out", &["out/a.s.wav", "out/below"]).unwrap(), ["out/a.s.wav", "out/below/a.s.wav"]);
        // A results folder above the inputs does not exclude them.
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
    fn links_to_folders_are_followed_only_if_named() {
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
        // Each file appears once, however it is reached.
        assert_eq!(names(&["named", "store", "in"], root), ["named/a.wav", "in/lost.wav", "in/own.wav"]);
        symlink(root.join("in"), root.join("results")).unwrap();
        assert!(beside(root, "results", &["in"]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_scan_finds_names_that_are_not_unicode() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        let root = tempfile::tempdir().unwrap();
        let name = |byte: u8| root.path().join(OsString::from_vec([b"a", &[byte][..], b".wav"].concat()));
        for byte in [0xfe, 0xff] {
            std::fs::write(name(byte), "x").unwrap();
        }
        let found = list(&[root.path().to_str().unwrap().to_string()], None).unwrap().inputs;
        assert_eq!(found.into_iter().map(|input| input.path).collect::<Vec<_>>(), [name(0xfe), name(0xff)]);
    }

    #[test]
    fn an_argument_without_files_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name).to_str().unwrap().to_string();
        for (argument, reason) in [
            (at(""), "no audio files"),
            (at("*.wav"), "matches no file"),
            (format!("@{}", at("list.txt")), "cannot read"),
            (at("absent/"), "absent/: there is no such file or folder"),
        ] {
            let error = list(&[argument], None).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(list(&[], None).is_err());
        let error = list(&[at("a.wav"), at("a.wav"), at("b.wav")], None).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{}, {}: there are no such files or folders; check the names", at("a.wav"), at("b.wav"))
        );
        // Beside others, a missing file is an input that fails alone when it is read.
        let there = touch(root.path().join("there.wav"));
        assert_eq!(list(&[at("absent.wav"), there], None).unwrap().inputs.len(), 2);
    }
}
