//! The reference has no peaks: it is built for accuracy, not speed.

use std::time::Duration;

use super::{Peak, Peaks};
use crate::Result;
use crate::engine::Reference;

impl Peak for Reference {
    fn peaks(&self, _: Duration) -> Result<Option<Peaks>> {
        Ok(None)
    }
}
