//! `partwise client`

mod address;
mod fetch;
mod form;
mod jobs;
mod models;
mod order;
mod saving;
mod sent;
mod service;
mod status;
mod submit;
mod token;

use clap::{Args, Subcommand};

use self::address::Address;
use super::{Common, Ending};

/// Use a service that runs here or on another machine (`partwise serve`)
#[derive(Args)]
pub(super) struct Client {
    #[command(flatten)]
    address: Address,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Models(models::Models),
    Submit(Box<submit::Submit>),
    Status(status::Status),
    Fetch(fetch::Fetch),
    Cancel(status::Cancel),
    Delete(status::Delete),
}

impl Client {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        let Self { address, action } = self;
        match action {
            Action::Models(models) => models.run(common, &address),
            Action::Submit(submit) => submit.run(common, &address),
            Action::Status(status) => status.run(common, &address),
            Action::Fetch(fetch) => fetch.run(common, &address),
            Action::Cancel(cancel) => cancel.run(common, &address),
            Action::Delete(delete) => delete.run(common, &address),
        }
    }
}
