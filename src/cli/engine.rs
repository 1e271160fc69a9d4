//! Which engine a command runs on.

use std::str::FromStr;

use partwise::Error;
use partwise::engine::{Cpu, Reference};

use super::Common;

/// `--engine`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Auto,
    Gpu,
    Cpu,
    Reference,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "gpu" => Ok(Self::Gpu),
            "cpu" => Ok(Self::Cpu),
            "reference" => Ok(Self::Reference),
            _ => Err("use auto, gpu, cpu or reference".into()),
        }
    }
}

/// An engine of any kind; [`with_engine`] opens it to code that is generic over engines.
pub(super) enum AnyEngine {
    Cpu(Cpu),
    Reference(Reference),
}

/// Runs `$body` with `$engine` bound to the engine inside an [`AnyEngine`], whichever it is.
macro_rules! with_engine {
    ($any:expr, |$engine:ident| $body:expr) => {
        match $any {
            $crate::cli::engine::AnyEngine::Cpu($engine) => $body,
            $crate::cli::engine::AnyEngine::Reference($engine) => $body,
        }
    };
}
pub(super) use with_engine;

/// Opens the engine that the options ask for.
pub(super) fn open(common: &Common) -> partwise::Result<AnyEngine> {
    match common.engine {
        Choice::Reference => Ok(AnyEngine::Reference(Reference)),
        Choice::Cpu | Choice::Auto => Ok(AnyEngine::Cpu(Cpu::new(common.threads.map(usize::from))?)),
        Choice::Gpu => Err(Error::input("later")),
    }
}
