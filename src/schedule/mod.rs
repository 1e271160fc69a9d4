//! Many files, one or more engines: decode and STFT → packed panels → gains and masks → inverse STFT and write. The queues of this
//! pipeline are bounded, so memory depends neither on the number of files nor on their length.

mod append;
mod decode;
mod encode;
mod faults;
mod inputs;
mod job;
mod left_out;
mod manifest;
mod memory;
mod outputs;
mod pack;
mod parameters;
mod path_json;
mod pipeline;
mod relay;
mod reports;
mod shard;
mod stations;
mod track;
mod unfinished;

pub use decode::hash;
pub use inputs::{Input, Listing, list};
pub use job::{Job, OnError};
pub use left_out::LeftOut;
pub use manifest::{FileReport, MANIFEST, Record, Status, read_manifest};
pub use memory::check_memory;
pub use outputs::{Naming, PATTERN};
pub use parameters::{Parameters, Recorded};
pub use pipeline::run;
pub use relay::{Relay, Station, Successor};
pub use reports::{Outcome, Watch};
pub use shard::Shard;
pub use stations::{OnWhich, stations};

use track::{Masked, Piece, Step, Track};
