//! `partwise serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use partwise::serve::{Limits, Server, Settings, Tokens};
use serde::Serialize;

use super::common::heading::FILES;
use super::engine::{choice, engines};
use super::interrupt::Interrupts;
use super::memory::Memory;
use super::separate::stage_threads;
use super::{Common, Ending, examples, print, say};

/// How often the end of the service is looked for.
const GLANCE: Duration = Duration::from_millis(50);

/// Serve separations and trainings over HTTP, with a web page
#[derive(Args)]
#[command(after_long_help = examples::SERVE)]
pub(super) struct Serve {
    /// The folder of models, NAME.safetensors each; trained ones are added to it
    #[arg(long, value_name = "DIR", required_unless_present = "add_client", help_heading = FILES)]
    models: Option<PathBuf>,
    /// The folder for jobs, recordings and results; it belongs to one service at a time
    #[arg(long, value_name = "DIR", required_unless_present = "add_client", help_heading = FILES)]
    data: Option<PathBuf>,
    /// The address to listen on; port 0 lets the system choose. An address that others can reach needs --token-file
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7878", help_heading = "Address and clients")]
    listen: SocketAddr,
    /// A file of clients and the hashes of their tokens; every call then needs a token
    #[arg(long, value_name = "FILE", help_heading = "Address and clients")]
    token_file: Option<PathBuf>,
    /// Add a client to --token-file, print its token, and do not serve
    #[arg(long, value_name = "NAME", requires = "token_file", help_heading = "Address and clients")]
    add_client: Option<String>,
    /// A folder whose recordings jobs may name by their paths; may be given several times
    #[arg(long = "inputs", value_name = "DIR", help_heading = FILES)]
    inputs: Vec<PathBuf>,
    /// The most bytes of the uploads of one job
    #[arg(long, value_name = "SIZE", default_value = "2G", help_heading = "Limits")]
    max_upload: Memory,
    /// The most seconds of a recording [default: 14400, four hours]
    #[arg(long, value_name = "S", default_value_t = 14_400.0, hide_default_value = true, value_parser = seconds, help_heading = "Limits")]
    max_seconds: f64,
    /// The most seconds of audio of all jobs that wait or run; beyond it, jobs are refused with 429
    /// [default: 86400, a day]
    #[arg(long, value_name = "S", default_value_t = 86_400.0, hide_default_value = true, value_parser = seconds, help_heading = "Limits")]
    queue_seconds: f64,
    /// The most bytes of uploads of all jobs that wait or run
    #[arg(long, value_name = "SIZE", default_value = "16G", help_heading = "Limits")]
    queue_bytes: Memory,
    /// How long a job and its results are kept after its end, such as 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration, help_heading = "Limits")]
    keep: Duration,
    /// The most bytes of recordings and results that are kept; the oldest go first
    #[arg(long, value_name = "SIZE", default_value = "32G", help_heading = "Limits")]
    keep_bytes: Memory,
    /// Memory for the panels of each model in use, such as 800M [default: as of `separate`]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    memory: Option<Memory>,
    /// At the end, seconds in which jobs in progress may be finished; those that are not are done after the next start
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = seconds, help_heading = "Limits")]
    drain: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&seconds: &f64| seconds > 0.0 && seconds <= 1e9);
    number.ok_or_else(|| "use a number of seconds above 0".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "use a time such as 90min, 12h or 7d".into())
}

/// What is printed once the service can be reached.
#[derive(Serialize)]
struct Listening {
    address: String,
    url: String,
    engine: String,
}

impl Serve {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        if let Some(name) = &self.add_client {
            let path = self.token_file.as_deref().context("--add-client: name the file by --token-file")?;
            let token = Tokens::add(path, name)?;
            print(common.json, &serde_json::json!({"client": name, "token": token}), || format!("{token}\n"))?;
            return Ok(Ending::Done);
        }
        let (Some(models), Some(data)) = (self.models, self.data) else { bail!("name --models and --data") };
        for folder in &self.inputs {
            std::fs::read_dir(folder).with_context(|| format!("--inputs {}", folder.display()))?;
        }
        let settings = Settings {
            models,
            data,
            inputs: self.inputs,
            tokens: self.token_file.as_deref().map(Tokens::read).transpose()?,
            engines: engines(common),
            engine: choice(common),
            stage_threads: stage_threads(common),
            memory: self.memory.map(|Memory(bytes)| bytes),
            limits: Limits {
                upload_bytes: self.max_upload.0,
                recording_seconds: self.max_seconds,
                queue_seconds: self.queue_seconds,
                queue_bytes: self.queue_bytes.0,
                keep: self.keep,
                keep_bytes: self.keep_bytes.0,
                ..Limits::default()
            },
        };
        let interrupts = Interrupts::listen()?;
        let server = Server::open(settings, self.listen)?;
        let address = server.address()?;
        let listening = Listening {
            address: address.to_string(),
            url: format!("http://{address}/"),
            engine: server.engine().into(),
        };
        // As JSON it is one line: whoever starts a service reads a line and goes on, because the output does not end.
        let text = match common.json {
            true => serde_json::to_string(&listening)?,
            false => format!("{}\non {}", listening.url, listening.engine),
        };
        say(&(text + "\n"))?;
        let (noted, stop) = (interrupts.noted(), server.stopper());
        thread::Builder::new().spawn(move || {
            while !noted.load(Ordering::Relaxed) {
                thread::sleep(GLANCE);
            }
            stop.stop();
        })?;
        let finished = server.run(Duration::from_secs_f64(self.drain))?;
        if !finished {
            log::warn!("jobs were in progress; they are done after the next start");
        }
        Ok(Ending::Done)
    }
}
