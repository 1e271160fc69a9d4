//! Results become files: under names that are no paths, whole or not at all, and never over another file unasked.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;
use partwise::Error;
use partwise::serve::State;

use super::super::output::beside;
use super::jobs::{Job, Stem, path};
use super::service::{Failure, Patience, Service, encoded};

/// The bytes that are taken at a time.
const BLOCK: usize = 1 << 16;

/// Where results go.
pub(super) struct Saving<'a> {
    pub(super) service: &'a Service,
    pub(super) folder: &'a Path,
    /// Whether files that are there may be replaced.
    pub(super) replace: bool,
    pub(super) patience: Patience<'a>,
    /// What was written. No two results are one file.
    pub(super) written: HashSet<PathBuf>,
}

impl Saving<'_> {
    /// Fetches the stems of a job that is done into a folder below the results'. Returns their files.
    pub(super) fn stems(&mut self, job: &Job, below: &Path) -> anyhow::Result<Vec<PathBuf>> {
        match (job.state, &job.error) {
            (State::Done, _) if job.results.is_empty() => bail!("the job has made a model, and no stems"),
            (State::Done, _) => {}
            (State::Failed, Some(error)) => bail!("{error}"),
            (State::Queued | State::Running, _) => {
                bail!("the job is {}; fetch its results once it is done", job.state.word())
            }
            (State::Failed | State::Cancelled, _) => bail!("the job is {}, and has no results", job.state.word()),
        }
        let folder = self.folder.join(below);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "create"))?;
        job.results.iter().map(|stem| self.stem(job, stem, &folder)).collect()
    }

    fn stem(&mut self, job: &Job, stem: &Stem, folder: &Path) -> anyhow::Result<PathBuf> {
        let Some(name) = file_name(&stem.file) else { bail!("source '{}': its file has no name", stem.source) };
        let target = folder.join(name);
        let shown = target.display();
        if self.written.contains(&target) {
            bail!("{shown}: another result has this name; fetch it into another folder");
        }
        let other =
            || Failure::of(format!("{shown}: there is another file of this name; choose another folder, or --replace"));
        let known = std::fs::metadata(&target).ok();
        if !self.replace && known.as_ref().is_some_and(|known| known.len() != stem.bytes) {
            return Err(other().into());
        }
        let from = format!("{}/results/{}", path(&job.id), encoded(&stem.source));
        let partial = self.patience.keep(|| {
            let mut partial = beside(&target).map_err(|cause| Failure::of(Error::io(&target, "write")(cause)))?;
            self.download(&from, partial.as_file_mut(), &target, stem.bytes)?;
            Ok(partial)
        })?;
        let kept = known.is_some() && is_same(partial.path(), &target).map_err(Error::io(&target, "read"))?;
        if known.is_some() && !kept && !self.replace {
            return Err(other().into());
        }
        if !kept {
            // What has come meanwhile is another's.
            let renamed = if self.replace { partial.persist(&target) } else { partial.persist_noclobber(&target) };
            renamed.map_err(|kept| Error::io(&target, "write")(kept.error))?;
        }
        self.written.insert(target.clone());
        Ok(target)
    }

    fn download(&self, from: &str, file: &mut File, target: &Path, bytes: u64) -> Result<(), Failure> {
        let mut reader = self.service.download(from)?;
        let mut block = vec![0; BLOCK];
        let mut come = 0;
        loop {
            let count = reader.read(&mut block).map_err(|cause| self.service.broken(&cause))?;
            if count == 0 {
                break;
            }
            come += count as u64;
            file.write_all(&block[..count]).map_err(|cause| Failure::of(Error::io(target, "write")(cause)))?;
        }
        if come == bytes {
            Ok(())
        } else {
            Err(Failure::of(format!("{}: {come} of {bytes} bytes came of it; fetch it again", target.display())))
        }
    }
}

/// The name of a file that the service names, or none. Whoever runs a service must not choose where files go: folders and signs that
/// a terminal or a file system would act on are left out.
fn file_name(given: &str) -> Option<String> {
    let last = given.rsplit(['/', '\\']).next()?;
    let acts = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let reserved = |c: char| cfg!(windows) && "<>:\"|?*".contains(c);
    let kept: String = last.chars().filter(|&c| !acts(c)).map(|c| if reserved(c) { '_' } else { c }).collect();
    let kept = kept.trim().trim_start_matches('.');
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// Whether two files have the same bytes.
fn is_same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
    loop {
        a.clear();
        b.clear();
        (&mut one).take(BLOCK as u64).read_to_end(&mut a)?;
        (&mut other).take(BLOCK as u64).read_to_end(&mut b)?;
        if a != b || a.is_empty() {
            return Ok(a == b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_does_not_choose_where_files_go() {
        for (given, kept) in [
            ("song.speech.wav", Some("song.speech.wav")),
            ("../../home/.ssh/authorized_keys", Some("authorized_keys")),
            ("/etc/passwd", Some("passwd")),
            ("C:\\windows\\x.dll", Some("x.dll")),
            ("a\r\n\u{1b}[31m\u{202e}b.wav", Some("a[31mb.wav")),
            (".profile", Some("profile")),
            ("..", None),
            ("a/", None),
            ("", None),
            (" \t", None),
        ] {
            assert_eq!(file_name(given).as_deref(), kept, "{given:?}");
        }
    }

    #[test]
    fn files_are_compared_to_their_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            folder.path().join(name)
        };
        let long = vec![7; BLOCK + 3];
        let one = file("one", &long);
        assert!(is_same(&one, &file("same", &long)).unwrap());
        assert!(!is_same(&one, &file("short", &long[1..])).unwrap());
        let mut other = long;
        other[BLOCK + 2] = 8;
        assert!(!is_same(&one, &file("other", &other)).unwrap());
    }
}
