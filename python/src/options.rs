//! Options of jobs, which come as the JSON that `--config` files hold.

use partwise::options::{Described, from_map};
use partwise::{Error, Result};

/// A description from its options.
pub(crate) fn description<D: Described>(json: &str) -> Result<D> {
    let options = serde_json::from_str(json).map_err(|cause| Error::input(format!("the options: {cause}")))?;
    from_map(options)
}
