//! What an upload from the program's own byte source, and small calls, cost in Rust: what the bindings are measured
//! against by `cargo xtask bench bindings`, which says what the arguments are.

use std::{
    env, io,
    num::NonZeroU64,
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use pan123_hash::{Input, Options, hash_input, hex};
use pan123_upload::{
    Client, Identity, SliceUpload, Source, SourceRead, StaticToken, Target, Token,
    proto::{
        machine::{Parallel, Reply},
        wire::CreateRequest,
    },
    transport::ReadAt,
};
use rustix::time::{ClockId, clock_gettime};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What [`Block`] repeats.
const BLOCK_BYTES: usize = 64 << 20;
const SLICE_BYTES: u64 = 4096;
const HASH_BYTES: usize = 1024;

/// As many bytes as are wanted, from a block of them over and over.
#[derive(Clone)]
struct Block {
    block: Arc<Vec<u8>>,
    size: u64,
}

impl ReadAt for Block {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            let from = (offset as usize + done) % self.block.len();
            let n = (buf.len() - done).min(self.block.len() - from);
            buf[done..done + n].copy_from_slice(&self.block[from..from + n]);
            done += n;
        }
        Ok(done)
    }
}

impl SourceRead for Block {
    fn size(&self) -> u64 {
        self.size
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { size: self.size, mtime_ns: 0, ctime_ns: 0, inode: 0, device: 0 })
    }

    fn describe(&self) -> String {
        "a block of bytes".to_owned()
    }
}

/// Bytes in memory as something to hash.
struct Memory(Vec<u8>);

impl Input for Memory {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = &self.0[(offset as usize).min(self.0.len())..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [case, count] = arguments.as_slice() else {
        eprintln!("usage: cost upload BYTES | slices COUNT | hash COUNT");
        process::exit(2);
    };
    let count: u64 = count.parse()?;
    let block = random_bytes(BLOCK_BYTES);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match case.as_str() {
        "upload" => runtime.block_on(upload(Block { block: block.into(), size: count })),
        "slices" => runtime.block_on(slices(&block, count)),
        "hash" => hash(&block, count),
        other => Err(format!("no case {other:?}").into()),
    }
}

fn client() -> Result<Client, Box<dyn std::error::Error>> {
    let token = Token::new(env::var("PAN123_ACCESS_TOKEN")?, None)?;
    let builder = Client::builder().base_url(env::var("PAN123_BASE_URL")?);
    Ok(builder.tokens(Arc::new(StaticToken::new(token))).parallel(Parallel::Exactly(8)).build()?)
}

async fn upload(source: Block) -> Outcome {
    let client = client()?;
    let watch = Watch::start();
    let upload = client.upload(Source::custom(Arc::new(source)), Target::root("cost"))?;
    upload.start();
    upload.wait().await?;
    watch.stop();
    Ok(())
}

/// As many calls of `slice`, one after another, of 4 KiB each.
async fn slices(block: &[u8], count: u64) -> Outcome {
    let client = client()?;
    let (etag, size) = ("0123456789abcdef0123456789abcdef".parse()?, count * SLICE_BYTES);
    let request =
        CreateRequest { parent_id: 0, filename: "cost", etag, size, duplicate: None, contain_dir: false };
    let Reply::Created { preupload_id, servers, .. } = client.create(&request).await? else {
        return Err("the service has it already".into());
    };
    let source = Source::bytes(block[..size as usize].to_vec());
    let watch = Watch::start();
    for slice_no in 1..=count {
        let slice = SliceUpload {
            server: servers[0].to_string(),
            preupload_id: preupload_id.to_string(),
            slice_no: u32::try_from(slice_no)?,
            md5: None,
            source: source.clone(),
            offset: (slice_no - 1) * SLICE_BYTES,
            len: Some(SLICE_BYTES),
        };
        client.slice(slice).await?;
    }
    watch.stop();
    Ok(())
}

/// As many calls that hash 1 KiB.
fn hash(block: &[u8], count: u64) -> Outcome {
    let slice_size = NonZeroU64::new(16 << 20).ok_or("a slice has bytes")?;
    let mut letters = 0;
    let watch = Watch::start();
    for index in 0..count as usize {
        let from = index * HASH_BYTES % (block.len() - HASH_BYTES);
        let input = Memory(block[from..from + HASH_BYTES].to_vec());
        letters += hex(&hash_input(&input, &Options::new(slice_size))?.etag).len();
    }
    watch.stop();
    if letters as u64 != 32 * count { Err("an etag has 32 digits".into()) } else { Ok(()) }
}

/// Takes the time, and what of it the CPU spent on this process.
struct Watch(Instant, Duration);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), cpu())
    }

    fn stop(self) {
        println!(
            r#"{{"wall_s":{},"cpu_s":{}}}"#,
            self.0.elapsed().as_secs_f64(),
            (cpu() - self.1).as_secs_f64()
        );
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes that look random.
fn random_bytes(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}
