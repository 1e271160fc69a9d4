//! Memory limits: the user's, and the machine's.

use std::str::FromStr;

use anyhow::bail;
use partwise::schedule::memory_of_machine;

/// `--memory`: bytes, or multiples of 1024 with K, M or G.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory(pub(super) u64);

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = text.trim_end_matches(['B', 'b']).trim_end_matches('i');
        let (number, power) = match unit.char_indices().last() {
            Some((at, 'K' | 'k')) => (&unit[..at], 10),
            Some((at, 'M' | 'm')) => (&unit[..at], 20),
            Some((at, 'G' | 'g')) => (&unit[..at], 30),
            _ => (unit, 0),
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number > 0.0 && number < 1e9 * 1024.0 => Ok(Self((number * f64::from(1 << power)) as u64)),
            _ => Err("use bytes, or a number with K, M or G, such as 800M or 2G".into()),
        }
    }
}

impl Memory {
    /// The default for a training that computes again what does not fit: a quarter of the machine's memory.
    pub(super) fn of_training() -> Self {
        Self(memory_of_machine() / 4)
    }
}

/// Announces the memory that a command needs. Fails if the machine has less; `instead` then says what to do.
pub(super) fn announce(bytes: u64, instead: &str) -> anyhow::Result<()> {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let (needed, there) = (mib(bytes), mib(memory_of_machine()));
    if needed > there {
        bail!("this would take about {needed} MiB of memory, and this machine has {there} MiB; {instead}");
    }
    // A large part of memory may conflict with other programs.
    let level = if needed > there / 2 { log::Level::Warn } else { log::Level::Info };
    log::log!(level, "this takes about {needed} MiB of memory, of {there} MiB that this machine has");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_sizes_parse_with_units() {
        for (text, bytes) in [
            ("1000000", 1_000_000),
            ("64K", 64 << 10),
            ("512M", 512 << 20),
            ("1.5G", 3 << 29),
            ("2GiB", 2 << 30),
            ("2 gb", 2 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Memory(bytes)), "{text}");
        }
        announce(1 << 20, "").unwrap();
        let error = announce(u64::MAX, "take less").unwrap_err().to_string();
        assert!(error.contains("MiB; take less"), "{error}");
        for text in ["", "G", "-1G", "0", "1T", "nan", "much"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }
}
