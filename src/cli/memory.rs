//! Memory: what a user allows, and what this machine has.

use std::str::FromStr;

use anyhow::bail;
use partwise::schedule::Station;

/// `--memory`: bytes, with K, M or G for their multiples by 1024.
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
    /// What a job takes where the user does not say: a quarter of the machine at most, and, where it can be less, no more than
    /// pays. A processor is busy with a few thousand columns; a card wants tens of thousands, or most of it is idle.
    pub(super) fn usual(stations: &[Station], whole: bool) -> Self {
        let gpu = stations.iter().any(|station| station.describe().starts_with("gpu"));
        let pays = if whole {
            u64::MAX
        } else if gpu {
            3 << 30
        } else {
            512 << 20
        };
        Self((of_machine() / 4).min(pays))
    }
}

/// Bytes that this machine has, or its container.
fn of_machine() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    system.total_memory().min(limit)
}

/// Says what memory a command is about to take, and refuses what this machine has not got; `instead`: what to do then.
pub(super) fn announce(bytes: u64, instead: &str) -> anyhow::Result<()> {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let (needed, there) = (mib(bytes), mib(of_machine()));
    if needed > there {
        bail!("this would take about {needed} MiB of memory, and this machine has {there} MiB; {instead}");
    }
    // What is a good part of it may meet what else is running.
    let level = if needed > there / 2 { log::Level::Warn } else { log::Level::Info };
    log::log!(level, "this takes about {needed} MiB of memory, of {there} MiB that this machine has");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_with_its_unit() {
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
