//! Divides a job among several processes.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// Part I of N of a job, I from 1: every N-th input, starting with the I-th. As text: I/N.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// Whether this part contains the input of this index, from 0.
    pub fn holds(self, index: usize) -> bool {
        index % self.of == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((0, _)) => {
                Err(Error::input(format!("shard {text}: shards are numbered from 1; add 1 to an index from 0")))
            }
            Some((number, of)) if number > of => {
                Err(Error::input(format!("shard {text}: the last shard is {of}/{of}")))
            }
            Some((number, of)) => Ok(Self { number, of }),
            None => Err(Error::input(format!("shard '{text}': use I/N, such as 2/8 for the second of eight"))),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_in_exactly_one_shard() {
        for of in 1..6 {
            let shards: Vec<Shard> = (1..=of).map(|number| format!("{number}/{of}").parse().unwrap()).collect();
            for index in 0..20 {
                let holders: Vec<_> = shards.iter().filter(|shard| shard.holds(index)).collect();
                assert_eq!(holders, [&shards[index % of]]);
            }
        }
        assert_eq!("2/8".parse::<Shard>().unwrap().to_string(), "2/8");
    }

    #[test]
    fn an_invalid_shard_gives_an_error_that_says_what_to_do() {
        for (text, reason) in [
            ("0/8", "shards are numbered from 1; add 1 to an index from 0"),
            ("0/0", "numbered from 1"),
            ("9/8", "the last shard is 8/8"),
            ("1/0", "the last shard is 0/0"),
            ("2", "use I/N"),
            ("-1/8", "use I/N"),
            ("1/8/2", "use I/N"),
            ("", "use I/N"),
        ] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{error}");
        }
    }
}
