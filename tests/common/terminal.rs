//! Runs the program on a terminal of its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, Command};

/// A program on a terminal of 100 columns.
pub(crate) struct OnTerminal {
    pub(crate) child: Child,
    screen: File,
}

impl OnTerminal {
    pub(crate) fn start(mut command: Command) -> Self {
        let (mut screen, mut terminal) = (0, 0);
        let size = libc::winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        // Some systems take a constant, others not.
        let size = (&raw const size).cast_mut();
        // SAFETY: all pointers are to live variables or null, and both descriptors are owned by nobody else.
        let (screen, terminal) = unsafe {
            let none = std::ptr::null_mut();
            assert_eq!(libc::openpty(&mut screen, &mut terminal, none, none.cast(), size), 0);
            (File::from_raw_fd(screen), OwnedFd::from_raw_fd(terminal))
        };
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
        command.env("TERM", "xterm").env_remove("RUST_LOG").env_remove("COLUMNS");
        Self { child: command.spawn().unwrap(), screen }
    }

    /// What appeared on the terminal until the program ended, and the exit status.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        let (mut shown, mut block) = (Vec::new(), [0; 4096]);
        // Once no program has the terminal open, reading fails.
        while let Ok(count @ 1..) = self.screen.read(&mut block) {
            shown.extend_from_slice(&block[..count]);
        }
        let status = self.child.wait().unwrap();
        (String::from_utf8_lossy(&shown).replace("\r\n", "\n"), status.code())
    }
}
