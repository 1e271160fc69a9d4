//! Many files, listed or still to come, and one or more engines: decode and STFT → packed panels → gains and masks → inverse STFT
//! and write. The queues of this pipeline are bounded, so memory depends neither on the number of files nor on their length.

mod append;
mod batch;
mod decode;
mod encode;
mod faults;
mod feed;
mod inputs;
mod job;
mod left_out;
mod live;
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

pub use batch::Batch;
pub use decode::{hash, hash_bytes};
pub use feed::{File, Files};
pub use inputs::{Input, Listing, Standard, list, list_with};
pub use job::{Job, OnError};
pub use left_out::LeftOut;
pub use manifest::{FileReport, MANIFEST, Record, Status, read_manifest};
pub use memory::{check_memory, memory_of_machine, usual_memory};
pub use outputs::{Naming, PATTERN};
pub use parameters::{Parameters, Recorded};
pub use pipeline::{run, run_files, run_live};
pub use relay::{Relay, Station, Successor};
pub use reports::{Outcome, Watch};
pub use shard::Shard;
pub use stations::{OnWhich, stations};

use track::{Masked, Piece, Step, Track};
