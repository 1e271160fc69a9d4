//! `partwise completions` and `partwise man`: what a shell and `man` know of the commands.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use partwise::Error;

use super::common::Help;
use super::output::told;
use super::{Ending, examples, say, shown, write_whole};

/// Print a script that completes commands and options in a shell
#[derive(Args)]
#[command(after_long_help = examples::COMPLETIONS)]
pub(super) struct Completions {
    /// The shell: bash, zsh, fish, powershell or elvish
    #[arg(hide_possible_values = true)]
    shell: Shell,
    #[command(flatten)]
    help: Help,
}

/// Write manual pages, one for every command
#[derive(Args)]
#[command(after_long_help = examples::MAN)]
pub(super) struct Man {
    /// The folder for the pages, such as ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    help: Help,
}

impl Completions {
    pub(super) fn run(self, mut command: Command) -> anyhow::Result<Ending> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "partwise", &mut script);
        told(std::io::Write::write_all(&mut std::io::stdout(), &script))?;
        Ok(Ending::Done)
    }
}

impl Man {
    pub(super) fn run(self, mut command: Command) -> anyhow::Result<Ending> {
        command.build();
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder, "create"))?;
        let pages = write_pages(&command, &self.folder)?;
        say(&format!("{pages} pages in {}\nnext: man partwise\n", shown(&self.folder)))?;
        Ok(Ending::Done)
    }
}

/// Writes the page of a command and those below it. Returns how many.
fn write_pages(command: &Command, folder: &Path) -> anyhow::Result<usize> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_string();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    write_whole(&folder.join(format!("{name}.1")), |path| std::fs::write(path, page))?;
    let below = command.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set());
    below.map(|command| write_pages(command, folder)).sum::<anyhow::Result<usize>>().map(|pages| pages + 1)
}
