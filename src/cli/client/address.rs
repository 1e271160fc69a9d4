//! Where the service is, and who calls it.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use ureq::http::Uri;

use super::service::Service;
use super::token::Token;

/// The address of a service, and the token for it.
#[derive(Args)]
#[command(next_help_heading = "The service")]
pub(super) struct Address {
    /// The address of the service
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PARTWISE_SERVER",
        hide_env_values = true,
        default_value = "http://127.0.0.1:7878"
    )]
    server: String,
    /// A file with the token alone in it [default: the token in the environment as PARTWISE_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Send the token to another machine although http:// does not encrypt it, as in a network that itself is encrypted
    #[arg(long, global = true)]
    token_in_clear: bool,
    #[command(flatten)]
    token: Token,
}

impl Address {
    /// The service. Nothing is sent yet.
    pub(super) fn service(&self) -> anyhow::Result<Service> {
        let server = self.server.trim_end_matches('/');
        let uri: Uri = server
            .parse()
            .ok()
            .filter(|uri: &Uri| uri.authority().is_some() && uri.query().is_none())
            .with_context(|| format!("--server {server}: use a URL such as http://127.0.0.1:7878"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => bail!(
                "--server {server}: this client speaks http alone; use it on the service's machine or through an ssh tunnel \
                 (ssh -L 7878:127.0.0.1:7878 HOST), or use curl"
            ),
            _ => bail!("--server {server}: use a URL such as http://127.0.0.1:7878"),
        }
        let token = self.token.read(self.token_file.as_deref())?;
        // A warning would come when the token has been read on the way, and that cannot be taken back.
        if token.is_some() && !self.token_in_clear && !uri.host().is_some_and(is_this_machine) {
            bail!(
                "--server {server}: http:// would show the token to everyone on the way; use an ssh tunnel \
                 (ssh -L 7878:127.0.0.1:7878 HOST), or --token-in-clear in a network that itself is encrypted"
            );
        }
        Ok(Service::new(server, token))
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_few_names() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.3.2.1", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1", "[::2]"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
