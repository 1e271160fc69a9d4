//! The judge is not in the race.

use std::time::Duration;

use super::{Peak, Peaks};
use crate::Result;
use crate::engine::Reference;

impl Peak for Reference {
    fn peaks(&self, _: Duration) -> Result<Option<Peaks>> {
        Ok(None)
    }
}
