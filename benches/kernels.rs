//! Benchmarks every kernel of the CPU engine at relevant shapes with criterion: `cargo bench`, or `cargo bench --
//! gains`. `partwise bench` measures any engine, and whole jobs.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use partwise::kernels::{Lags, Rule, ShiftRule, Shifts};
use partwise::ndarray::Array2;
use partwise::random::Stream;
use partwise::{Cpu, Divergence, Engine, Glue, Mask, Momentum, Norm, Products, Result};

/// F, N, K.
const SHAPES: [(usize, usize, usize); 4] = [(257, 1000, 64), (513, 4000, 30), (1025, 5168, 88), (257, 20_000, 128)];
const DIVERGENCES: [Divergence; 4] =
    [Divergence::Euclidean, Divergence::KullbackLeibler, Divergence::ItakuraSaito, Divergence::Beta(0.5)];

fn numbers(name: &str, rows: usize, columns: usize) -> Array2<f32> {
    let stream = Stream::new(0, name);
    let at = |(row, column)| (0.05 + stream.uniform((row * columns + column) as u64)) as f32;
    Array2::from_shape_fn((rows, columns), at)
}

fn kernels(criterion: &mut Criterion) -> Result<()> {
    let engine = Cpu::new(None)?;
    for (f, n, k) in SHAPES {
        let v = engine.panel(numbers("v", f, n).view())?;
        let (mut w, mut h) = (engine.matrix(numbers("w", f, k).view())?, engine.panel(numbers("h", k, n).view())?);
        let shape = format!("{f}x{n}x{k}");
        for divergence in DIVERGENCES {
            let rule = Rule::of(divergence.clone());
            let mut group = criterion.benchmark_group(format!("products {divergence}"));
            group.throughput(Throughput::Elements((f * n * k) as u64)).sample_size(10);
            group.bench_function(BenchmarkId::new("gains", &shape), |bench| {
                bench.iter(|| engine.update_gains(&v, &w, &mut h, &rule));
            });
            group.bench_function(BenchmarkId::new("bases", &shape), |bench| {
                bench.iter(|| engine.update_bases(&v, &mut w, &h, &rule));
            });
            group.bench_function(BenchmarkId::new("both", &shape), |bench| {
                bench.iter(|| engine.update_both(&v, &mut w, &mut h, &rule));
            });
            let mut next = engine.panel(numbers("h", k, n).view())?;
            let mut costs = engine.panel(numbers("costs", 1, n).view())?;
            group.bench_function(BenchmarkId::new("try", &shape), |bench| {
                bench.iter(|| engine.try_gains(&v, &w, &h, &mut next, &mut costs, &rule));
            });
            group.bench_function(BenchmarkId::new("costs", &shape), |bench| {
                bench.iter(|| engine.costs(&v, &w, &h, &divergence));
            });
        }
        let mut group = criterion.benchmark_group("glue");
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("normalize", &shape), |bench| {
            bench.iter(|| engine.normalize(&mut w, Some(&mut h), Norm::L1));
        });
        let before = engine.panel(numbers("before", k, n).view())?;
        group.bench_function(BenchmarkId::new("lead", &shape), |bench| {
            bench.iter(|| engine.lead_gains(&h, &before, 0.9));
        });
        group.bench_function(BenchmarkId::new("masks", &shape), |bench| {
            bench.iter(|| engine.masks(&w, &h, &[0..k / 2, k / 2..k], Mask::Ratio(2.0)));
        });
    }
    Ok(())
}

/// F, N, D, T, Φ: half a minute of audio in log-frequency bands, and two patterns that move.
const SHIFTED: [usize; 5] = [175, 500, 2, 7, 18];

fn shifted(criterion: &mut Criterion) -> Result<()> {
    let (engine, [f, n, d, time, pitch]) = (Cpu::new(None)?, SHIFTED);
    let v = engine.panel(numbers("v", f, n).view())?;
    let bases = numbers("w", f, d);
    let (mut w, mut h) = (engine.stack(&vec![bases.view(); time])?, engine.panel(numbers("h", pitch * d, n).view())?);
    let shape = SHIFTED.map(|number| number.to_string()).join("x");
    for divergence in DIVERGENCES {
        let rule = ShiftRule::of(divergence.clone(), Lags { time, pitch });
        let mut group = criterion.benchmark_group(format!("shifts {divergence}"));
        group.throughput(Throughput::Elements(SHIFTED.iter().product::<usize>() as u64)).sample_size(10);
        group.bench_function(BenchmarkId::new("gains", &shape), |bench| {
            bench.iter(|| engine.update_shifted_gains(&v, &w, &mut h, &rule));
        });
        group.bench_function(BenchmarkId::new("bases", &shape), |bench| {
            bench.iter(|| engine.update_shifted_bases(&v, &mut w, &h, &rule));
        });
    }
    Ok(())
}

fn all(criterion: &mut Criterion) {
    if let Err(error) = kernels(criterion).and_then(|()| shifted(criterion)) {
        eprintln!("{error}");
        std::process::exit(2);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
