//! The token of a client: from the environment or from a file, and never from an argument.

use std::path::Path;

use anyhow::bail;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use partwise::Error;

const TOKEN: &str = "token";

/// The token of the environment. An argument that looks like the place for it is there to be refused.
pub(super) struct Token(Option<String>);

impl Token {
    /// The token: that of a file, or of the environment.
    pub(super) fn read(&self, file: Option<&Path>) -> anyhow::Result<Option<String>> {
        let (text, whence) = match (file, &self.0) {
            (Some(path), _) => {
                (std::fs::read_to_string(path).map_err(Error::io(path, "read"))?, path.display().to_string())
            }
            (None, Some(token)) => (token.clone(), "PARTWISE_TOKEN".into()),
            (None, None) => return Ok(None),
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{whence}: must hold the token alone, as `partwise serve --add-client` prints it");
        }
        Ok(Some(token.into()))
    }
}

impl Args for Token {
    fn augment_args(command: Command) -> Command {
        let token = Arg::new(TOKEN).long("token").env("PARTWISE_TOKEN").hide_env_values(true);
        command.arg(token.global(true).hide(true).value_name("TOKEN"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Token {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if matches.value_source(TOKEN) == Some(ValueSource::CommandLine) {
            let reason = "--token: other users of this machine see arguments; put the token into a file for --token-file, or into \
                          the environment as PARTWISE_TOKEN";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, reason));
        }
        Ok(Self(matches.get_one::<String>(TOKEN).filter(|token| !token.is_empty()).cloned()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        Self::from_arg_matches(matches).map(|token| *self = token)
    }
}
