//! `partwise client submit`

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use partwise::Separation;
use partwise::schedule::Listing;

use super::super::common::heading::{FILES, JOBS, MODEL};
use super::super::description::{self, Options, PRINT};
use super::super::interrupt::Interrupts;
use super::super::{Common, Ending, escaped, examples, progress, say, sources};
use super::address::Address;
use super::jobs::Job;
use super::order::Order;
use super::saving::Saving;
use super::sent::{Sent, Summary};
use super::service::{Patience, Service, encoded};

/// Jobs that are asked for at a time while they are waited for. They end about in the order in which they were sent.
const WINDOW: usize = 16;
/// The pauses between two looks at the jobs: they grow while nothing ends.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Send recordings to be separated, a job each, and print the jobs
#[derive(Args)]
#[command(after_long_help = examples::SUBMIT)]
pub(super) struct Submit {
    /// Files, folders, globs, @list.txt, @list.jsonl, or @- for a list on stdin
    #[arg(required_unless_present = PRINT, value_name = "INPUT")]
    inputs: Vec<String>,
    /// The name of a model of the service, see `partwise client models`
    #[arg(long, value_name = "NAME", help_heading = MODEL)]
    model: Option<String>,
    #[command(flatten)]
    options: Options<Separation>,
    /// Wait until all jobs have ended
    #[arg(long, help_heading = JOBS)]
    wait: bool,
    /// The folder for the stems of jobs that are done, one file a source
    #[arg(short, long, value_name = "DIR", requires = "wait", help_heading = FILES)]
    output: Option<PathBuf>,
    /// Replace files that are there and differ
    #[arg(long, requires = "output", help_heading = FILES)]
    replace: bool,
    /// Seconds in which a call is tried again when the queue is full, or the service is busy or cannot be reached
    #[arg(long, value_name = "S", default_value_t = 300, help_heading = JOBS)]
    patience: u32,
}

impl Submit {
    pub(super) fn run(self, common: &Common, address: &Address) -> anyhow::Result<Ending> {
        let separation = self.options.description()?;
        if self.options.is_printed() {
            description::print(&separation)?;
            return Ok(Ending::Done);
        }
        let service = address.service()?;
        let order = Order::of(&separation, self.model.clone())?;
        let Listing { inputs, left_out } = sources::listing(&self.inputs, self.output.as_deref())?;
        if !left_out.is_empty() {
            log::warn!("{}: {left_out}", self.inputs.join(", "));
        }
        // Whether it is there, and knows this caller.
        service.get("/v1/limits")?;
        if let Some(name) = &self.model {
            let known = service.get(&format!("/v1/models/{}", encoded(name)));
            known.with_context(|| format!("--model {name}; see `partwise client models`"))?;
        }
        let interrupts = Interrupts::listen()?;
        let patience = Patience { most: Duration::from_secs(self.patience.into()), stop: interrupts.noted() };
        let mut sent: Vec<Sent> = inputs.iter().map(|input| Sent::of(input, inputs.len() == 1)).collect();
        send(common, &service, &order, patience, &mut sent)?;
        if self.wait {
            self.follow(common, &service, patience, &mut sent);
        }
        let summary = Summary::of(sent, self.wait, patience.is_over());
        if self.wait || common.json {
            common.conclude(&summary, || summary.text(&service.server, self.output.as_deref()))?;
        } else if summary.accepted > 0 {
            hint(common);
        }
        let wanted = if self.wait { summary.done } else { summary.accepted };
        match (summary.interrupted, summary.failed + summary.left, wanted) {
            (true, ..) => Ok(Ending::Interrupted),
            (_, 0, _) => Ok(Ending::Done),
            (_, _, 0) => match &summary.jobs[..] {
                [Sent { input, error: Some(error), .. }] => Err(anyhow!("{}: {error}", input.display())),
                _ => bail!("none of {} inputs was {}", summary.files, if self.wait { "separated" } else { "accepted" }),
            },
            _ => Ok(Ending::Partial),
        }
    }

    /// Waits until all jobs have ended, and fetches the stems of those that are done.
    fn follow(&self, common: &Common, service: &Service, patience: Patience, sent: &mut [Sent]) {
        let accepted = sent.iter().filter(|one| one.is_open()).count();
        let bytes = sent.iter().filter(|one| one.is_open()).map(|one| one.bytes).sum();
        let bar = progress::bar(common, bytes, &format!("0 of {accepted} jobs"));
        let mut saving = self.output.as_deref().map(|folder| Saving {
            service,
            folder,
            replace: self.replace,
            patience,
            written: HashSet::new(),
        });
        let mut pause = SHORTEST;
        while sent.iter().any(Sent::is_open) && patience.rest(pause) {
            let mut ended = 0;
            for one in sent.iter_mut().filter(|one| one.is_open()).take(WINDOW) {
                let Some(id) = one.id().map(str::to_owned) else { continue };
                match patience.keep(|| Job::get(service, &id)) {
                    Ok((job, answer)) => {
                        one.take(&job, answer);
                        if job.state.is_final() {
                            ended += 1;
                            one.end(&job, saving.as_mut(), &bar);
                        }
                    }
                    Err(_) if patience.is_over() => break,
                    Err(failure) => one.fail(&bar, failure.to_string()),
                }
            }
            let done = |one: &Sent| if one.is_open() { one.progress } else { 1.0 };
            let waited_for = sent.iter().filter(|one| one.job.is_some());
            bar.set_position(waited_for.map(|one| (one.bytes as f64 * done(one)) as u64).sum());
            bar.set_message(format!(
                "{} of {accepted} jobs",
                accepted - sent.iter().filter(|one| one.is_open()).count()
            ));
            pause = if ended > 0 { SHORTEST } else { (pause * 3 / 2).min(LONGEST) };
        }
        bar.finish_and_clear();
    }
}

/// Says on a terminal what comes next. Programs read the jobs on stdout alone.
fn hint(common: &Common) {
    if !common.quiet && !common.json && std::io::stderr().is_terminal() {
        let next =
            "next: `partwise client status` shows how far they are, `partwise client fetch ID -o DIR` saves the stems";
        // If that fails, nobody is there to be told.
        let _ = writeln!(std::io::stderr(), "{next}");
    }
}

/// Sends all files, and prints their jobs as they are accepted.
fn send(
    common: &Common,
    service: &Service,
    order: &Order,
    patience: Patience,
    sent: &mut [Sent],
) -> anyhow::Result<()> {
    let all = sent.len();
    let bar = progress::bar(common, sent.iter().map(|one| one.bytes).sum(), &format!("0 of {all} sent"));
    let mut before = 0;
    for (index, one) in sent.iter_mut().enumerate() {
        if patience.is_over() {
            break;
        }
        if let Some(problem) = one.problem.take() {
            one.fail(&bar, problem);
            continue;
        }
        let answer = patience.keep(|| {
            bar.set_position(before);
            let answer = order.send(service, index, &one.input, &bar)?;
            Ok((Job::of(service, &answer)?, answer))
        });
        match answer {
            Ok((job, answer)) => {
                one.take(&job, answer);
                if !common.json {
                    bar.suspend(|| say(&format!("{}\n", escaped(&job.id))))?;
                }
            }
            Err(_) if patience.is_over() => break,
            Err(failure) => {
                one.fail(&bar, failure.to_string());
                // The others would meet the same.
                if failure.is_passing() || failure.is_of_the_caller() {
                    break;
                }
            }
        }
        before += one.bytes;
        bar.set_position(before);
        bar.set_message(format!("{} of {all} sent", index + 1));
    }
    bar.finish_and_clear();
    Ok(())
}
