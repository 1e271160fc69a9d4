//! Prints and writes results: names cannot break the text, and files are complete or absent.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;

use partwise::Error;
use tempfile::NamedTempFile;

/// Prints text, or a value as JSON, on stdout.
pub(super) fn print(json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    say(&if json { serde_json::to_string_pretty(value)? + "\n" } else { text() })?;
    Ok(())
}

/// Writes to stdout.
pub(super) fn say(text: &str) -> partwise::Result<()> {
    let mut stdout = std::io::stdout().lock();
    told(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// The result of writing to stdout. A closed pipe is not an error: a reader such as `head` has seen enough.
pub(super) fn told(written: std::io::Result<()>) -> partwise::Result<()> {
    match written {
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::io("standard output", "write")),
    }
}

/// Whether what goes to stderr is seen beside what goes to stdout, so that it need not be said twice.
pub(super) fn is_seen() -> bool {
    std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
}

/// Makes text safe for a terminal: one line, without escape sequences. File names may contain both.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(acts) {
        return text.into();
    }
    let escape = |c: char| if acts(c) { c.escape_default().to_string() } else { c.into() };
    text.chars().map(escape).collect::<String>().into()
}

/// A command as typed in a shell.
pub(super) fn typed(words: &[impl AsRef<str>]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=+,:@%".contains(c);
    let quoted = words.iter().map(AsRef::as_ref).map(|word: &str| {
        if !word.is_empty() && word.chars().all(plain) {
            word.to_string()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    format!("partwise {}", quoted.collect::<Vec<_>>().join(" "))
}

/// A file's name, escaped.
pub(super) fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy()).into_owned()
}

/// Lays out a table. The first row is the heading. The first column is flush left, the others flush right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<str>>> = rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Checks before the work that the output can be written, and that it would not overwrite an input.
pub(super) fn check_output<'a>(output: &Path, mut inputs: impl Iterator<Item = &'a Path>) -> partwise::Result<()> {
    let refused = |reason: &str| Err(Error::Input(format!("{}: {reason}", output.display())));
    let same = |input: &Path| matches!((input.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if inputs.any(same) {
        return refused("the output would overwrite an input; choose another name");
    }
    match std::fs::metadata(output) {
        Ok(there) if there.is_dir() => return refused("is a folder; name a file for the output"),
        Ok(there) if !there.is_file() => return refused("is a pipe or a device; name a file for the output"),
        _ => {}
    }
    beside(output).map(drop).map_err(Error::io(output, "write"))
}

/// Writes a file under a temporary name and renames it, so that it is complete or absent.
pub(super) fn write_whole(path: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> partwise::Result<()> {
    let written = beside(path).and_then(|partial| {
        write(partial.path())?;
        partial.persist(path).map(drop).map_err(|kept| kept.error)
    });
    written.map_err(Error::io(path, "write"))
}

/// An empty hidden file with a unique name in the folder of `path`. It is removed unless it is renamed.
pub(super) fn beside(path: &Path) -> std::io::Result<NamedTempFile<File>> {
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(ErrorKind::IsADirectory.into());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".").suffix(".partial").make_in(folder, |path| File::create_new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [vec!["name".to_string(), "dB".into()], vec!["ü\n".into(), "-12.5".into()]];
        assert_eq!(table(&rows), "name     dB\nü\\n   -12.5\n");
    }

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let words = ["separate", "my demo/mixtures", "it's", "a=b/c.wav", ""].map(String::from);
        assert_eq!(typed(&words), r"partwise separate 'my demo/mixtures' 'it'\''s' a=b/c.wav ''");
    }

    #[test]
    fn only_control_characters_are_escaped() {
        for plain in ["", "ü b-[1] \\n.wav", "日本語"] {
            assert_eq!(escaped(plain), plain);
        }
        let odd = "a\nb\r\t\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{202e}c";
        assert_eq!(escaped(odd), "a\\nb\\r\\t\\u{1b}[31m\\u{7f}\\u{9b}\\u{2028}\\u{202e}c");
    }

    #[test]
    fn a_failed_write_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(250));
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        check_output(&path, std::iter::empty()).unwrap();
        assert_eq!(names(), 0);
        write_whole(&path, |partial| std::fs::write(partial, "one")).unwrap();
        let error = write_whole(&path, |partial| {
            std::fs::write(partial, "tw")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert!(error.unwrap_err().is_full());
        assert_eq!((names(), std::fs::read_to_string(&path).unwrap()), (1, "one".into()));
        for (bad, reason) in [("none/x", "cannot write"), ("", "is a folder"), ("x/", "cannot write")] {
            let error = check_output(&folder.path().join(bad), std::iter::empty()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let error = check_output(&path, [path.as_path()].into_iter()).unwrap_err().to_string();
        assert!(error.contains("overwrite an input"), "{error}");
    }
}
