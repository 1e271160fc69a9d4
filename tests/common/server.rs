//! A process of `partwise serve`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A service on a port that the system chose. It is killed if it is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a service of `program` in a folder, with the models in `models` and its data in `data`.
    pub(crate) fn start(program: &str, folder: &Path, arguments: &[&str]) -> Self {
        let mut process = spawn(program, folder, arguments);
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let listening: serde_json::Value = serde_json::from_str(&first).unwrap_or_else(|cause| {
            let status = process.kill().and_then(|()| process.wait());
            panic!("the service did not start: {cause}: {first:?}, {status:?}")
        });
        Self { process, address: listening["address"].as_str().unwrap().parse().unwrap() }
    }

    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended, which is no error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a service and does not wait for it.
pub(crate) fn spawn(program: &str, folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(["serve", "--models", "models", "--listen", "127.0.0.1:0", "--json"]).args(arguments);
    if !arguments.contains(&"--data") {
        command.args(["--data", "data"]);
    }
    if !arguments.contains(&"--engine") {
        command.args(["--engine", "cpu"]);
    }
    // Its log would be mixed with the test's own words; RUST_LOG shows it.
    let log = if std::env::var_os("RUST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() };
    command.current_dir(folder).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
}
