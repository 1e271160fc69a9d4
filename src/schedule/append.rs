//! Appends to a manifest that other processes may append to as well.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::manifest::{FileReport, MANIFEST, begins_like_a_line, foreign};
use crate::{Error, Result};

/// The manifest of a folder, open for appending. Each line is on disk before the next file is reported. Several
/// processes may append to one manifest.
pub(super) struct Manifest {
    path: PathBuf,
    file: File,
    /// Whether the file system can lock the file.
    locks: bool,
}

impl Manifest {
    /// Opens the manifest of `folder`, creating it if needed. Lines of earlier runs stay, except for an incomplete last
    /// line.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] if another program wrote the manifest.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let path = folder.join(MANIFEST);
        let file = File::options().read(true).append(true).create(true).open(&path);
        let mut manifest = Self { file: file.map_err(Error::io(&path, "write"))?, path, locks: true };
        manifest.locked(|lines| lines.check_first())?;
        Ok(manifest)
    }

    /// Runs `work` while no other process appends a line or holds this lock.
    pub(super) fn locked<R>(&mut self, work: impl FnOnce(&mut Lines) -> Result<R>) -> Result<R> {
        if self.locks
            && let Err(cause) = self.file.lock()
        {
            let path = self.path.display();
            log::warn!("{path}: cannot be locked here ({cause}); let one process at a time write to this folder");
            self.locks = false;
        }
        let mut lines = Lines { path: &self.path, file: &self.file };
        // Another process may have been killed in the middle of a line.
        let done = lines.mend().and_then(|()| work(&mut lines));
        let unlocked = if self.locks { self.file.unlock() } else { Ok(()) };
        done.and_then(|done| unlocked.map(|()| done).map_err(Error::io(&self.path, "write")))
    }

    /// Appends a line.
    pub(super) fn add(&mut self, report: &FileReport) -> Result<()> {
        self.locked(|lines| lines.add(report))
    }
}

/// The lines of a manifest that this process has locked.
pub(super) struct Lines<'a> {
    path: &'a Path,
    file: &'a File,
}

impl Lines<'_> {
    pub(super) fn add(&mut self, report: &FileReport) -> Result<()> {
        let line = report.to_line().map_err(|cause| self.failed(cause.into()))?;
        self.file.write_all(line.as_bytes()).map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: std::io::Error) -> Error {
        Error::io(self.path, "write")(cause)
    }

    /// Refuses a manifest whose first line is not a report.
    fn check_first(&mut self) -> Result<()> {
        let mut first = Vec::new();
        self.file.rewind().map_err(Error::io(self.path, "read"))?;
        BufReader::new(self.file).read_until(b'\n', &mut first).map_err(Error::io(self.path, "read"))?;
        let ours = serde_json::from_slice::<FileReport>(&first).is_ok() || begins_like_a_line(&first);
        if ours { Ok(()) } else { Err(foreign(self.path, "line 1")) }
    }

    /// Completes the last line: adds a missing line end, or cuts off a line that was only begun.
    fn mend(&mut self) -> Result<()> {
        let last = self.last_line().map_err(Error::io(self.path, "read"))?;
        if last.is_empty() {
            return Ok(());
        }
        if serde_json::from_slice::<FileReport>(&last).is_ok() {
            return self.file.write_all(b"\n").map_err(|cause| self.failed(cause));
        }
        if !begins_like_a_line(&last) {
            return Err(foreign(self.path, "last line"));
        }
        // Some systems cannot truncate a file that is open for appending.
        let cut = || {
            let file = File::options().write(true).open(self.path)?;
            file.set_len(file.metadata()?.len() - last.len() as u64)
        };
        cut().map_err(|cause| self.failed(cause))
    }

    /// The bytes after the last line end.
    fn last_line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut last = [b'\n'];
        if self.file.metadata()?.len() > 0 {
            self.file.seek(SeekFrom::End(-1))?;
            self.file.read_exact(&mut last)?;
        }
        if last == *b"\n" {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes.split_off(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::report;
    use super::super::{Record, read_manifest};
    use super::*;

    #[test]
    fn an_incomplete_last_line_is_cut_but_other_damage_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let path = folder.join(MANIFEST);
        let [x, y] = ["x", "y"].map(|name| report(folder, name));
        let line = x.to_line().unwrap();
        for torn in [0, 1, line.len() / 2, line.len() - 2] {
            std::fs::write(&path, line.clone() + &line[..torn]).unwrap();
            assert_eq!(read_manifest(&path).unwrap(), std::slice::from_ref(&x), "{torn}");
            let mut manifest = Manifest::open(folder).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), line, "{torn}");
            // Another process is killed in the middle of a line.
            File::options().append(true).open(&path).unwrap().write_all(&line.as_bytes()[..torn]).unwrap();
            manifest.add(&y).unwrap();
            assert_eq!(read_manifest(&path).unwrap(), [x.clone(), y.clone()], "{torn}");
        }
        // An incomplete first line, or zeros left by a crash, are removed completely.
        for torn in [&line.as_bytes()[..10], &[0; 100], b"{"] {
            std::fs::write(&path, torn).unwrap();
            assert_eq!(read_manifest(&path).unwrap(), []);
            Manifest::open(folder).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        }
        // A complete last line without a line end is kept.
        std::fs::write(&path, line.clone() + line.trim_end()).unwrap();
        assert_eq!(read_manifest(&path).unwrap(), [x.clone(), x.clone()]);
        Manifest::open(folder).unwrap().add(&y).unwrap();
        assert_eq!(read_manifest(&path).unwrap(), [x.clone(), x.clone(), y]);
        for damaged in ["{\n", "\n", "{\"input\":\"x\"}\n", "\u{0}\u{0}\n"] {
            std::fs::write(&path, line.clone() + damaged + &line).unwrap();
            let error = Record::read(folder).err().unwrap().to_string();
            assert!(error.contains("manifest.jsonl, line 2: damaged") && error.contains("delete the line"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn the_manifest_of_another_program_is_not_changed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let path = folder.join(MANIFEST);
        let line = report(folder, "x").to_line().unwrap();
        for (theirs, last_alone) in [
            ("{\"audio_filepath\":\"a.wav\"}\n{\"audio_filepath\":\"b.wav\"}", false),
            ("{\"audio_filepath\":\"a.wav\"}", true),
            ("{\"audio_filepath\":\"a.wav\"}\n", false),
            ("{\"input\":\"b.wav\",\"text\":\"y\"}", true),
            ("{\"input\":\"b.wav\",\"text\":\"y", true),
            ("{\"input\": \"b.wav\"", true),
            ("[1, 2", true),
            ("text", true),
        ] {
            for text in [theirs.to_string(), line.clone() + theirs] {
                std::fs::write(&path, &text).unwrap();
                let opened = Manifest::open(folder).map(drop);
                if last_alone || text == theirs {
                    let error = opened.unwrap_err().to_string();
                    assert!(error.contains("another program's") && error.contains("another folder"), "{text}: {error}");
                    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
                }
                assert!(Record::read(folder).is_err(), "{text}");
            }
        }
        // Another program may start to write during a run.
        std::fs::write(&path, &line).unwrap();
        let mut manifest = Manifest::open(folder).unwrap();
        std::fs::write(&path, line.clone() + "{\"text\":\"y\"}").unwrap();
        assert!(manifest.add(&report(folder, "y")).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), line + "{\"text\":\"y\"}");
    }

    /// Appending waits for a locked manifest.
    #[test]
    fn appending_waits_for_another_process() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let mut manifest = Manifest::open(folder).unwrap();
        let other = File::options().append(true).open(folder.join(MANIFEST)).unwrap();
        other.lock().unwrap();
        std::thread::scope(|scope| {
            let adding = scope.spawn(|| manifest.add(&report(folder, "x")).unwrap());
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!adding.is_finished() && other.metadata().unwrap().len() == 0);
            other.unlock().unwrap();
        });
        assert_eq!(read_manifest(&folder.join(MANIFEST)).unwrap().len(), 1);
    }
}
