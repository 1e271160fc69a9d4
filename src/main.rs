//! The binary: from arguments to a job, from an error to a line and an exit status.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(cli::Ending::Done) => ExitCode::SUCCESS,
        Ok(cli::Ending::Partial) => ExitCode::from(1),
        // As shells report a process that Ctrl-C has ended.
        Ok(cli::Ending::Interrupted) => ExitCode::from(130),
        Err(error) => {
            cli::complain(&line(&error));
            match error.downcast_ref() {
                Some(partwise::Error::Engine(_)) => ExitCode::from(3),
                _ => ExitCode::from(2),
            }
        }
    }
}

/// An error and its causes, but for those that it tells itself, as the library's do.
fn line(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |line, cause| {
        let cause = cause.to_string();
        if line.contains(&cause) { line } else { format!("{line}: {cause}") }
    })
}
