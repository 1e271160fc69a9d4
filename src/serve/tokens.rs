//! Tokens: who a caller is. The file of tokens has their hashes alone, so reading it gives nobody a token.

use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::hex::hex;
use crate::{Error, Result};

/// The bytes of chance in a token: nobody guesses it, so a fast hash is enough.
const RANDOM: usize = 32;
/// What tokens begin with, so that people and scanners of leaked secrets know them.
const PREFIX: &str = "pw_";

/// The clients of a service, and the hash of each one's token.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<(String, [u8; 32])>);

impl Tokens {
    /// Reads a file of tokens: a line has a client's name and the SHA-256 of its token in hex. Empty lines and lines that begin
    /// with `#` say nothing.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] names a line that is something else, and a file without tokens.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        let shown = path.display();
        let mut tokens = Vec::new();
        for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || {
                Error::input(format!(
                    "{shown}: line {number}: must be a client's name and the SHA-256 of its token, as `partwise serve --add-client` writes them"
                ))
            };
            let (name, hash) = line.split_once(char::is_whitespace).ok_or_else(wrong)?;
            tokens.push((name.to_owned(), of_hex(hash.trim()).filter(|_| is_name(name)).ok_or_else(wrong)?));
        }
        if tokens.is_empty() {
            return Err(Error::input(format!(
                "{shown}: has no tokens; add one with `partwise serve --add-client NAME`"
            )));
        }
        Ok(Self(tokens))
    }

    /// Makes a token for a client, adds its hash to a file, and returns it. Nothing else ever knows it.
    ///
    /// # Errors
    /// [`Error::Input`] for a name that cannot stand in the file; [`Error::Io`].
    pub fn add(path: &Path, name: &str) -> Result<String> {
        if !is_name(name) {
            return Err(Error::input(format!("client '{name}': use up to 64 letters, digits, . _ and -")));
        }
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random)
            .map_err(|cause| Error::input(format!("the system has no random numbers: {cause}")))?;
        let token = format!("{PREFIX}{}", hex(&random));
        let line = format!("{name} {}\n", hex(&hash(&token)));
        let mut options = std::fs::File::options();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(Error::io(path, "write"))?;
        Ok(token)
    }

    /// The client of a token. All hashes are compared, each in constant time, so the time tells nothing about them.
    pub(super) fn client(&self, token: &str) -> Option<&str> {
        let given = hash(token);
        self.0.iter().fold(None, |found, (name, known)| {
            let equal: bool = known.ct_eq(&given).into();
            if equal { Some(name.as_str()) } else { found }
        })
    }

    /// The number of clients.
    pub(super) fn clients(&self) -> usize {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 64 && name.chars().all(fits)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn of_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_client_and_the_file_does_not_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let (ada, ben) = (Tokens::add(&path, "ada").unwrap(), Tokens::add(&path, "ben").unwrap());
        assert_ne!(ada, ben);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&ada[PREFIX.len()..]) && text.lines().count() == 2);
        std::fs::write(&path, format!("# two clients\n\n{text}")).unwrap();
        let tokens = Tokens::read(&path).unwrap();
        assert_eq!((tokens.client(&ada), tokens.client(&ben), tokens.clients()), (Some("ada"), Some("ben"), 2));
        assert_eq!((tokens.client(""), tokens.client(&ada[1..]), tokens.client(&text)), (None, None, None));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let added = folder.path().join("new");
            Tokens::add(&added, "ada").unwrap();
            assert_eq!(std::fs::metadata(added).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn wrong_files_are_refused_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for (text, expected) in [
            ("", "has no tokens"),
            ("# none\n", "has no tokens"),
            ("ada\n", "line 1"),
            ("\nada secret\n", "line 2"),
            ("a/b 0000000000000000000000000000000000000000000000000000000000000000\n", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Tokens::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        for name in ["", "a b", "a\nb", "ä"] {
            assert!(Tokens::add(&path, name).is_err(), "{name:?}");
        }
    }
}
