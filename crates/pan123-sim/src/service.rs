//! The service's side of the story: what it holds, and what it answers.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use pan123_proto::{
    Class, Endpoint, Failure, Md5, Slice, SlicePlan,
    machine::{Digests, Reply},
};

/// The bytes of a file, as far as a simulation needs them: a number that decides every digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content(pub u64);

impl Content {
    /// MD5 of a range of the file.
    pub fn md5(self, offset: u64, len: u64) -> Md5 {
        let mut bytes = [0; 16];
        let mut state = self.0 ^ offset.rotate_left(32) ^ len.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for half in bytes.chunks_exact_mut(8) {
            state = splitmix(state);
            half.copy_from_slice(&state.to_le_bytes());
        }
        Md5(bytes)
    }

    /// All digests of a file of `size` bytes.
    pub fn digests(self, size: u64, slice_size: u64) -> Digests {
        let plan = plan(size, slice_size);
        let slices = plan.iter().map(|slice| self.md5(slice.offset, slice.len)).collect();
        Digests { etag: self.etag(size), slice_size, slices }
    }

    /// MD5 of the whole file.
    pub fn etag(self, size: u64) -> Md5 {
        self.md5(u64::MAX, size)
    }
}

fn splitmix(state: u64) -> u64 {
    let mixed =
        (state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn plan(size: u64, slice_size: u64) -> SlicePlan {
    let slice_size = slice_size.try_into().expect("slice sizes of a simulation are above 0");
    SlicePlan::new(size, slice_size).expect("files of a simulation have fewer than 2^32 slices")
}

/// How the service behaves where it may choose.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Slice size that `create` names, in bytes.
    pub slice_size: u64,
    /// Upload hosts; `create` names all of them.
    pub servers: usize,
    /// `create` names no host, so that `domain` has to be asked.
    pub names_no_server: bool,
    /// How long it merges and checks a file, from the first `upload_complete` on.
    pub verify: Duration,
    /// How many merges end in "文件上传失败" although all bytes are right.
    pub verify_failures: u32,
    /// Merges are checked against the etag. If not, whatever was sent is taken for the file.
    pub verifies: bool,
    /// Requests per second and endpoint that it takes.
    pub limits: Limits,
    /// What it asks to wait when there are too many requests.
    pub retry_after: Option<Duration>,
}

/// The request rates that the service enforces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// `create` per second; infinite for no limit.
    pub create: f64,
    /// `upload_complete` per second.
    pub complete: f64,
    /// Slices per second.
    pub slice: f64,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self { create: f64::INFINITY, complete: f64::INFINITY, slice: f64::INFINITY };
    /// What the service's support names for free accounts.
    pub const FREE: Self = Self { create: 1.0, complete: 5.0, slice: f64::INFINITY };
    /// What the service's support names for paying accounts.
    pub const VIP: Self = Self { create: 20.0, complete: 20.0, slice: f64::INFINITY };
}

/// A file that the service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) upload: usize,
    pub(crate) etag: Md5,
    pub(crate) size: u64,
    pub(crate) slice_size: u64,
    /// MD5 of the bytes of each slice as they arrived; `None` for one that never did.
    pub(crate) slices: Vec<Option<Md5>>,
}

/// An upload as the service knows it.
#[derive(Debug)]
struct Remote {
    upload: usize,
    etag: Md5,
    size: u64,
    held: Vec<Option<Md5>>,
    /// When it is merged and checked; from the first `upload_complete` on.
    verified_at: Option<Duration>,
    file_id: Option<i64>,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) manners: Manners,
    known: HashSet<Md5>,
    remotes: HashMap<Arc<str>, Remote>,
    files: BTreeMap<i64, Stored>,
    next_id: i64,
    buckets: [Bucket; Endpoint::ALL.len()],
    names: Vec<Arc<str>>,
}

/// Counts requests against a rate.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    at: Duration,
}

impl Service {
    pub(crate) fn new(manners: Manners) -> Self {
        let bucket = |endpoint| {
            let per_second = match endpoint {
                Endpoint::Create => manners.limits.create,
                Endpoint::Complete => manners.limits.complete,
                Endpoint::Slice => manners.limits.slice,
                _ => f64::INFINITY,
            };
            Bucket { per_second, tokens: per_second.max(1.0), at: Duration::ZERO }
        };
        let names = (0..manners.servers).map(|server| server_name(server).into()).collect();
        Self {
            buckets: Endpoint::ALL.map(bucket),
            manners,
            known: HashSet::new(),
            remotes: HashMap::new(),
            files: BTreeMap::new(),
            next_id: 1,
            names,
        }
    }

    /// The service has these bytes from somebody else.
    pub(crate) fn knows(&mut self, etag: Md5) {
        self.known.insert(etag);
    }

    /// Forgets every unfinished upload.
    pub(crate) fn forget_uploads(&mut self) {
        self.remotes.clear();
    }

    /// An upload is over for good, and nobody will ask for it again.
    pub(crate) fn settle(&mut self, upload: usize) {
        self.remotes.retain(|_, remote| remote.upload != upload);
        self.files.retain(|_, file| file.upload != upload);
    }

    pub(crate) fn file(&self, file_id: i64) -> Option<&Stored> {
        self.files.get(&file_id)
    }

    /// Whether a request to `endpoint` is one too many.
    pub(crate) fn throttles(&mut self, endpoint: Endpoint, now: Duration) -> bool {
        let bucket = &mut self.buckets[endpoint as usize];
        if bucket.per_second.is_infinite() {
            return false;
        }
        let grown = (now - bucket.at).as_secs_f64() * bucket.per_second;
        // A client that keeps the rate to the letter is not refused for the network's jitter.
        bucket.tokens = (bucket.tokens + grown).min(bucket.per_second.max(1.0) + 0.01);
        bucket.at = now;
        let refused = bucket.tokens < 0.99;
        if !refused {
            bucket.tokens -= 1.0;
        }
        refused
    }

    pub(crate) fn create(&mut self, upload: usize, etag: Md5, size: u64) -> Reply {
        if self.known.contains(&etag) {
            return self.store(upload, etag, size, size, vec![]);
        }
        let preupload_id: Arc<str> = format!("p{}", self.next_id).into();
        self.next_id += 1;
        let slice_size = self.manners.slice_size;
        let held = vec![None; plan(size, slice_size).count() as usize];
        self.remotes.insert(
            preupload_id.clone(),
            Remote { upload, etag, size, held, verified_at: None, file_id: None },
        );
        let servers = if self.manners.names_no_server { vec![] } else { self.names.clone() };
        Reply::Created { preupload_id, slice_size, servers }
    }

    /// A slice has arrived. `arrived`: the MD5 of its bytes as they are now.
    pub(crate) fn slice(
        &mut self,
        preupload_id: &str,
        slice: &Slice,
        declared: Md5,
        arrived: Md5,
    ) -> Result<Reply, Failure> {
        let Some(remote) = self.remotes.get_mut(preupload_id) else {
            return Err(refusal(Endpoint::Slice, Class::NotFound, "preuploadID不存在"));
        };
        if arrived != declared {
            return Err(refusal(Endpoint::Slice, Class::Refused, "分片md5校验失败"));
        }
        match slice.no.checked_sub(1).and_then(|index| remote.held.get_mut(index as usize)) {
            Some(held) => *held = Some(arrived),
            None => return Err(refusal(Endpoint::Slice, Class::Refused, "sliceNo")),
        }
        Ok(Reply::SliceTaken)
    }

    pub(crate) fn complete(&mut self, preupload_id: &str, now: Duration) -> Result<Reply, Failure> {
        let Some(remote) = self.remotes.get_mut(preupload_id) else {
            return Err(refusal(Endpoint::Complete, Class::NotFound, "preuploadID不存在"));
        };
        if let Some(file_id) = remote.file_id {
            return Ok(Reply::Stored { file_id });
        }
        if now < *remote.verified_at.get_or_insert(now + self.manners.verify) {
            return Ok(Reply::NotYet);
        }
        let whole = remote.held.iter().all(Option::is_some);
        let unlucky = self.manners.verify_failures > 0;
        if unlucky || (self.manners.verifies && !whole) {
            self.manners.verify_failures = self.manners.verify_failures.saturating_sub(1);
            return Err(refusal(Endpoint::Complete, Class::VerifyFailed, "文件上传失败"));
        }
        let (upload, etag, size, held) = (remote.upload, remote.etag, remote.size, remote.held.clone());
        let reply = self.store(upload, etag, size, self.manners.slice_size, held);
        if let (Reply::Stored { file_id }, Some(remote)) = (&reply, self.remotes.get_mut(preupload_id)) {
            remote.file_id = Some(*file_id);
        }
        Ok(reply)
    }

    pub(crate) fn single(&mut self, upload: usize, etag: Md5, size: u64, arrived: Md5) -> Reply {
        self.store(upload, etag, size, size, vec![Some(arrived)])
    }

    pub(crate) fn hosts(&self) -> Reply {
        Reply::Hosts(self.names.clone())
    }

    /// Looks for the file of an upload in its folder.
    pub(crate) fn find(&self, upload: usize, etag: Md5) -> Reply {
        let found = self.files.iter().find(|(_, file)| file.upload == upload && file.etag == etag);
        found.map_or(Reply::NotYet, |(&file_id, _)| Reply::Stored { file_id })
    }

    fn store(
        &mut self,
        upload: usize,
        etag: Md5,
        size: u64,
        slice_size: u64,
        slices: Vec<Option<Md5>>,
    ) -> Reply {
        let file_id = self.next_id;
        self.next_id += 1;
        self.files.insert(file_id, Stored { upload, etag, size, slice_size, slices });
        Reply::Stored { file_id }
    }
}

/// How `create` writes a server.
fn server_name(server: usize) -> String {
    format!("https://s{server}")
}

/// The server with this name.
pub(crate) fn server_index(name: &str) -> usize {
    name.trim_start_matches("https://s").parse().expect("a name that the service gave")
}

/// A refusal in an envelope.
pub(crate) fn refusal(endpoint: Endpoint, class: Class, words: &str) -> Failure {
    Failure { http_status: Some(200), code: Some(1), ..Failure::local(endpoint, class, words) }
}
