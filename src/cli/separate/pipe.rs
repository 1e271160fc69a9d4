//! `partwise separate - -o -`: from standard input to standard output, sample by sample.

use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::bail;
use partwise::audio::{Reader, Writer};
use partwise::separate::{Plan, Stem, Stream};
use partwise::{AnyEngine, Error};

use super::super::Ending;
use super::super::interrupt::Interrupts;

/// What stands for standard input and for standard output.
pub(super) const DASH: &str = "-";
const INPUT: &str = "standard input";
const OUTPUT: &str = "standard output";

/// Checks that one stem can go to standard output by a plan, before anything is read.
pub(super) fn check(plan: &Plan) -> anyhow::Result<()> {
    let wanted = plan.wanted()?;
    if let names @ [_, _, ..] = &wanted.names(&plan.scheme.sources)[..] {
        bail!("-o -: standard output takes one stem, and there are {}; add --only with one of them", names.join(", "));
    }
    plan.check_stream()?;
    if std::io::stdout().is_terminal() {
        bail!("-o -: standard output is a terminal; send it to a file by > or to a program by |");
    }
    Ok(())
}

/// Separates the WAV on standard input as it comes, and writes the stem to standard output.
pub(super) fn run(plan: &Plan, engine: &AnyEngine) -> anyhow::Result<Ending> {
    let interrupts = Interrupts::listen()?;
    let separator = plan.on_borrowed(engine);
    let mut reader = Reader::stream(Path::new(INPUT), std::io::stdin())?;
    let (channels, sample_rate) = (reader.channels(), reader.sample_rate());
    let mut stream = Stream::new(plan, &*separator, channels, sample_rate)?;
    let format = plan.separation.format.of(reader.bits());
    let (begun, mut block, mut samples) = (Instant::now(), Vec::new(), 0);
    if !reader.read(&mut block)? {
        return Err(Error::audio(INPUT, "holds no audio: 0 samples").into());
    }
    let shape = (channels, sample_rate, reader.channel_mask());
    let Some(mut writer) = heard(Writer::stream(Path::new(OUTPUT), std::io::stdout(), format, shape))? else {
        return Ok(Ending::Done);
    };
    loop {
        samples += block.first().map_or(0, Vec::len);
        if heard(write(&mut writer, stream.push(&block)?))?.is_none() {
            return Ok(Ending::Done);
        }
        if interrupts.noted().load(Ordering::Relaxed) || !reader.read(&mut block)? {
            break;
        }
    }
    if heard(write(&mut writer, stream.finish()?))?.is_none() {
        return Ok(Ending::Done);
    }
    let clipped = writer.finish()?;
    if clipped > 0 {
        log::warn!("{OUTPUT}: {clipped} samples were clipped, because they exceed the full scale of {format}");
    }
    reader.warnings().iter().for_each(|warning| log::warn!("{INPUT}: {warning}"));
    let (audio, wall) = (samples as f64 / f64::from(sample_rate), begun.elapsed().as_secs_f64());
    log::info!("{INPUT}: {audio:.1} s of audio in {wall:.1} s");
    Ok(if interrupts.noted().load(Ordering::Relaxed) { Ending::Interrupted } else { Ending::Done })
}

/// Writes the samples of the one stem.
fn write(writer: &mut Writer, stems: Vec<Stem>) -> partwise::Result<()> {
    stems.iter().filter(|stem| stem.recording.frames() > 0).try_for_each(|stem| writer.write(&stem.recording.channels))
}

/// What was written, or None if nobody reads standard output any more: a program such as `head` has heard enough.
fn heard<T>(written: partwise::Result<T>) -> partwise::Result<Option<T>> {
    match written {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => Ok(None),
        written => written.map(Some),
    }
}
