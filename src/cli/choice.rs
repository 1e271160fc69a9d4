//! `--engine`

use std::str::FromStr;

/// What may be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Choice {
    #[default]
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
