//! A service and its client, for tests of the built program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output};

use super::server::Server;
use super::world::World;

/// A running `partwise serve` of a world.
pub(crate) struct Service {
    server: Server,
    pub(crate) url: String,
}

impl Service {
    /// Serves the models in `models` of a world, with the data in `data`.
    pub(crate) fn start(world: &World, arguments: &[&str]) -> Self {
        std::fs::create_dir_all(world.path("models")).unwrap();
        let server = Server::start(env!("CARGO_BIN_EXE_partwise"), world.folder.path(), arguments);
        let url = format!("http://{}", server.address);
        Self { server, url }
    }

    /// A world with a trained model called `m`, and the service of it.
    pub(crate) fn trained(arguments: &[&str]) -> (World, Self) {
        let world = World::trained();
        std::fs::create_dir(world.path("models")).unwrap();
        std::fs::copy(world.path("m.safetensors"), world.path("models/m.safetensors")).unwrap();
        let service = Self::start(&world, arguments);
        (world, service)
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// Asks the service to end, as `systemctl stop` does, and waits for it. Returns its exit status.
    pub(crate) fn stop(self) -> Option<i32> {
        self.server.stop().code()
    }

    /// Runs `partwise client` against this service in the world's folder.
    pub(crate) fn client(&self, world: &World, arguments: &[&str]) -> Output {
        client(world.folder.path(), &[&["--server", &self.url][..], arguments].concat(), None)
    }
}

/// Runs `partwise client` in a folder, with a token in the environment or without one.
pub(crate) fn client(folder: &Path, arguments: &[&str], token: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_partwise"));
    command.arg("client").args(arguments).current_dir(folder);
    command.env_remove("RUST_LOG").env_remove("PARTWISE_SERVER").env_remove("PARTWISE_TOKEN");
    if let Some(token) = token {
        command.env("PARTWISE_TOKEN", token);
    }
    command.output().unwrap()
}
