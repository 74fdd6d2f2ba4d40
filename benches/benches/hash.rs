//! MD5 by kernel and case: `md5/KERNEL/CASE`. Kernels named `peer-…` are other crates.
//!
//! * `etag_…`: the MD5 of one stream.
//! * `one_pass_…`: the MD5 of one stream and of each of its slices, as we do it.
//! * `two_passes_…`: the same, as it is done without us: each byte hashed twice.
//! * `buffers_…`: the MD5 of each of many buffers in memory.
//! * `files_…`: the MD5 of each of many files in the page cache, by the clock on the wall.
//! * `cold_files_…`: the same with files that come from the disk. What they hold is dropped from the page cache
//!   before each run, and that is not measured; names and sizes stay in memory. The files are below cargo's target
//!   directory, which is to be on a disk: on one that has a large cache of its own, they come from there.
//!
//! With files, `peer-read` reads them and does nothing else, and `peer-md-5` reads and hashes one after the other;
//! both call `std::fs::read`, which opens a file, asks for its size, reads to the end and closes it, on as many
//! threads as we have. All but the files are measured in CPU time of the one thread that works.

use std::{
    fs,
    hint::black_box,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::Measurement};
use md5::Digest;
use pan123_benches::CpuTime;
#[cfg(feature = "openssl")]
use pan123_benches::openssl;
use pan123_hash::{Kernel, OnePass, Options, hash_buffers, hash_file, hash_many};
use tempfile::TempDir;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

type One = fn(&[u8]);
type Many = fn(&[&[u8]]);
/// What is done to some files, with the name of its kernel.
type Way<'a> = (&'static str, Box<dyn Fn() + 'a>);

const PEERS: &[(&str, One)] = &[
    ("peer-md-5", |data| _ = black_box(md5::Md5::digest(data))),
    ("peer-md5-many", |data| _ = black_box(md5_many::md5(data))),
    ("peer-md5-simd", |data| _ = black_box(md5_simd::digest(data))),
    #[cfg(feature = "openssl")]
    ("peer-openssl", |data| _ = black_box(openssl_md5(data))),
];

const PEERS_WITH_LANES: &[(&str, Many)] = &[
    ("peer-md5-many", |buffers| {
        let mut digests = vec![[0; 16]; buffers.len()];
        md5_many::Md5Many::new().hash_many(buffers, &mut digests);
        black_box(digests);
    }),
    ("peer-md5-simd", |buffers| {
        let mut digests = vec![[0; 16]; buffers.len()];
        md5_simd::md5_many(buffers, &mut digests);
        black_box(digests);
    }),
];

#[cfg(feature = "openssl")]
fn openssl_md5(data: &[u8]) -> openssl::hash::DigestBytes {
    openssl::hash::hash(openssl::hash::MessageDigest::md5(), data).expect("OpenSSL has MD5")
}

fn main() {
    let mut cpu = settings(Criterion::default().with_measurement(CpuTime));
    let data = random(64 * MIB);
    one_stream(&mut cpu, &data);
    short_pieces(&mut cpu, &data[..MIB]);
    long_stream(&mut cpu, &data);
    buffers(&mut cpu, &data);
    cpu.final_summary();
    let mut wall = settings(Criterion::default());
    files(&mut wall, &data);
    #[cfg(target_os = "linux")]
    cold_files(&mut wall, &data);
    wall.final_summary();
}

/// Short runs: they are repeated, with all the others in between.
fn settings<M: Measurement>(criterion: Criterion<M>) -> Criterion<M> {
    criterion
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(10)
        .nresamples(1000)
        .without_plots()
        .configure_from_args()
}

fn random(len: usize) -> Vec<u8> {
    let mut data = vec![0; len];
    fastrand::Rng::with_seed(123).fill(&mut data);
    data
}

fn slice_size(bytes: usize) -> NonZeroU64 {
    NonZeroU64::new(bytes as u64).expect("slices are not empty")
}

fn group<'a, M: Measurement>(
    criterion: &'a mut Criterion<M>,
    kernel: &str,
    bytes: usize,
) -> BenchmarkGroup<'a, M> {
    let mut group = criterion.benchmark_group(format!("md5/{kernel}"));
    group.throughput(Throughput::Bytes(bytes as u64)).sampling_mode(SamplingMode::Flat);
    group
}

fn one_stream(criterion: &mut Criterion<CpuTime>, data: &[u8]) {
    // The slice sizes are such that there are several slices of each stream, and that one of them is no round
    // number.
    for (name, len, slice) in [
        ("1_mib", MIB, 256 * KIB),
        ("16_mib", 16 * MIB, 4 * MIB),
        ("64_mib_odd_slices", 64 * MIB, 5 * MIB + 1),
    ] {
        let data = &data[..len];
        for (kernel, hash) in PEERS {
            group(criterion, kernel, len).bench_function(format!("etag_{name}"), |b| b.iter(|| hash(data)));
        }
        for kernel in Kernel::available() {
            // The others have the same code for one stream.
            let has_own_code = ["portable", "scalar", "avx512", "neon"].contains(&kernel.name());
            if !has_own_code && kernel != Kernel::best() {
                continue;
            }
            group(criterion, kernel.name(), len).bench_function(format!("one_pass_{name}"), |b| {
                b.iter(|| {
                    let mut pass = OnePass::with_kernel(slice_size(slice), kernel);
                    pass.update(data);
                    black_box(pass.finish())
                });
            });
        }
        for (kernel, hash) in PEERS.iter().filter(|_| len <= 16 * MIB) {
            group(criterion, kernel, len).bench_function(format!("two_passes_{name}"), |b| {
                b.iter(|| {
                    hash(data);
                    data.chunks(slice).for_each(hash);
                });
            });
        }
    }
}

/// One stream that comes in short pieces, with slices that end within blocks.
fn short_pieces(criterion: &mut Criterion<CpuTime>, data: &[u8]) {
    for piece in [1, 64] {
        group(criterion, "peer-md-5", data.len()).bench_function(format!("etag_in_pieces_of_{piece}"), |b| {
            b.iter(|| {
                let mut md5 = md5::Md5::new();
                data.chunks(piece).for_each(|piece| md5.update(piece));
                black_box(md5.finalize())
            });
        });
        let kernel = Kernel::best();
        let case = format!("one_pass_in_pieces_of_{piece}");
        group(criterion, kernel.name(), data.len()).bench_function(case, |b| {
            b.iter(|| {
                let mut pass = OnePass::with_kernel(slice_size(256 * KIB + 1), kernel);
                data.chunks(piece).for_each(|piece| pass.update(piece));
                black_box(pass.finish())
            });
        });
    }
}

/// One pass over 1 GiB in slices of 16 MiB, next to the fastest etag alone. More rivals would take minutes.
fn long_stream(criterion: &mut Criterion<CpuTime>, data: &[u8]) {
    const LEN: usize = 1 << 30;
    let pieces = || std::iter::repeat_n(data, LEN / data.len());
    group(criterion, "peer-md5-many", LEN).bench_function("etag_1_gib", |b| {
        b.iter(|| pieces().for_each(|piece| _ = black_box(md5_many::md5(piece))));
    });
    let kernel = Kernel::best();
    group(criterion, kernel.name(), LEN).bench_function("one_pass_1_gib", |b| {
        b.iter(|| {
            let mut pass = OnePass::with_kernel(slice_size(16 * MIB), kernel);
            pieces().for_each(|piece| pass.update(piece));
            black_box(pass.finish())
        });
    });
}

fn buffers(criterion: &mut Criterion<CpuTime>, data: &[u8]) {
    let mut random = fastrand::Rng::with_seed(123);
    let cases: [(&str, Vec<usize>); 12] = [
        ("1_of_16", vec![16]),
        ("33_of_4_kib", vec![4 * KIB; 33]),
        ("1000_of_1000", vec![1000; 1000]),
        ("1_of_16_mib", vec![16 * MIB]),
        ("2_of_16_mib", vec![16 * MIB; 2]),
        ("10000_of_4_kib", vec![4 * KIB; 10_000]),
        ("640_of_100_kib", vec![100 * KIB; 640]),
        ("32_of_2_mib", vec![2 * MIB; 32]),
        ("96_of_16_kib", vec![16 * KIB; 96]),
        ("mixed_to_64_kib", (0..1000).map(|_| random.usize(0..64 * KIB)).collect()),
        ("mixed_powers_of_2", (0..300).map(|i| 1 << (i % 20)).collect()),
        (
            "1_huge_5000_tiny",
            std::iter::once(16 * MIB).chain((0..5000).map(|_| random.usize(0..1000))).collect(),
        ),
    ];
    for (name, lens) in cases {
        let bytes = lens.iter().sum();
        let mut rest = data;
        let buffers: Vec<&[u8]> =
            lens.iter().map(|&len| rest.split_off(..len).expect("64 MiB are enough")).collect();
        let case = format!("buffers_{name}");
        for (kernel, hash) in PEERS {
            // A peer with lanes of its own is measured with them.
            if PEERS_WITH_LANES.iter().all(|(other, _)| other != kernel) {
                group(criterion, kernel, bytes)
                    .bench_function(&case, |b| b.iter(|| buffers.iter().for_each(|data| hash(data))));
            }
        }
        for (kernel, hash) in PEERS_WITH_LANES {
            group(criterion, kernel, bytes).bench_function(&case, |b| b.iter(|| hash(&buffers)));
        }
        for kernel in Kernel::available() {
            let options = Options::new(slice_size(1 << 30)).kernel(kernel);
            group(criterion, kernel.name(), bytes).bench_function(&case, |b| {
                b.iter(|| black_box(hash_buffers(&buffers, &options).expect("nothing is cancelled")));
            });
        }
    }
}

fn files(criterion: &mut Criterion, data: &[u8]) {
    let mut random = fastrand::Rng::with_seed(123);
    let cases = [
        ("1_of_64", vec![64]),
        ("3_of_64", vec![64; 3]),
        ("1_of_4_kib", vec![4 * KIB]),
        ("10000_of_1_kib", vec![KIB; 10_000]),
        ("10000_of_4_kib", vec![4 * KIB; 10_000]),
        ("10000_of_16_kib", vec![16 * KIB; 10_000]),
        ("1000_of_100_kib", vec![100 * KIB; 1000]),
        ("100_of_4_mib", vec![4 * MIB; 100]),
        ("mixed", (0..300).map(|_| random.usize(0..512 * KIB)).collect()),
        ("1_of_256_mib", vec![256 * MIB]),
    ];
    let best = Kernel::best();
    let options = Options::new(slice_size(16 * MIB)).kernel(best);
    for (name, lens) in cases {
        let (folder, bytes) = (tempfile::tempdir().expect("a temporary folder"), lens.iter().sum());
        let paths = write_files(&folder, data, &lens);
        let case = format!("files_{name}");
        for (kernel, hash) in ways(&paths, &options) {
            group(criterion, kernel, bytes).bench_function(&case, |b| b.iter(&hash));
        }
        if let [len @ (MIB..)] = lens[..] {
            // The same kernel over as many bytes in memory, which the file should not be far from.
            group(criterion, best.name(), len).bench_function(format!("memory_{name}"), |b| {
                b.iter(|| {
                    let mut pass = OnePass::with_kernel(options.slice_size(), best);
                    (0..len / data.len()).for_each(|_| pass.update(data));
                    black_box(pass.finish())
                });
            });
        }
    }
}

/// Many small files that come from the disk.
#[cfg(target_os = "linux")]
fn cold_files(criterion: &mut Criterion, data: &[u8]) {
    let options = Options::new(slice_size(16 * MIB)).kernel(Kernel::best());
    for (name, count, len) in [
        ("1000_of_1_kib", 1000, KIB),
        ("1000_of_4_kib", 1000, 4 * KIB),
        ("1000_of_16_kib", 1000, 16 * KIB),
        ("500_of_64_kib", 500, 64 * KIB),
    ] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let paths = write_files(&folder, data, &vec![len; count]);
        // What is not on the disk yet cannot be dropped.
        rustix::fs::sync();
        for (kernel, hash) in ways(&paths, &options) {
            group(criterion, kernel, count * len).bench_function(format!("cold_files_{name}"), |b| {
                b.iter_custom(|count| {
                    let once = |_| {
                        drop_from_cache(&paths);
                        let started = Instant::now();
                        hash();
                        started.elapsed()
                    };
                    (0..count).map(once).sum()
                });
            });
        }
    }
}

#[cfg(target_os = "linux")]
fn drop_from_cache(paths: &[PathBuf]) {
    for path in paths {
        let file = fs::File::open(path).expect("a file");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("a file on a disk");
    }
}

/// Reading alone, reading and `md-5`, and ours.
fn ways<'a>(paths: &'a [PathBuf], options: &'a Options) -> [Way<'a>; 3] {
    let read = |path: &Path| _ = black_box(fs::read(path).expect("a file"));
    let md5 = |path: &Path| _ = black_box(md5::Md5::digest(fs::read(path).expect("a file")));
    let ours = move || match paths {
        [one] => _ = black_box(hash_file(one, options).expect("a file")),
        many => hash_many(many, options, |_, digests| _ = black_box(digests.expect("a file")))
            .expect("the kernel is given"),
    };
    [
        ("peer-read", Box::new(move || for_all(paths, read))),
        ("peer-md-5", Box::new(move || for_all(paths, md5))),
        (Kernel::best().name(), Box::new(ours)),
    ]
}

/// Does it with all files on as many threads as [`hash_many`] has, but with a few where it is called.
fn for_all(paths: &[PathBuf], work: impl Fn(&Path) + Sync) {
    if paths.len() < 10 {
        return paths.iter().for_each(|path| work(path));
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4).min(paths.len());
    let next = AtomicUsize::new(0);
    let work_on = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(path);
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work_on)));
}

fn write_files(folder: &TempDir, data: &[u8], lens: &[usize]) -> Vec<PathBuf> {
    let write = |(i, &len): (usize, &usize)| {
        let path = folder.path().join(i.to_string());
        let whole: Vec<u8> = data.iter().copied().cycle().skip(i).take(len).collect();
        fs::write(&path, whole).expect("room for the files");
        path
    };
    lens.iter().enumerate().map(write).collect()
}
