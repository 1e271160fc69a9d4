//! The examples at the end of `--help`. Globs are quoted, because zsh expands them, and fails where nothing matches.

/// An explanation a line, and the command that does it below.
macro_rules! examples {
    ($($line:literal)*) => { concat!("Examples:\n", $("  ", $line, "\n",)*) };
}

pub(super) const ALL: &str = examples! {
    "Hear what it does, with recordings that come with it:"
    "  partwise demo"
    "Learn a model, and separate recordings with it:"
    "  partwise train --source speech=speech/ \\"
    "    --source piano=piano/ -o model.safetensors"
    "  partwise separate mixtures/ \\"
    "    --model model.safetensors -o separated/"
    "Separate a recording without a model:"
    "  partwise separate duet.wav --method nmf2d \\"
    "    --sources 2 -o separated/"
};

pub(super) const TRAIN: &str = examples! {
    "Learn from folders of recordings of each source alone:"
    "  partwise train --source speech=speech/ \\"
    "    --source piano=piano/ -o model.safetensors"
    "The same with globs, and with more time for quality:"
    "  partwise train --source 'speech=in/speech_*.wav' \\"
    "    --source 'piano=in/piano_*.wav' \\"
    "    --quality best -o model.safetensors"
    "See the options in force, and train by them later:"
    "  partwise train --rank 64 --print-config"
    "  partwise train --config job.json --source a=a/ \\"
    "    --source b=b/ -o model.safetensors"
};

pub(super) const SEPARATE: &str = examples! {
    "Separate a folder with a model of `partwise train`:"
    "  partwise separate mixtures/ \\"
    "    --model model.safetensors -o separated/"
    "Separate what a program lists; again, to go on:"
    "  find . -name '*.flac' | partwise separate @- --resume \\"
    "    --model model.safetensors -o separated/"
    "Take noise off, with a model that comes with partwise:"
    "  partwise separate talk.wav --model speech+noise \\"
    "    --only speech --residual -o separated/"
    "Take noise off a stream while it comes:"
    "  partwise separate - -o - --model speech+noise \\"
    "    --only speech --follow < noisy.wav > speech.wav"
};

pub(super) const DENOISE: &str = examples! {
    "Take musical noise off a folder of recordings:"
    "  partwise denoise recordings/ -o clean/"
    "Keep more of recordings with many notes:"
    "  partwise denoise 'choir/*.flac' --rank 60 -o clean/"
};

pub(super) const EVALUATE: &str = examples! {
    "Score estimates, in the order of the true sources:"
    "  partwise evaluate --reference speech.wav piano.wav \\"
    "    --estimate out/mix.speech.wav out/mix.piano.wav \\"
    "    --mixture mix.wav"
    "Score all estimates of a folder, with medians over seconds:"
    "  partwise evaluate --references true/ \\"
    "    --estimates separated/ --mixtures mixtures/ --frames 1"
    "Score what a list names, as comma-separated values:"
    "  partwise evaluate --manifest pairs.csv --csv"
    "Find the order of estimates that have no names:"
    "  partwise evaluate --permute --reference a.wav b.wav \\"
    "    --estimate out/mix.source1.wav out/mix.source2.wav"
};

pub(super) const SHIPPED: &str = examples! {
    "List the models that come with partwise:"
    "  partwise models"
    "Read what one was learned from, and how well it separates:"
    "  partwise models speech+noise"
};

pub(super) const INFO: &str = examples! {
    "Say what a model holds, and what gain to expect:"
    "  partwise info model.safetensors"
    "Say what separate would do to a recording:"
    "  partwise info talk.wav --model speech+noise"
    "Sum up a folder of results, for another program:"
    "  partwise info separated/ --json"
};

pub(super) const PLOT: &str = examples! {
    "Draw the spectrogram of a recording:"
    "  partwise plot talk.wav -o talk.png"
    "Draw what a separation finds in it, masks and gains alone:"
    "  partwise plot talk.wav --model speech+noise \\"
    "    --what masks,gains -o found.svg"
    "Draw the bases of a model:"
    "  partwise plot model.safetensors"
    "Make pages of a folder of results:"
    "  partwise plot separated/ -o report/"
};

pub(super) const DEMO: &str = examples! {
    "Train, separate, score, and write a report to open:"
    "  partwise demo"
    "The same on the CPU, into another folder:"
    "  partwise demo --engine cpu -o /tmp/demo"
};

pub(super) const MERGE: &str = examples! {
    "Join the manifests of shards, and print a summary:"
    "  partwise manifest merge shard1/ shard2/ -o all.jsonl"
    "Send the joined manifest to another program:"
    "  partwise manifest merge shard1/ shard2/"
};

#[cfg(feature = "serve")]
pub(super) const SERVE: &str = examples! {
    "Serve this machine, with the page at port 7878:"
    "  partwise serve --models models/ --data data/"
    "Make a token, and serve others, who need one:"
    "  partwise serve --token-file tokens --add-client ada"
    "  partwise serve --models models/ --data data/ \\"
    "    --token-file tokens --listen 0.0.0.0:7878"
};

#[cfg(feature = "serve")]
pub(super) const MODELS: &str = examples! {
    "List the models of the service on this machine:"
    "  partwise client models"
    "Those of another machine, through an ssh tunnel:"
    "  partwise client models --server http://127.0.0.1:9000"
};

#[cfg(feature = "serve")]
pub(super) const SUBMIT: &str = examples! {
    "Send recordings, wait, and save the stems:"
    "  partwise client submit mixtures/ --model speech \\"
    "    --wait -o separated/"
    "Send recordings, and print the jobs:"
    "  partwise client submit 'in/*.wav' --model speech"
};

#[cfg(feature = "serve")]
pub(super) const STATUS: &str = examples! {
    "Show the newest jobs:"
    "  partwise client status"
    "Show one, as `partwise client submit` printed it:"
    "  partwise client status 0192f4c8"
};

#[cfg(feature = "serve")]
pub(super) const FETCH: &str = examples! {
    "Save the stems of a job:"
    "  partwise client fetch 0192f4c8 -o separated/"
    "The same over files that are there:"
    "  partwise client fetch 0192f4c8 --replace -o separated/"
};

#[cfg(feature = "serve")]
pub(super) const CANCEL: &str = examples! {
    "End a job:"
    "  partwise client cancel 0192f4c8"
    "End several:"
    "  partwise client cancel 0192f4c8 0192f4c9"
};

#[cfg(feature = "serve")]
pub(super) const DELETE: &str = examples! {
    "Remove a job with its recording and results:"
    "  partwise client delete 0192f4c8"
    "Remove several:"
    "  partwise client delete 0192f4c8 0192f4c9"
};

pub(super) const DEVICES: &str = examples! {
    "List the GPUs, and the engine that auto takes:"
    "  partwise devices"
    "Measure again which engine is faster:"
    "  partwise devices --retune"
};

pub(super) const CHECK: &str = examples! {
    "Check the engine that auto takes:"
    "  partwise check"
    "Check the first GPU, for a program to read:"
    "  partwise check --engine gpu --gpu 0 --json"
};

pub(super) const BENCH: &str = examples! {
    "Measure the engine that auto takes, in two minutes:"
    "  partwise bench"
    "Measure one problem on the CPU, and draw it:"
    "  partwise bench --engine cpu --shape 513x4000x30 \\"
    "    --clips 0 --plot roofline.svg"
};

pub(super) const FACTORIZE: &str = examples! {
    "Factorize a matrix (F, N) into W (F, 8) and H (8, N):"
    "  partwise factorize V.npy --rank 8 -o out.npz"
    "Find gains under bases that are kept:"
    "  partwise factorize V.npy --rank 8 --init out.npz \\"
    "    --fix w -o gains.npz"
    "Find patterns that move in time and pitch:"
    "  partwise factorize V.npy --method nmf2d --rank 2 \\"
    "    --pitch-lags 12 -o out.npz"
};

pub(super) const AVERAGED: &str = examples! {
    "Repeat the experiment, and open out/report.html:"
    "  partwise reproduce averaged --speech speech/ \\"
    "    --noise noise/ -o out/"
    "A shorter run:"
    "  partwise reproduce averaged --speech speech/ \\"
    "    --noise noise/ --orders 8,32 --clips 2 -o out/"
};

pub(super) const DEEP: &str = examples! {
    "Learn costs that take noise off music:"
    "  partwise reproduce deep --clean music/ -o out/"
    "The speakers too:"
    "  partwise reproduce deep --clean music/ \\"
    "    --female ann/ eva/ --male bob/ tom/ -o out/"
};

pub(super) const DISCRIMINATIVE: &str = examples! {
    "Repeat the experiment on two speakers:"
    "  partwise reproduce discriminative --female ann/ \\"
    "    --male bob/ -o out/"
    "A shorter run:"
    "  partwise reproduce discriminative --female ann/ \\"
    "    --male bob/ --ranks 70 --starts 1 -o out/"
};

pub(super) const GAIN_PRIOR: &str = examples! {
    "Repeat the experiment, and open out/report.html:"
    "  partwise reproduce gain-prior --speech speech/ \\"
    "    --music piano/ -o out/"
    "A shorter run:"
    "  partwise reproduce gain-prior --speech speech/ \\"
    "    --music piano/ --levels 0,5 --clips 4 -o out/"
};

pub(super) const NMF2D: &str = examples! {
    "Separate the sum of two instruments:"
    "  partwise reproduce nmf2d \\"
    "    --sources flute.wav piano.wav -o out/"
    "A shorter run:"
    "  partwise reproduce nmf2d --starts 2 \\"
    "    --sources flute.wav piano.wav -o out/"
};

pub(super) const COMPLETIONS: &str = examples! {
    "For bash, for the present user:"
    "  partwise completions bash > \\"
    "    ~/.local/share/bash-completion/completions/partwise"
    "For zsh, into a folder of its $fpath:"
    "  partwise completions zsh > ~/.zfunc/_partwise"
    "For fish:"
    "  partwise completions fish > \\"
    "    ~/.config/fish/completions/partwise.fish"
    "For PowerShell, at the end of its profile:"
    "  partwise completions powershell >> $PROFILE"
};

pub(super) const MAN: &str = examples! {
    "Write the pages where man looks for them:"
    "  partwise man ~/.local/share/man/man1"
    "For all users:"
    "  partwise man /usr/local/share/man/man1"
};

/// The commands of examples, in words. A redirection ends a command, and what is piped into it is another program's.
#[cfg(test)]
pub(super) fn typed(examples: &str) -> Vec<Vec<String>> {
    let joined = examples.replace("\\\n", " ");
    let commands = joined.lines().filter_map(|line| line.strip_prefix("    "));
    let words = |command: &str| {
        let words = command
            .rsplit(" | ")
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .take_while(|word| !word.starts_with('>'));
        words.map(|word| word.replace('\'', "")).collect()
    };
    commands.map(words).collect()
}
