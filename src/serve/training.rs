//! The desk of trainings: a thread that learns models, one after the other.

use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::clock::now;
use super::job::{Outcome, State};
use super::options;
use super::queue::{TRAINING, Ticket, Turn};
use super::refusal::INTERNAL;
use super::service::Service;
use crate::engines::{AnyEngine, EngineChoice};
use crate::recordings::{Event, Material};
use crate::schedule::OnWhich;
use crate::train::{self, Means};
use crate::{Error, Result};

/// Runs the desk of trainings until the service ends.
pub(super) fn run(service: &Arc<Service>) {
    let choice = match &service.settings.engine {
        OnWhich::One(choice) => choice.clone(),
        OnWhich::EveryCard { .. } => EngineChoice::default(),
    };
    match service.settings.engines.open(&choice) {
        Ok(engine) => work(service, &engine),
        Err(error) => {
            for ticket in service.queue.drain(TRAINING) {
                service.fail(&ticket, error.to_string());
            }
        }
    }
    service.queue.leave(TRAINING);
}

fn work(service: &Arc<Service>, engine: &AnyEngine) {
    while service.queue.wait_turn(TRAINING) == Turn::Run {
        let since = Instant::now();
        while let Some(ticket) = service.queue.take(TRAINING, since) {
            ticket.started.store(now(), Ordering::Relaxed);
            // A panic is a fault of this program that some recording has found. The next training may do without it.
            let learned = panic::catch_unwind(AssertUnwindSafe(|| learn(service, engine, &ticket)));
            match learned.unwrap_or_else(|_| Err(Error::input(INTERNAL))) {
                Ok(warnings) => service.end(&ticket, State::Done, Outcome { warnings, ..Outcome::default() }),
                // The service ends, and the training begins anew at its next start.
                Err(Error::Cancelled) if !ticket.is_cancelled() => service.queue.put_back(&ticket),
                Err(error) if error.is_full() => service.put_back_full(&ticket),
                Err(error) => service.fail(&ticket, service.spoken(&ticket.id, &ticket.request, &error.to_string())),
            }
        }
        service.queue.rest(TRAINING);
    }
}

/// Learns a model and adds it to the service's. Returns what was odd about the recordings.
fn learn(service: &Service, engine: &AnyEngine, ticket: &Ticket) -> Result<Vec<String>> {
    let request = &ticket.request;
    let names: Vec<&str> = request.sources.iter().map(|source| source.name.as_str()).collect();
    let (training, _) = options::training(&request.given, &names)?;
    let material: Vec<Material> = options::named(&service.sources(ticket)).into_iter().map(Material::from).collect();
    let all = train::iterations(&training, material.len()).max(1) as f64;
    let spoken = |message: &str| service.spoken(&ticket.id, request, message);
    let mut warnings = Vec::new();
    let mut watch = |event: Event| {
        match event {
            Event::Skipped(error) => warnings.push(format!("{}; it is left out", spoken(&error.to_string()))),
            Event::Warning(recording, warning) => warnings.push(spoken(&format!("{recording}: {warning}"))),
            Event::Iteration(..) => service.queue.advance(ticket, 1.0 / all, now()),
        }
        if ticket.is_cancelled() || service.queue.is_stopped() { Err(Error::Cancelled) } else { Ok(()) }
    };
    let model = train::train_within(engine, &material, &training, Means::default(), &mut watch)?;
    let name = request.name.as_deref().unwrap_or_default();
    publish(&service.models.path(name), &model.to_bytes()?, request.replace, name)?;
    Ok(warnings)
}

/// Writes a model as a whole, or not at all.
fn publish(path: &Path, bytes: &[u8], replace: bool, name: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        // Others may read a model, as far as the service's umask lets them.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.prefix(".").tempfile_in(folder)?;
        file.write_all(bytes)?;
        if replace { file.persist(path) } else { file.persist_noclobber(path) }.map(drop).map_err(|failed| failed.error)
    };
    match write() {
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::input(format!("there is a model called '{name}'; choose another name, or replace it")))
        }
        written => written.map_err(Error::io(path, "write")),
    }
}
